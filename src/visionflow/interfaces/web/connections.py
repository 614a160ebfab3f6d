"""The HTTP protocol of port 3000: uvicorn's own, which also knows whom it speaks with.

The gate needs the connection itself, not only two addresses, to be sure whose process is at the
other end. Connections are counted, and those beyond the limit are turned away at once.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from visionflow.interfaces.access.asgi import SESSION, App, Receive, Scope, Send
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.peers import peer_of
from visionflow.interfaces.server import Server

FACE = "rest"
HEAD_S = 15.0
"""A request's head must be there so long after the connection, or the answer before it."""
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nretry-after: 1\r\nconnection: close\r\n\r\n%s"
)
_BODY = (
    b'{"error":{"code":"too_many_connections","message":"The server has as many connections as it'
    b' may have.","hint":"Close some, or ask again later."}}'
)


def protocol_of(server: Server, gate: Gate) -> type[asyncio.Protocol]:
    """A protocol class for uvicorn's `http=`."""

    class Connection(H11Protocol):
        _number: int | None = None
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections = server.connections
            if connections.total >= connections.limit:
                transport.write(FULL % (len(_BODY), _BODY))
                transport.close()
                return
            super().connection_made(transport)
            self._number = connections.opened(FACE)
            self.app = cast(Any, _arriving(self.app, server, gate, transport, self._number))
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._number is None:
                return
            if self._timer is not None:
                self._timer.cancel()
            server.connections.closed(self._number)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._number is not None:
                super().data_received(data)

        def eof_received(self) -> None:
            if self._number is not None:
                super().eof_received()

        def on_response_complete(self) -> None:
            self._expect_head()
            super().on_response_complete()

        def _expect_head(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(HEAD_S, self._give_up)

        def _give_up(self) -> None:
            """Nobody holds a connection by sending a byte now and then."""
            cycle = cast(Any, self.cycle)
            if cycle is None or cycle.response_complete:
                self.transport.close()

    return Connection


def _arriving(app: App, server: Server, gate: Gate, transport: Any, number: int) -> App:
    """`app` for the requests of one connection, with the connection's session in their scope."""
    session = gate.arrive(peer_of(transport), FACE)

    async def arrived(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SESSION] = session
        await session.known()
        if session.caller is not None:
            server.connections.renamed(number, session.caller.name)
        await app(scope, receive, send)

    return arrived
