"""One connection's requests: in order, each answered once, to whoever asked.

Requests take effect in the order in which they were sent: the next one starts when the one before
has its result, or said that what is left of it is waiting (`Call.took_effect`). A tool that answers
from memory is answered at once, without a task. Nothing is sent that is no answer, but for progress
that was asked for: the guide's client would take it for its answer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from visionflow.domain.access import Caller
from visionflow.domain.errors import UnknownId, UsageError, VisionFlowError
from visionflow.interfaces.access.gate import Session
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.faults import SERVER, Fault, fault_of
from visionflow.interfaces.tools.tool import Call, Prepared
from visionflow.interfaces.wire import asking, cutting, dialect
from visionflow.interfaces.wire.desk import Desk, log
from visionflow.interfaces.wire.jsonrpc import Bad, Message, Request, parse
from visionflow.interfaces.wire.pending import (
    Batch,
    Pending,
    Reply,
    Telling,
    UnknownMethod,
    Waiting,
)

QUEUE_MAX = 256
"""Requests of one connection that wait for their turn before no more are read."""
UNDER_WAY_MAX = 64
"""Its calls that were begun and wait, for instance for a task; the next one waits for its turn."""


class Conversation:
    """Belongs to the loop's thread."""

    def __init__(
        self,
        desk: Desk,
        session: Session,
        send: Reply,
        *,
        room: int | None = None,
        bearer: str | None = None,
        tell: Callable[[bytes], None] | None = None,
        on_pumped: Callable[[], None] | None = None,
        on_caller: Callable[[str], None] | None = None,
    ) -> None:
        """`room`: bytes that an answer may have; `bearer`: a token that came beside the requests;
        `tell`: sends progress; `on_pumped`: called when some of what was due may be done;
        `on_caller`: called with the name of whom it turned out to be."""
        self._desk = desk
        self._session = session
        self._send = send
        self.room = room
        self._bearer = bearer
        self._tell = tell
        self._on_pumped = on_pumped
        self._on_caller = on_caller
        self._queue: deque[Waiting] = deque()
        self._running: dict[Pending, None] = {}
        self._turn: Pending | None = None
        """The call that has not taken effect yet: nothing starts before it has."""
        self._left = False
        self._held = False
        self._program: str | None = None
        self._client: str | None = None
        self._raw: Caller | None = None
        self._known: Caller | None = None
        self.fault: Fault | None = None
        """The last that was answered."""

    # What is due ---------------------------------------------------------------------------

    @property
    def due(self) -> int:
        """Requests that were heard and are not answered yet."""
        return len(self._queue) + len(self._running)

    @property
    def full(self) -> bool:
        """Whether no more should be read for now."""
        return len(self._queue) >= QUEUE_MAX

    def hold(self, held: bool) -> None:
        """Start nothing while the other side does not read what it is sent."""
        self._held = held
        if not held:
            self._pump()

    def hear(self, data: bytes) -> None:
        """One line, or one body."""
        message = parse(data, self._desk.depth_max)
        if isinstance(message, list):
            batch = Batch(len(message), self._send)
            room = None if self.room is None else (self.room - 2) // len(message) - 1
            for each in message:
                self._take(each, batch.reply, room)
        else:
            self._take(message, self._send, self.room)
        self._pump()

    def leave(self) -> None:
        """The other side is gone: nothing new starts, nothing is told any more, and what only
        waits ends. What was begun is not taken back by that."""
        self._left = True
        self._queue.clear()
        for running in self._running:
            if running.telling is not None:
                running.telling.over = True
            running.call.taken_back = False
            running.call.cancelled.set()
            if running.task is not None:
                self._desk.orphan(running.task)

    # Turns ---------------------------------------------------------------------------------

    def _take(self, message: Message, reply: Reply, room: int | None) -> None:
        if isinstance(message, Bad):
            self._fail(message)
            reply(dialect.refused(message))
            return
        identity, method = message.id, message.method
        if method == "notifications/cancelled":
            self._take_back(message.params)
        if method.startswith("notifications/"):
            reply(None if identity is None else dialect.answered(identity, {}))
        elif method == "ping":
            reply(None if identity is None else dialect.answered(identity, {}))
        else:
            self._queue.append(Waiting(message, reply, room))

    def _fail(self, bad: Bad) -> None:
        self.fault = Fault(bad.code, 400, bad.message, {"code": bad.word})

    def _pump(self) -> None:
        while (
            self._queue
            and self._turn is None
            and not self._held
            and not self._left
            and len(self._running) < UNDER_WAY_MAX
        ):
            waiting = self._queue.popleft()
            self._answer(waiting.request, waiting.reply, waiting.room)
        if self._on_pumped is not None:
            self._on_pumped()

    def _took_effect(self, running: Pending) -> None:
        """It has its result, or only waits: the next may start."""
        if self._turn is running:
            self._turn = None
            if self._queue:
                asyncio.get_running_loop().call_soon(self._pump)

    def _take_back(self, params: object) -> None:
        """Its client does not want an answer any more. It gets one all the same, as each request
        does; what waits ends."""
        if not isinstance(params, dict):
            return
        wanted = cast("dict[str, object]", params).get("requestId")
        if isinstance(wanted, bool) or not isinstance(wanted, (str, int)):
            return
        identity = dialect.encoded(wanted)
        for running in self._running:
            taken_back = running.call.cancelled.is_set()
            if running.id == identity and running.task is not None and not taken_back:
                running.call.cancelled.set()
                self._desk.orphan(running.task)
        for waiting in list(self._queue):
            if waiting.request.id == identity:
                self._queue.remove(waiting)
                told = {"code": "cancelled"}
                waiting.reply(dialect.failed(identity, SERVER, "The call was taken back.", told))

    # Methods -------------------------------------------------------------------------------

    def _answer(self, request: Request, reply: Reply, room: int | None) -> None:
        if request.method == "tools/call":
            self._call(request, reply, room)
            return
        identity = request.id
        try:
            result = self._method(request.method, request.params, room)
            answer = dialect.answered(identity or b"null", result)
        except Exception as error:
            answer = self._told(identity, error, "", room)
        reply(None if identity is None else answer)

    def _method(self, method: str, params: object, room: int | None) -> dict[str, Any]:
        match method:
            case "initialize":
                return self._introduce(params)
            case "authenticate":
                return self._authenticate(asking.mapping_of(params))
            case "tools/list" | "resources/read":
                caller = self._caller(asking.token_of(params))
                self._desk.gate.enter(caller)
                try:
                    return self._read(method, asking.mapping_of(params), caller, room)
                finally:
                    self._desk.gate.leave(caller)
            case _:
                raise UnknownMethod(method, method in self._desk.registry.tools)

    def _read(
        self, method: str, given: dict[str, object], caller: Caller, room: int | None
    ) -> dict[str, Any]:
        if method == "tools/list":
            return self._desk.listing(given.get("cursor"), room)
        uri = given.get("uri")
        if not isinstance(uri, str) or not uri.startswith(cutting.SCHEME):
            raise UnknownId(
                f"Only {cutting.SCHEME}... is read here.",
                hint="The other resources are read over /mcp.",
            )
        return self._desk.leftovers.read(uri, caller.name, given.get("cursor"))

    def _introduce(self, params: object) -> dict[str, Any]:
        said = asking.introduced(params)
        self._program, self._client, self._raw = said.program, said.client, None
        self._session.program = said.program
        if self.room is not None and said.line_bytes_max is not None:
            self.room = max(said.line_bytes_max - 1, self.room)
        return {
            "protocolVersion": dialect.handshake(said.version),
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": "visionflow", "version": self._desk.version},
        }

    def _authenticate(self, given: dict[str, object]) -> dict[str, Any]:
        token = given.get("token")
        if not isinstance(token, str):
            raise UsageError("token is missing, or no text.")
        caller = self._session.authenticate(token)
        self._bearer = None
        if self._on_caller is not None:
            self._on_caller(caller.name)
        return {"authenticated": True, "caller": caller.name, "role": caller.role}

    def _caller(self, token: str | None) -> Caller:
        """Who makes a request, and as which client.

        Raises:
            Unauthenticated, Forbidden, RateLimited: see `Session.for_request`.
        """
        raw = self._session.for_request(self._bearer, token)
        if raw is not self._raw or self._known is None:
            self._raw = self._known = raw
            if self._on_caller is not None:
                self._on_caller(raw.name)
            if self._program is not None or self._client is not None:
                client = raw.client if self._client is None else f"{raw.name}/{self._client}"
                self._known = msgspec.structs.replace(raw, program=self._program, client=client)
        return self._known

    # Calls ---------------------------------------------------------------------------------

    def _call(self, request: Request, reply: Reply, room: int | None) -> None:
        identity, group, name = request.id, "", ""
        caller: Caller | None = None
        gate = self._desk.gate
        entered = False
        try:
            asked = asking.asked(request.params)
            name = asked.tool
            caller = self._caller(asked.token)
            gate.enter(caller)
            entered = True
            prepared = self._desk.registry.prepare(name, asked.arguments, caller, key=asked.key)
            group = prepared.tool.group
            running: Pending | None = None

            def took_effect() -> None:
                if running is not None:
                    self._took_effect(running)

            telling: Telling | None = None
            if asked.progress is not None and self._tell is not None:
                telling = Telling(asked.progress, self._tell)
            call = Call(
                caller,
                key=prepared.key,
                on_progress=telling,
                took_effect=took_effect,
            )
            found = self._desk.registry.run(prepared, call)
            if isinstance(found, Result) and not call.settling:
                answer = self._laid(identity, found, caller, room)
            else:
                running = Pending(identity, call, telling)
                self._running[running] = None
                if not isinstance(found, Result):
                    self._turn = running
                entered = False
                running.task = self._desk.begin(self._finish(prepared, found, running, reply, room))
                return
        except Exception as error:
            if caller is not None:
                gate.refused(caller, name, error)
            answer = self._told(identity, error, group, room)
        finally:
            if entered and caller is not None:
                gate.leave(caller)
        reply(None if identity is None else answer)

    async def _finish(
        self,
        prepared: Prepared,
        found: Result | Awaitable[Result],
        running: Pending,
        reply: Reply,
        room: int | None,
    ) -> None:
        caller = running.call.caller
        answer: bytes | None = None
        try:
            result = found if isinstance(found, Result) else await found
            # Laid down now: an answer tells of this moment, however long the disk takes.
            answer = self._laid(running.id, result, caller, room)
            self._took_effect(running)
            for durable in running.call.settling:
                await durable()
        except Exception as error:
            self._desk.gate.refused(caller, prepared.tool.name, error)
            answer = self._told(running.id, error, prepared.tool.group, room)
        except asyncio.CancelledError:
            # It did not end by itself in time, or the server closes.
            told = {"code": "cancelled"}
            answer = dialect.failed(running.id or b"null", SERVER, "The call was ended.", told)
            raise
        finally:
            self._desk.gate.leave(caller)
            self._running.pop(running, None)
            if running.telling is not None:
                running.telling.over = True
            self._took_effect(running)
            if not self._left:
                reply(None if running.id is None else answer)
                self._pump()

    def _laid(
        self, identity: bytes | None, result: Result, caller: Caller, room: int | None
    ) -> bytes:
        if identity is None:
            return b""
        body = dialect.encoded(result)
        answer = dialect.laid_flat(identity, body)
        if room is not None and len(answer) > room:
            return cutting.fitting(identity, body, room, self._desk.leftovers, caller.name)
        return answer

    def _told(
        self, identity: bytes | None, error: Exception, group: str, room: int | None
    ) -> bytes:
        if isinstance(error, UnknownMethod):
            self.fault = error.fault
        else:
            if not isinstance(error, VisionFlowError):
                log.error("a request failed", exc_info=error)
            self.fault = fault_of(error, group)
        return dialect.fault(identity or b"null", self.fault, room)
