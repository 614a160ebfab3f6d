"""Who is at the other end of a call: what the rest of MCP needs of it."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import msgspec
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from visionflow.domain.access import Caller
from visionflow.domain.errors import VisionFlowError
from visionflow.interfaces.access.gate import Gate, Session
from visionflow.interfaces.tools.faults import fault_of

Context = ServerRequestContext[Any, Any]
LINK = "visionflow.link"
"""Where an ASGI scope carries the link of its request."""
PROGRAM_CHARS_MAX = 100


class Link:
    """One client's way in: the gate, and the session that it gave to this connection."""

    def __init__(self, gate: Gate, session: Session, bearer: str | None = None) -> None:
        """`bearer` came with this one request."""
        self._gate = gate
        self._session = session
        self._bearer = bearer

    def caller(self, token: str | None, client: str | None, program: str | None) -> Caller:
        """Who calls. `token` is one that the call itself brought; `client` names the session that
        MCP has of its own, `program` is what the client calls itself.

        Raises:
            Unauthenticated: nobody knows.
            Forbidden, RateLimited: see `Session.for_request`.
        """
        found = self._session.for_request(self._bearer, token)
        named = client or f"{found.face}:{found.name}:{program or ''}"
        return msgspec.structs.replace(found, client=named, program=program)

    @contextmanager
    def entered(self, caller: Caller) -> Generator[None]:
        """While a call of this caller is under way.

        Raises:
            RateLimited: too many, or too many at once.
        """
        self._gate.enter(caller)
        try:
            yield
        finally:
            self._gate.leave(caller)

    def refused(self, caller: Caller, tool: str, error: BaseException) -> None:
        """Put on record that a call was refused."""
        self._gate.refused(caller, tool, error)


class Ordered:
    """A connection whose calls take effect in the order sent: each waits for the one before."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._last: asyncio.Future[None] | None = None

    def turn(self) -> "Turn":
        """A call was read; calls take turns in the order in which they ask for one."""
        before = self._last
        self._last = mine = asyncio.get_running_loop().create_future()
        return Turn(before, mine)


class Turn:
    """One call's place in the order."""

    def __init__(self, before: "asyncio.Future[None] | None", mine: "asyncio.Future[None]") -> None:
        self._before = before
        self._mine = mine

    async def come(self) -> None:
        """Wait until the call before has taken effect."""
        if self._before is not None and not self._before.done():
            await asyncio.shield(self._before)
        self._before = None

    def over(self) -> None:
        """This call has taken effect, or never will."""
        if not self._mine.done():
            self._mine.set_result(None)


def link_of(ctx: Context) -> Link:
    """The way in by which this request came."""
    if ctx.request is not None:
        return cast(Link, ctx.request.scope[LINK])
    return cast(Ordered, ctx.lifespan_context).link


def turn_of(ctx: Context) -> Turn | None:
    """This call's turn; `None` over HTTP, where each request is on its own."""
    return None if ctx.request is not None else cast(Ordered, ctx.lifespan_context).turn()


def meta_of(ctx: Context, name: str) -> Any:
    """A value of the request's `_meta`; `None` when it has none."""
    meta = (ctx.params or {}).get("_meta")
    return cast("dict[str, Any]", meta).get(name) if isinstance(meta, dict) else None


@contextmanager
def told_as_errors(**more: Any) -> Generator[None]:
    """What fails in here is an error of the protocol: there is no result that could hold it.

    Raises:
        MCPError: so it was; `more` stands in its data.
    """
    try:
        yield
    except VisionFlowError as error:
        fault = fault_of(error)
        raise MCPError(INVALID_PARAMS, fault.message, {**fault.data, **more}) from error


def known_caller(ctx: Context) -> Caller:
    """Who makes this request, where what is told is not a tool's.

    Raises:
        MCPError: nobody knows.
    """
    with told_as_errors():
        return caller_of(ctx)


def caller_of(ctx: Context) -> Caller:
    """Who makes this request.

    Raises:
        Unauthenticated, Forbidden, RateLimited: see `Link.caller`.
    """
    token = meta_of(ctx, "visionflow/token")
    known = ctx.session.client_params
    session = None if ctx.request is None else ctx.request.headers.get("mcp-session-id")
    return link_of(ctx).caller(
        token if isinstance(token, str) else None,
        None if session is None else f"mcp:{session}",
        None if known is None else known.client_info.name[:PROGRAM_CHARS_MAX],
    )
