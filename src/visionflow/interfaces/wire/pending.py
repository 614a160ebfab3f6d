"""What a conversation holds while it is under way: requests that wait, calls that run, batches."""

from collections.abc import Callable

import msgspec

from visionflow.interfaces.tools.faults import METHOD, Fault
from visionflow.interfaces.tools.tool import Call
from visionflow.interfaces.wire import dialect
from visionflow.interfaces.wire.desk import Running
from visionflow.interfaces.wire.jsonrpc import Request

METHODS = ("initialize", "ping", "authenticate", "tools/list", "tools/call", "resources/read")
PROGRESS_STEP = 1e-6
Reply = Callable[[bytes | None], None]
"""Takes the answer, `None` where none is due."""


class Waiting(msgspec.Struct, frozen=True):
    """A request that waits for its turn."""

    request: Request
    reply: Reply
    room: int | None
    """Bytes that its answer may have."""


class Telling:
    """Tells how far a call is, while it is not answered yet."""

    def __init__(self, token: str | int, tell: Callable[[bytes], None]) -> None:
        self._token = token
        self._tell = tell
        self._last = 0.0
        self.over = False
        """It is answered, or nobody waits any more."""

    def __call__(self, fraction: float | None, note: str) -> None:
        """See `Call.on_progress`."""
        if self.over:
            return
        # Each is more than the one before, as the protocol wants it.
        if fraction is not None and fraction > self._last:
            self._last = fraction
        else:
            self._last += PROGRESS_STEP
        total = None if fraction is None else 1.0
        self._tell(dialect.progressed(self._token, self._last, total, note))


class Pending(msgspec.Struct, eq=False):
    """A call that could not be answered at once."""

    id: bytes | None
    call: Call
    telling: Telling | None
    task: Running | None = None


class Batch:
    """Collects the answers of a batch, in the order in which they come."""

    def __init__(self, size: int, send: Reply) -> None:
        self._left = size
        self._send = send
        self._answers: list[bytes] = []

    def reply(self, answer: bytes | None) -> None:
        """The answer to one of its requests; `None` to a notification."""
        if answer is not None:
            self._answers.append(answer)
        self._left -= 1
        if not self._left:
            self._send(b"[" + b",".join(self._answers) + b"]" if self._answers else None)


class UnknownMethod(Exception):
    """A method that this dialect does not have."""

    def __init__(self, method: str, is_tool: bool) -> None:
        super().__init__(method)
        hint = f"Methods: {', '.join(METHODS)}."
        if is_tool:
            hint = f'A tool is called with tools/call and {{"name": "{method}"}}.'
        data = {"code": "unknown_method", "hint": hint}
        self.fault = Fault(METHOD, 404, f"There is no method {method[:100]!r}.", data)
