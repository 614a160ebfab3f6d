"""Requests as lines over a TCP connection or a unix socket: bytes in, bytes out, and when to stop.

Both ways are bounded: while the other side does not read, nothing is started for it; while too much
of what it asked waits, nothing more is read from it. A connection on which something was sent or is
due is never cut off for being quiet.
"""

import asyncio
import socket
from collections import deque
from typing import cast

from visionflow.interfaces.access.gate import Gate, Session
from visionflow.interfaces.access.peers import peer_of
from visionflow.interfaces.connections import Connections
from visionflow.interfaces.tools.faults import INTERNAL, INVALID, LIMIT, SERVER
from visionflow.interfaces.wire import dialect
from visionflow.interfaces.wire.cutting import LINE_BYTES_MAX
from visionflow.interfaces.wire.desk import Desk, log
from visionflow.interfaces.wire.dispatch import Conversation

OUT_BYTES_MAX = 64 * 1024
"""Written and not yet taken by the kernel, before nothing more is started."""
TURN_LINES = 64
"""Lines of one connection that are looked at before the others have their turn."""
IDLE_S = 6 * 3_600.0
"""A connection on which nothing was sent or is due for so long is closed."""
STRANGER_S = 60.0
"""Who is not known after so long is turned away."""
PARTIAL_S = 60.0
"""A line whose next byte does not come for so long is given up."""
UNREAD_S = 300.0
"""A client that takes nothing of what it is sent for so long is gone."""
HALF_CLOSED_S = 600.0
"""How long answers are waited for once a client has sent all that it will."""
CLOSING_S = 10.0
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 4))
_BOM = b"\xef\xbb\xbf"


class Floor:
    """What all connections of a port share."""

    def __init__(
        self, desk: Desk, gate: Gate, connections: Connections, frame_bytes_max: int
    ) -> None:
        self.desk = desk
        self.gate = gate
        self.connections = connections
        self.frame_bytes_max = frame_bytes_max
        self.lines: dict[LineProtocol, None] = {}
        """Those that are open."""

    def sweep(self, now: float) -> None:
        """Close what has been quiet for too long; `now` is the loop's time."""
        for each in list(self.lines):
            each.sweep(now)

    async def aclose(self, grace_s: float = 2.0) -> None:
        """Answer what is under way within a while, then close every connection."""
        for each in list(self.lines):
            each.finish()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        while self.lines and loop.time() < end:
            await asyncio.sleep(0.01)
        for each in list(self.lines):
            each.abort()
        while self.lines:
            await asyncio.sleep(0)


class LineProtocol(asyncio.Protocol):
    """One connection. `number` is its number among the connections when it has one already."""

    def __init__(self, floor: Floor, face: str, number: int | None = None) -> None:
        self._floor = floor
        self._face = face
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._conversation: Conversation | None = None
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._skipping = False
        """The rest of a line that was too long is not kept."""
        self._lines: deque[bytes] = deque()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._corked = False
        self._flush_due = False
        self._feeding = False
        self._next_turn = False
        self._paused = False
        self.held = False
        self._ended = False
        """The other side has sent all that it will, or we take no more."""
        self._first = True
        self._last = 0.0
        self._blocked_since = 0.0
        self._closing_since: float | None = None
        self._begun = 0.0
        self._stranger = False
        """No request of somebody who is known has come."""

    # Of asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=OUT_BYTES_MAX)
        self._begun = self._last = self._now()
        keep_alive(transport)
        connections = self._floor.connections
        self._floor.lines[self] = None
        if self._number is None:
            if connections.total >= connections.limit:
                self.turn_away(*too_many(connections.limit))
                return
            self._number = connections.opened("")
        session = self._floor.gate.arrive(peer_of(transport), self._face)
        self._floor.desk.begin(self._admit(session))

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        self._last = self._now()
        if self._ended:
            return
        if self._first:
            self._first = False
            data = data.removeprefix(_BOM)
        self._split(data)
        self._feed()

    def eof_received(self) -> bool:
        """It has sent all that it will; answers that are due are still sent."""
        if not self._ended and self._partial:
            self._end_line(b"")
        self._ended = True
        self._last = self._now()
        self._feed()
        return self._due and self._closing_since is None

    def pause_writing(self) -> None:
        """It does not read what it is sent."""
        self.held = True
        self._blocked_since = self._now()
        if self._conversation is not None:
            self._conversation.hold(True)

    def resume_writing(self) -> None:
        """It reads again."""
        self.held = False
        if self._conversation is not None:
            self._conversation.hold(False)
        self._feed()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._ended = True
        self._lines.clear()
        self._partial.clear()
        self._out.clear()
        self._floor.lines.pop(self, None)
        if self._number is not None:
            self._floor.connections.closed(self._number)
        if self._conversation is not None:
            self._conversation.leave()
        self._conversation = None
        self._transport = None

    # Lines in ------------------------------------------------------------------------------

    async def _admit(self, session: Session) -> None:
        try:
            await session.known()
        except Exception:
            log.exception("nobody could tell who is at the other end of a connection")
            message = "The server could not tell who you are."
            self.turn_away(INTERNAL, message, "internal")
            return
        if self._transport is None:
            return
        caller = session.caller
        self._stranger = caller is None
        if self._number is not None and caller is not None:
            self._floor.connections.renamed(self._number, caller.name)
        self._conversation = Conversation(
            self._floor.desk,
            session,
            self._send,
            room=LINE_BYTES_MAX - 1,
            tell=self._tell,
            on_pumped=self._feed,
            on_caller=self._named,
        )
        if self.held:
            self._conversation.hold(True)
        self._feed()

    def _named(self, caller: str) -> None:
        self._stranger = False
        if self._number is not None:
            self._floor.connections.renamed(self._number, caller)

    def _split(self, data: bytes) -> None:
        first, *rest = data.split(b"\n")
        if not rest:
            self._keep(first)
            return
        self._end_line(first)
        for line in rest[:-1]:
            self._end_line(line)
        self._keep(rest[-1])

    def _keep(self, data: bytes) -> None:
        """The beginning of a line, or more of it."""
        if self._skipping or not data:
            return
        self._partial.append(data)
        self._partial_bytes += len(data)
        if self._partial_bytes > self._floor.frame_bytes_max:
            self._partial.clear()
            self._partial_bytes = 0
            self._skipping = True
            self._refuse_long()

    def _end_line(self, data: bytes) -> None:
        if self._skipping:
            self._skipping = False
            return
        if self._partial:
            self._partial.append(data)
            data = b"".join(self._partial)
            self._partial.clear()
            self._partial_bytes = 0
        if len(data) > self._floor.frame_bytes_max:
            self._refuse_long()
        elif not data.isspace() and data:
            self._lines.append(data)

    def _refuse_long(self) -> None:
        limit = self._floor.frame_bytes_max
        message = f"The line is longer than {limit} bytes; the rest of it was passed over."
        self._send(dialect.failed(b"null", INVALID, message, {"code": "line_too_long"}))

    def _feed(self) -> None:
        """Hand lines on as long as they are taken, and read more when they are few."""
        conversation = self._conversation
        if self._feeding or self._transport is None:
            return
        self._feeding = True
        was_corked, self._corked = self._corked, True
        try:
            if conversation is not None:
                self._hand_on(conversation)
        finally:
            self._feeding = False
            self._corked = was_corked
        self._flush()
        self._pace()
        if self._ended and not self._due:
            self.close()

    def _hand_on(self, conversation: Conversation) -> None:
        for _ in range(TURN_LINES):
            if not self._lines or conversation.full or self.held:
                return
            conversation.hear(self._lines.popleft())
        if self._lines and not self._next_turn:
            self._next_turn = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._next_turn = False
        self._feed()

    @property
    def _due(self) -> bool:
        conversation = self._conversation
        if self._lines or (self._conversation is None and not self._first):
            return True
        return conversation is not None and conversation.due > 0

    def _pace(self) -> None:
        transport = self._transport
        if transport is None or self._ended or transport.is_closing():
            return
        stop = bool(self._lines) or self.held
        if stop != self._paused:
            self._paused = stop
            if stop:
                transport.pause_reading()
            else:
                transport.resume_reading()

    # Lines out -----------------------------------------------------------------------------

    def _send(self, answer: bytes | None) -> None:
        if answer is None or self._transport is None:
            return
        self._out.append(answer)
        self._out.append(b"\n")
        self._out_bytes += len(answer)
        if self._corked:
            if self._out_bytes > OUT_BYTES_MAX:
                self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush_later)

    def _tell(self, progress: bytes) -> None:
        # Whoever does not read gets the answer in the end, and may miss how far it was.
        if not self.held:
            self._send(progress)

    def _flush_later(self) -> None:
        self._flush_due = False
        self._flush()

    def _flush(self) -> None:
        if not self._out or self._transport is None:
            return
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self._last = self._now()
        self._transport.write(data)

    # Ends ----------------------------------------------------------------------------------

    def turn_away(self, code: int, message: str, word: str) -> None:
        """Say why not, and close once that was read: closing over what the other side still sends
        would reset the connection, and the answer could be lost with it."""
        self._ended = True
        self._send(dialect.failed(b"null", code, message, {"code": word}))
        self._flush()
        if self._transport is not None and self._closing_since is None:
            self._closing_since = self._now()
            self._transport.write_eof()

    def begin_turned_away(
        self, transport: asyncio.Transport, code: int, message: str, word: str
    ) -> None:
        """Begin and end at once, with an answer that says why."""
        self._transport = transport
        self._floor.lines[self] = None
        self.turn_away(code, message, word)

    def finish(self) -> None:
        """Take no more, answer what is due, and close."""
        self._ended = True
        self._lines.clear()
        self._feed()

    def close(self) -> None:
        """Send what is written, and close."""
        if self._transport is not None and self._closing_since is None:
            self._flush()
            self._closing_since = self._now()
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float) -> None:
        """Close it if it has been quiet for too long."""
        quiet = now - self._last
        if self._closing_since is not None:
            if now - self._closing_since > CLOSING_S:
                self.abort()
        elif self.held:
            if now - self._blocked_since > UNREAD_S:
                self.abort()
        elif self._ended:
            if quiet > HALF_CLOSED_S:
                self.abort()
        elif self._stranger and now - self._begun > STRANGER_S:
            message = "This server does not know who you are, and no token came."
            self.turn_away(SERVER, message, "unauthenticated")
        elif self._partial or self._skipping:
            if quiet > PARTIAL_S:
                message = f"The line has no end, and nothing came for {PARTIAL_S:.0f} seconds."
                self.turn_away(INVALID, message, "line_unfinished")
        elif quiet > IDLE_S and not self._due:
            self.close()

    def _now(self) -> float:
        return self._loop.time()


def too_many(limit: int) -> tuple[int, str, str]:
    """Why one connection more is turned away."""
    return LIMIT, f"There are {limit} connections; no more are taken.", "too_many_connections"


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel find out when the other side has vanished."""
    found = transport.get_extra_info("socket")
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            found.setsockopt(socket.IPPROTO_TCP, option, value)
