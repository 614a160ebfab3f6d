"""One socket's row straight from the kernel (sock_diag), without reading the table of all.

The table in /proc walks every bucket of the kernel's hash, which takes some 20 ms whatever there is
in it. This asks for one connection and takes microseconds. Where the kernel does not answer, the
table is what there is; both say the same.
"""

import errno
import os
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, ip_address

from visionflow.interfaces.access.peers import Address, Peer
from visionflow.interfaces.access.sockets import Row, SocketTable, matched

_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
_TCP, _ALL_STATES, _NO_COOKIE = 6, 0xFFFFFFFF, b"\xff" * 8
_HEADER = struct.Struct("=IHHII")
"""Length, type, flags, number, port id."""
_ASKED = struct.Struct("=BBBBI")
"""Family, protocol, extensions, padding, states."""
_PORTS = struct.Struct("!HH")
_TOLD = struct.Struct("=BBBB48sIIIII")
"""Family, state, timer, retransmits, id, expires, queues, uid, inode."""
ANSWER_S = 1.0


class SocketDiag:
    """Asks for one row at a time. A context; not for several threads at once."""

    fault = ""

    def __init__(self) -> None:
        """Raises OSError where the system has no such thing."""
        self._socket = socket.socket(getattr(socket, "AF_NETLINK", -1), socket.SOCK_RAW, _SOCK_DIAG)
        self._socket.settimeout(ANSWER_S)
        self._number = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def other_end(self, peer: Peer) -> Row | None:
        """The row of the other end; see `SocketTable.other_end`."""
        if peer.local is None or peer.remote is None:
            return None
        # Ours after theirs: if it is still the one that we hold, theirs was not a later one's.
        theirs = self._row(peer.remote, peer.local)
        return matched(peer, self._row(peer.local, peer.remote), theirs)

    def _row(self, local: Address, remote: Address) -> Row | None:
        family, own, other = _packed(local[0], remote[0])
        ports = _PORTS.pack(local[1], remote[1])
        identity = ports + own.ljust(16, b"\0") + other.ljust(16, b"\0") + bytes(4) + _NO_COOKIE
        self._number += 1
        body = _ASKED.pack(family, _TCP, 0, 0, _ALL_STATES) + identity
        self._socket.send(
            _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, self._number, 0) + body
        )
        answer = self._socket.recv(8_192)
        _, kind, _, number, _ = _HEADER.unpack_from(answer)
        if number != self._number:
            raise OSError(errno.EPROTO, "an answer to another question")
        if kind == _ERROR:
            code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
            if code == errno.ENOENT:
                return None
            raise OSError(code, os.strerror(code))
        told = _TOLD.unpack_from(answer, _HEADER.size)
        # A port that listens is told where no connection is found; that is none.
        return Row(told[8], told[9]) if told[4][:4] == ports else None


def _packed(one: str, other: str) -> tuple[int, bytes, bytes]:
    first, second = ip_address(one), ip_address(other)
    family = socket.AF_INET if isinstance(first, IPv4Address) else socket.AF_INET6
    return family, first.packed, second.packed


class Sockets:
    """The kernel's sockets: by asking for one where it answers, else from the whole table."""

    def __init__(self) -> None:
        self._table: SocketTable | None = None
        self._diag: SocketDiag | None = None
        with suppress(OSError, AttributeError):
            self._diag = SocketDiag()

    @property
    def fault(self) -> str:
        """Why nothing can be told, in words."""
        return "" if self._table is None else self._table.fault

    def other_end(self, peer: Peer) -> Row | None:
        """The row of the other end; see `SocketTable.other_end`. Blocks."""
        if self._diag is not None:
            try:
                found = self._diag.other_end(peer)
                # A kernel without this part says the same as one that knows no such connection.
                if found is not None:
                    return found
            except (OSError, ValueError, struct.error):
                self.close()
        if self._table is None:
            self._table = SocketTable.read()
        return self._table.other_end(peer)

    def close(self) -> None:
        """Let go of the kernel."""
        diag, self._diag = self._diag, None
        if diag is not None:
            diag.close()
