"""`/mcp`: MCP over HTTP in every era, as an ASGI app that knows who calls.

Of the 2026-07-28 revision each request stands alone: it is answered as JSON, or as a stream of
events as soon as there is progress to tell. The handshake revisions have sessions, which belong to
whoever opened them. Host, Origin and who may come in are the gate's: the SDK's own guard is off.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from visionflow.domain.errors import VisionFlowError
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.headers import Headers
from visionflow.interfaces.access.peers import Peer, plain_host
from visionflow.interfaces.mcp.guest import Guest
from visionflow.interfaces.mcp.links import LINK, Link
from visionflow.interfaces.mcp.server import Face
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.faults import Fault
from visionflow.interfaces.tools.tool import Registry

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
SESSIONS_MAX = 1_000
SESSION = "visionflow.session"
"""Where an ASGI scope carries the gate's session of its connection."""


class App:
    """The app. It serves from its first request on, or from `lifespan`; `aclose` ends it."""

    def __init__(
        self,
        face: Face,
        gate: Gate,
        body_bytes_max: int,
        events: EventStore | None = None,
        retry_ms: int | None = None,
    ) -> None:
        """`events` and `retry_ms`: let clients of the handshake revisions resume streams."""
        self.face = face
        self._gate = gate
        self._manager = StreamableHTTPSessionManager(
            face.protocol,
            event_store=events,
            retry_interval=retry_ms,
            max_request_body_size=body_bytes_max,
            max_sessions=SESSIONS_MAX,
        )
        self._running: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._down = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self.start()
            await self._serve(scope, receive, send)

    async def start(self) -> None:
        """Be ready to serve; harmless the second time."""
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        await self._up.wait()

    async def aclose(self) -> None:
        """End all sessions and stop waiting for what is under way."""
        self.face.calls.closing()
        self._down.set()
        if self._running is not None:
            await self._running
        await self.face.aclose()

    async def _run(self) -> None:
        async with self._manager.run():
            self._up.set()
            await self._down.wait()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope["headers"])
        fault = self._gate.headers.fault(headers, scope["method"] == "POST")
        if fault is not None:
            await _refuse(fault, send)
            return
        session = scope.get(SESSION)
        if session is None:
            session = await self._gate.connect(_peer(scope), "mcp")
        bearer = bearer_of(headers.get("authorization"))
        scope[LINK] = Link(self._gate, session, bearer)
        try:
            caller = session.for_request(bearer) if bearer is not None else session.caller
        except VisionFlowError:
            caller = None  # `protect` has answered such a request; a call says why.
        if caller is not None:
            # The SDK lets a session be used only by whom this names.
            scope["user"] = AuthenticatedUser(
                AccessToken(token="", client_id=caller.name, scopes=[])
            )
        await self._manager.handle_request(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


def bearer_of(authorization: str | None) -> str | None:
    """The token of an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def _refuse(fault: Fault, send: Send) -> None:
    error = {"code": fault.rpc, "message": fault.message, "data": fault.data}
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": error})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": fault.http, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _peer(scope: Scope) -> Peer:
    client, server = scope.get("client"), scope.get("server")
    return Peer(
        remote=None if client is None else (plain_host(client[0]), client[1]),
        local=None if server is None else (plain_host(server[0]), server[1]),
    )


def app(server: Server, registry: Registry, gate: Gate, guest: Guest | None = None) -> App:
    """The app for `/mcp`."""
    return App(Face(server, registry, guest), gate, server.settings.frame_bytes_max)
