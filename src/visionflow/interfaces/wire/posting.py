"""`POST /`: the guide's dialect over HTTP, one message or batch a request. And what else stands on
the port: a word on what it is, and the app that is mounted at /mcp.

Faults of JSON-RPC come with status 200 and the error inside, as its clients expect. Who may not
come in at all gets a status of HTTP's, with a JSON-RPC error as the body all the same.
"""

import asyncio
from contextlib import suppress

from visionflow.domain.errors import Unauthenticated
from visionflow.interfaces.access.asgi import (
    QUIET,
    SESSION,
    App,
    Receive,
    Scope,
    Send,
    bearer_of,
    retry,
)
from visionflow.interfaces.access.gate import Gate, Session
from visionflow.interfaces.access.headers import Headers, closing
from visionflow.interfaces.tools.faults import INVALID, Fault, fault_of
from visionflow.interfaces.wire import dialect
from visionflow.interfaces.wire.desk import Desk
from visionflow.interfaces.wire.dispatch import Conversation
from visionflow.interfaces.wire.sniffing import CONNECTION

BODY_S = 120.0
"""A body must have come within this."""
DRAIN_S = 10.0
DRAIN_TIMES = 4
"""Of a body that is too long, so many times the bound are read and thrown away before the answer:
closing over what is still being sent would reset the connection, and the answer be lost."""
ALLOW = (b"allow", b"GET, HEAD, POST, OPTIONS")
MOUNTED = ("/mcp", "/.well-known")
_KEPT = ("unauthenticated", "forbidden", "rate_limited")
"""Faults that are told by a status of HTTP's too."""


class TooLarge(Exception):
    """The body is over its bound; `more`: the rest of it is still to come."""

    def __init__(self, more: bool = True) -> None:
        super().__init__()
        self.more = more


class Front:
    """The ASGI app of the port."""

    def __init__(
        self,
        desk: Desk,
        gate: Gate,
        version: str,
        body_bytes_max: int,
        mounted: App | None,
        *,
        lines_served: bool = True,
    ) -> None:
        self._desk = desk
        self._gate = gate
        self._version = version
        self._body_bytes_max = body_bytes_max
        self._mounted = mounted
        self._lines_served = lines_served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        connection = scope["state"].pop(CONNECTION)
        path = str(scope["path"])
        if self._mounted is not None and _below(path):
            scope[SESSION] = await connection.session("mcp")
            await self._mounted(scope, receive, send)
            return
        session = await connection.session("http")
        headers = Headers(scope["headers"])
        method = str(scope["method"])
        fault = self._gate.headers.fault(headers, method == "POST")
        if fault is not None:
            self._gate.turned_away(session, fault)
            await _refuse(send, fault, *closing(fault))
        elif path not in ("/", ""):
            await _refuse(send, self._nothing_at(path))
        elif method == "POST":
            await self._post(session, headers, receive, send)
        elif method in ("GET", "HEAD"):
            await _send(send, 200, self._words().encode(), b"text/plain; charset=utf-8")
        elif method == "OPTIONS":
            await _send(send, 204, b"", None, ALLOW)
        else:
            told = {"code": "method_not_allowed", "hint": "POST JSON-RPC, or GET a few words."}
            fault = Fault(INVALID, 405, f"There is no {method[:40]} here.", told)
            await _refuse(send, fault, ALLOW)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._mounted is not None:
            await self._mounted(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _words(self) -> str:
        mcp = "" if self._mounted is None else "\n/mcp speaks MCP over HTTP."
        lines = ", or speak it in lines over TCP on this port" if self._lines_served else ""
        return (
            f"VisionFlow {self._version}. POST JSON-RPC 2.0 here{lines}; tools/list has the "
            f"tools.{mcp}\n"
        )

    def _nothing_at(self, path: str) -> Fault:
        hint = "POST JSON-RPC to /." if self._mounted is None else "POST JSON-RPC to /; MCP: /mcp."
        data = {"code": "not_found", "hint": hint}
        return Fault(INVALID, 404, f"There is nothing at {path[:100]!r}.", data)

    # POST / --------------------------------------------------------------------------------

    async def _post(self, session: Session, headers: Headers, receive: Receive, send: Send) -> None:
        length = headers.get("content-length")
        try:
            if length is not None and length.isdigit() and int(length) > self._body_bytes_max:
                raise TooLarge
            body = await asyncio.wait_for(self._body(receive), BODY_S)
        except (TooLarge, TimeoutError) as error:
            if isinstance(error, TooLarge) and error.more and headers.get("expect") is None:
                await self._drain(receive)
            await _refuse(send, self._unread(error), (b"connection", b"close"))
            return
        if body is None:
            return
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def reply(answer: bytes | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        try:
            bearer = bearer_of(headers)
        except Unauthenticated as error:
            self._gate.turned_away(session, error)
            await _refuse(send, fault_of(error))
            return
        conversation = Conversation(self._desk, session, reply, bearer=bearer)
        conversation.hear(body)
        if not answered.done():
            await _answered_or_gone(answered, receive)
        if not answered.done():
            conversation.leave()
            return
        await self._tell(answered.result(), conversation.fault, send)

    def _unread(self, error: Exception) -> Fault:
        if isinstance(error, TimeoutError):
            told = {"code": "body_unfinished"}
            message = f"The body did not come within {BODY_S:.0f} seconds."
            return Fault(INVALID, 408, message, told)
        message = f"The body is longer than {self._body_bytes_max} bytes."
        return Fault(INVALID, 413, message, {"code": "body_too_large"})

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; `None` when the client went away before its end."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = bool(message.get("more_body", False))
            if size > self._body_bytes_max:
                raise TooLarge(more)
            if not more:
                return b"".join(parts)

    async def _drain(self, receive: Receive) -> None:
        """Throw away what is left of a body, within bounds."""

        async def throw_away() -> None:
            left = DRAIN_TIMES * self._body_bytes_max
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return

        with suppress(TimeoutError):
            await asyncio.wait_for(throw_away(), DRAIN_S)

    async def _tell(self, answer: bytes | None, fault: Fault | None, send: Send) -> None:
        if answer is None:
            await _send(send, 202, b"", None)
        elif fault is None or answer.startswith(b"[") or fault.data.get("code") not in _KEPT:
            await _send(send, 200, answer, b"application/json")
        else:
            await _send(send, fault.http, answer, b"application/json", *_beside(fault))


async def _answered_or_gone(answered: "asyncio.Future[bytes | None]", receive: Receive) -> None:
    """Wait for the answer, or until the client has gone away."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    watching = asyncio.ensure_future(gone())
    try:
        await asyncio.wait((answered, watching), return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _below(path: str) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in MOUNTED)


def _beside(fault: Fault) -> list[tuple[bytes, bytes]]:
    """Headers that belong to a fault."""
    challenged = [(b"www-authenticate", b'Bearer realm="visionflow"')]
    return [*(challenged if fault.http == 401 else ()), *retry(fault)]


async def _refuse(send: Send, fault: Fault, *headers: tuple[bytes, bytes]) -> None:
    body = dialect.fault(b"null", fault)
    await _send(send, fault.http, body, b"application/json", *_beside(fault), *headers)


async def _send(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes | None,
    *headers: tuple[bytes, bytes],
) -> None:
    given = [*QUIET]
    if status != 204:
        given.append((b"content-length", b"%d" % len(body)))
    if content_type is not None:
        given.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": [*given, *headers]})
    await send({"type": "http.response.body", "body": body})
