"""`/mcp`: MCP over HTTP in every era, as an ASGI app that knows who calls.

Of the 2026-07-28 revision each request stands alone: it is answered as JSON, or as a stream of
events as soon as there is progress to tell, which calls that only read never have. The handshake
revisions have sessions, which belong to whoever opened them. Host, Origin and who may come in are
the gate's: the SDK's own guard is off.
"""

import asyncio

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from visionflow.domain.access import Caller
from visionflow.interfaces.access.asgi import (
    CALLER,
    SESSION,
    Receive,
    Scope,
    Send,
    bearer_of,
    protect,
)
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.headers import Headers
from visionflow.interfaces.mcp.guest import Guest
from visionflow.interfaces.mcp.links import LINK, Link
from visionflow.interfaces.mcp.server import Face
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.tool import Registry

SESSIONS_MAX = 1_000
MODERN = frozenset(MODERN_PROTOCOL_VERSIONS)


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
        self._guarded = protect(self._serve, gate)
        self._manager = StreamableHTTPSessionManager(
            face.protocol,
            event_store=events,
            retry_interval=retry_ms,
            max_request_body_size=body_bytes_max,
            max_sessions=SESSIONS_MAX,
        )
        # A stream that might have to tell progress costs as much as the call of a read does.
        self._at_once = StreamableHTTPSessionManager(
            face.protocol, json_response=True, max_request_body_size=body_bytes_max
        )
        self._reads = frozenset(
            name.encode()
            for name, tool in face.registry.tools.items()
            if tool.reads and not tool.long
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
            await self._guarded(scope, receive, send)

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
        async with self._manager.run(), self._at_once.run():
            self._up.set()
            await self._down.wait()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that the gate let through."""
        caller: Caller = scope[CALLER]
        scope[LINK] = Link(self._gate, scope[SESSION], bearer_of(Headers(scope["headers"])))
        # The SDK lets a session be used only by whom this names.
        access = AccessToken(token="", client_id=caller.name, scopes=[])
        scope["user"] = AuthenticatedUser(access)
        manager = self._at_once if self._is_read(scope) else self._manager
        await manager.handle_request(scope, receive, send)

    def _is_read(self, scope: Scope) -> bool:
        """Whether it is, by its headers, one call of a tool that only reads and tells no progress.
        That the body says the same is checked by the SDK; sessions have no such headers."""
        headers = dict(scope["headers"])
        return (
            headers.get(b"mcp-name") in self._reads
            and headers.get(b"mcp-method") == b"tools/call"
            and headers.get(b"mcp-protocol-version", b"").decode("latin-1") in MODERN
        )

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


def app(server: Server, registry: Registry, gate: Gate, guest: Guest | None = None) -> App:
    """The app for `/mcp`."""
    return App(Face(server, registry, guest), gate, server.settings.frame_bytes_max)
