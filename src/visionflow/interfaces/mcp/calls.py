"""`tools/call`: from MCP to the registry and back.

A tool that was begun is never cut off in the middle because its client went away. A client that
takes its call back, by `notifications/cancelled` or on 2026-07-28 by closing the response, sets
`Call.cancelled`, and what the tool began ends with it. A connection that is lost, or a server that
closes, only ends the waiting. An unknown tool is a JSON-RPC error; every other failure is a result.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from visionflow.domain.access import Caller
from visionflow.domain.errors import (
    Forbidden,
    NotBuilt,
    UnknownTool,
    UsageError,
    VisionFlowError,
)
from visionflow.interfaces.mcp.links import Context, Turn, caller_of, link_of, meta_of, turn_of
from visionflow.interfaces.mcp.telling import Telling
from visionflow.interfaces.mcp.wording import failure, success
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.faults import METHOD, fault_of
from visionflow.interfaces.tools.tool import Call, Prepared, Registry

KEY_META = "visionflow/idempotencyKey"
ENVELOPE = 2
"""Maps of a message around the arguments: the message, and its params."""
TAKEN_BACK_S = 30.0
"""How long a call that was taken back may take to end before it is stopped."""
_log = logging.getLogger("visionflow.mcp")


class Calls:
    """Calls under way. Belongs to the loop's thread."""

    def __init__(
        self, registry: Registry, is_open: Callable[[], bool], depth_max: int = 64
    ) -> None:
        """`is_open`: the server has not begun to close; whoever is cut off went away by himself.
        `depth_max`: how deep lists and maps of a message may be nested."""
        self.registry = registry
        self._arguments_depth_max = depth_max - ENVELOPE
        self._is_open = is_open
        self._running: dict[asyncio.Task[Result], None] = {}
        self._closing = False

    async def call(self, ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        """Make a call and wait for its result.

        Raises:
            MCPError: there is no such tool.
        """
        turn = turn_of(ctx)
        try:
            if turn is not None:
                await turn.come()
            return await self._call(ctx, params.name, params.arguments or {}, turn)
        finally:
            if turn is not None:
                turn.over()

    async def _call(
        self, ctx: Context, name: str, arguments: Mapping[str, object], turn: Turn | None
    ) -> dict[str, Any]:
        group = self.registry.tools[name].group if name in self.registry.tools else ""
        caller: Caller | None = None
        try:
            caller = caller_of(ctx)
            if deeper(arguments, self._arguments_depth_max):
                most = self._arguments_depth_max
                raise UsageError(f"Lists and maps are nested more than {most} deep in arguments.")
            with link_of(ctx).entered(caller):
                prepared = self.registry.prepare(
                    name, arguments, caller, key=meta_of(ctx, KEY_META)
                )
                return success(await self._done(ctx, prepared, caller, turn))
        except (UnknownTool, NotBuilt) as error:
            fault = fault_of(error)
            raise MCPError(METHOD, fault.message, fault.data) from error
        except VisionFlowError as error:
            if caller is not None:
                link_of(ctx).refused(caller, name, error)
            return failure(fault_of(error, group))
        except Exception as error:
            _log.exception("the tool %s failed", name)
            return failure(fault_of(error, group))

    async def ask(
        self, ctx: Context, name: str, arguments: Mapping[str, object], *, texts: bool = False
    ) -> Result:
        """What a tool gives this request's caller. `texts`: the arguments come from an address.

        Raises:
            VisionFlowError: as the tool, and `Registry.prepare`.
        """
        caller = caller_of(ctx)
        try:
            with link_of(ctx).entered(caller):
                prepared = self.registry.prepare(name, arguments, caller, texts=texts)
                return await self.registry.finish(prepared, Call(caller))
        except Forbidden as error:
            link_of(ctx).refused(caller, name, error)
            raise

    async def _done(
        self, ctx: Context, prepared: Prepared, caller: Caller, turn: Turn | None
    ) -> Result:
        telling = Telling() if meta_of(ctx, "progressToken") is not None else None
        call = Call(
            caller,
            key=prepared.key,
            on_progress=None if telling is None else telling.report,
            took_effect=None if turn is None else turn.over,
        )
        found = self.registry.run(prepared, call)
        if not inspect.isawaitable(found) and not call.settling:
            return found
        task = asyncio.ensure_future(_settled(found, call))
        self._running[task] = None
        task.add_done_callback(self._ended)
        try:
            if telling is None:
                return await asyncio.shield(task)
            await telling.until(task, ctx)
            return task.result()
        except asyncio.CancelledError:
            if not task.done():
                self._left(ctx, prepared, call, task)
            raise

    def _left(
        self, ctx: Context, prepared: Prepared, call: Call, task: "asyncio.Task[Result]"
    ) -> None:
        """Nobody waits for this call any more."""
        if self._is_open() and not self._closing and taken_back(ctx, call.key):
            call.cancelled.set()
            asyncio.get_running_loop().call_later(TAKEN_BACK_S, task.cancel)
        elif prepared.tool.long:
            task.cancel()

    def _ended(self, task: "asyncio.Task[Result]") -> None:
        self._running.pop(task, None)
        if not task.cancelled():
            task.exception()  # It was told to whoever waited, or nobody did.

    def closing(self) -> None:
        """From now on, clients that go away are taken to be turned away by us."""
        self._closing = True

    async def aclose(self) -> None:
        """Stop waiting for everything; what tools began goes on."""
        self.closing()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _settled(found: Result | Awaitable[Result], call: Call) -> Result:
    result = await found if inspect.isawaitable(found) else found
    for durable in call.settling:
        await durable()
    return result


def deeper(value: object, most: int) -> bool:
    """Whether lists and maps are nested more than so deep in there."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner for each in level for inner in _inside(each) if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    return cast("dict[str, Any]", value).values() if isinstance(value, dict) else value


def taken_back(ctx: Context, key: str | None) -> bool:
    """Whether a request that was cut off was taken back by its client, not just lost.

    On 2026-07-28 over HTTP closing the response is how a client cancels, and it looks like a lost
    connection. A client that gave the call a key means to ask again: there it counts as lost.
    """
    outbound = getattr(ctx.session, "_request_outbound", None)
    cancelled = getattr(outbound, "cancel_requested", None)
    if cancelled is not None and cancelled.is_set():
        return True
    over_http = ctx.request is not None
    return over_http and ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and key is None
