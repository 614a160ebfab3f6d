"""The first bytes of a connection decide who serves it: uvicorn, or the line handler.

HTTP goes on to uvicorn's own protocol, which this is. What else is understood gets a clear end: TLS
an alert, HTTP/2 a GOAWAY that says to use HTTP/1.1.
"""

import asyncio
import re
from enum import Enum
from typing import Any, ClassVar, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from visionflow.interfaces.access.gate import Session
from visionflow.interfaces.access.peers import peer_of
from visionflow.interfaces.tools.faults import SERVER
from visionflow.interfaces.wire.lines import (
    UNREAD_S,
    Floor,
    LineProtocol,
    keep_alive,
    too_many,
)

SILENT_S = 30.0
"""A connection that never said a word is closed after so long."""
HEAD_S = 60.0
"""The first line and the headers of a request must have come within this."""
UNDECIDED_BYTES_MAX = 1_024
TURNED_AWAY_MAX = 64
"""Connections above the limit that get an answer; more are closed without a word."""
CONNECTION = "visionflow.connection"
"""Where the state of an ASGI scope carries the connection."""
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,19} ")
_METHOD_BEGUN = re.compile(rb"[A-Z][A-Z-]{0,19}\Z")
_PREFACE = b"PRI * HTTP/2.0\r\n"
_TLS_ALERT = bytes((21, 3, 1, 0, 2, 2, 70))
"""Fatal: protocol_version."""
_GO_AWAY = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) + bytes(
    (0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13)
)
"""Empty SETTINGS, then GOAWAY: HTTP_1_1_REQUIRED."""


class Speech(Enum):
    """What first bytes are."""

    UNDECIDED = "undecided"
    HTTP = "http"
    HTTP2 = "http2"
    TLS = "tls"
    LINES = "lines"


def speech_of(first: bytes) -> Speech:
    """What somebody speaks who begins with these bytes."""
    said = first.lstrip(_SPACE)
    if not said or (len(said) < len(_BOM) and _BOM.startswith(said)):
        return Speech.LINES if len(first) > UNDECIDED_BYTES_MAX else Speech.UNDECIDED
    if said[0] == 22:
        if len(said) == 1:
            return Speech.UNDECIDED
        return Speech.TLS if said[1] == 3 else Speech.LINES
    if _METHOD.match(said):
        if said[:4] == _PREFACE[:4]:
            if len(said) < len(_PREFACE) and _PREFACE.startswith(said):
                return Speech.UNDECIDED
            return Speech.HTTP2 if said.startswith(_PREFACE) else Speech.HTTP
        return Speech.HTTP
    return Speech.UNDECIDED if _METHOD_BEGUN.match(said) else Speech.LINES


class Port(Floor):
    """What all connections of a TCP port share."""

    def __init__(self, *args: Any, lines_served: bool) -> None:
        super().__init__(*args)
        self.lines_served = lines_served
        self.others: dict[SniffingProtocol, None] = {}
        """Open connections that are undecided or HTTP's."""
        self.turned_away = 0

    def sweep(self, now: float) -> None:
        """Close what has been quiet for too long."""
        super().sweep(now)
        for each in list(self.others):
            each.sweep(now)


class SniffingProtocol(H11Protocol):
    """One connection. A subclass for each port carries `port`."""

    port: ClassVar[Port]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # uvicorn hands a copy of this to each request.
        super().__init__(config, server_state, {**app_state, CONNECTION: self}, _loop)
        self._first = b""
        self._speech = Speech.UNDECIDED
        self._number: int | None = None
        self._turned_away = False
        self._sessions: dict[str, Session] = {}
        self._since = 0.0
        """When it began, or its latest request did."""
        self._closing_since: float | None = None
        self._unread_since: float | None = None
        """Since when it does not read what it is sent."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It begins."""
        super().connection_made(transport)
        self._since = self.loop.time()
        keep_alive(transport)
        port = self.port
        port.others[self] = None
        if port.connections.total < port.connections.limit:
            self._number = port.connections.opened("")
        elif port.turned_away < TURNED_AWAY_MAX:
            port.turned_away += 1
            self._turned_away = True
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        if self._speech is Speech.HTTP:
            if self._idle:
                self._since = self.loop.time()
            super().data_received(data)
            return
        if self._speech is not Speech.UNDECIDED:
            return
        self._first += data
        self._speech = speech_of(self._first)
        if self._speech is not Speech.UNDECIDED:
            first, self._first = self._first, b""
            self._decided(first)

    def _decided(self, first: bytes) -> None:
        if self._speech is Speech.LINES:
            self._hand_over(first)
        elif self._speech is Speech.HTTP:
            if self._number is None:
                self._turn_away_http()
                return
            super().data_received(first.lstrip(_SPACE))
        else:
            self.transport.write(_TLS_ALERT if self._speech is Speech.TLS else _GO_AWAY)
            self._close()

    def _hand_over(self, first: bytes) -> None:
        port, number = self.port, self._number
        served = port.lines_served
        self._forget()
        self.connections.discard(cast(Any, self))
        line = LineProtocol(port, "tcp", number if number is not None else 0)
        self._number = None
        self.transport.set_protocol(line)
        if number is None:
            line.begin_turned_away(self.transport, *too_many(port.connections.limit))
        elif not served:
            message = "This port speaks HTTP only: POST / takes JSON-RPC, /mcp speaks MCP."
            line.begin_turned_away(self.transport, SERVER, message, "http_only")
        else:
            line.connection_made(self.transport)
            line.data_received(first)

    def _turn_away_http(self) -> None:
        _, message, word = too_many(self.port.connections.limit)
        body = b'{"error":{"code":"%s","message":"%s"}}' % (word.encode(), message.encode())
        self.transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
            b"retry-after: 1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        self._speech = Speech.HTTP2
        self._close()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """It has sent all that it will; an answer that is due is still sent.

        But not at `/mcp`: there a client takes its call back by closing the response, and a close
        looks the same.
        """
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return None
        if str(cycle.scope["path"]).partition("/")[2].partition("/")[0] == "mcp":
            return None
        cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._forget()
        if self._number is not None:
            self.port.connections.closed(self._number)
        super().connection_lost(exc)

    def _forget(self) -> None:
        self.port.others.pop(self, None)
        if self._turned_away:
            self._turned_away = False
            self.port.turned_away -= 1

    def pause_writing(self) -> None:
        """It does not read what it is sent."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._unread_since = None
        super().resume_writing()

    async def session(self, face: str) -> Session:
        """The gate's session of this connection, for one of HTTP's faces."""
        found = self._sessions.get(face)
        if found is None:
            found = self._sessions[face] = self.port.gate.arrive(peer_of(self.transport), face)
        await found.known()
        if self._number is not None and found.caller is not None:
            self.port.connections.renamed(self._number, found.caller.name)
        return found

    # Quiet ones ----------------------------------------------------------------------------

    @property
    def _idle(self) -> bool:
        """Between two requests, and nothing of the next one has come."""
        cycle: Any = self.cycle
        return (cycle is None or cycle.response_complete) and not self.conn.trailing_data[0]

    @property
    def _answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _close(self) -> None:
        self._closing_since = self.loop.time()
        self.transport.close()

    def sweep(self, now: float) -> None:
        """Close it if its request does not come."""
        if self._closing_since is not None:
            if now - self._closing_since > SILENT_S:
                self.transport.abort()
        elif self._unread_since is not None:
            if now - self._unread_since > UNREAD_S:
                self.transport.abort()
        elif self._speech is Speech.UNDECIDED:
            if now - self._since > SILENT_S:
                self._close()
        elif not self._answering and not self._idle and now - self._since > HEAD_S:
            if self.conn.our_state is h11.IDLE:
                self.send_400_response("The request did not come within a minute.")
            else:
                self._close()
