"""The HTTP protocol of port 3000: uvicorn's own, which also knows whom it speaks with.

The gate needs the connection itself, not only two addresses, to be sure whose process is at the
other end. Connections are counted, and those beyond the limit are turned away at once.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from visionflow.interfaces.access.asgi import arriving
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.server import Server

FACE = "rest"
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

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections = server.connections
            if connections.total >= connections.limit:
                transport.write(FULL % (len(_BODY), _BODY))
                transport.close()
                return
            super().connection_made(transport)
            self.app = cast(Any, arriving(self.app, gate, transport, FACE))
            self._number = connections.opened(FACE)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._number is None:
                return
            server.connections.closed(self._number)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._number is not None:
                super().data_received(data)

        def eof_received(self) -> None:
            if self._number is not None:
                super().eof_received()

    return Connection
