"""The kernel's table of TCP sockets (/proc/net/tcp and tcp6): who owns the other end of one.

A socket that its process has closed stands there with inode 0 and uid 0, whoever had it: such a
row tells nothing. Which process holds an inode is `lookups`' business.
"""

import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple, Self

from visionflow.interfaces.access.peers import Address, Peer

_FILES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


class Row(NamedTuple):
    """One end of a connection."""

    uid: int
    inode: int


class SocketTable:
    """The table as it was read."""

    def __init__(self, text: bytes, fault: str = "") -> None:
        """`fault` says in words why there is nothing in it."""
        self._text = text
        self.fault = fault

    @classmethod
    def read(cls) -> Self:
        """The table of now; an empty one with a fault where the system has none. Blocks."""
        parts: list[bytes] = []
        for path in _FILES:
            try:
                parts.append(path.read_bytes())
            except OSError:
                continue
        if not parts:
            return cls(b"", "this system does not tell whose process it is")
        return cls(b"".join(parts))

    def other_end(self, peer: Peer) -> Row | None:
        """The row of the other end; `None` when it is not there, or closed, or when our end is not
        there either as we know it: then another connection may have taken the ports over."""
        if peer.local is None or peer.remote is None:
            return None
        ours = self._row(peer.local, peer.remote)
        return matched(peer, ours, self._row(peer.remote, peer.local))

    def close(self) -> None:
        """Nothing is held."""

    def _row(self, local: Address, remote: Address) -> Row | None:
        for one, other in zip(_forms(local), _forms(remote), strict=True):
            at = self._text.find(b": %s %s " % (one, other))
            if at >= 0:
                fields = self._text[at : self._text.index(b"\n", at)].split()
                # From `: local remote`: state, queues, timer, retransmits, uid, timeout, inode.
                return Row(int(fields[7]), int(fields[9]))
        return None


def matched(peer: Peer, ours: Row | None, theirs: Row | None) -> Row | None:
    """The other end's row, if both are what they seem to be."""
    if ours is None or theirs is None or theirs.inode == 0:
        return None
    if peer.inode is not None and ours.inode != peer.inode:
        return None
    return theirs


def _forms(address: Address) -> tuple[bytes, bytes]:
    """An address as either table writes it: 32-bit words in the machine's own order, in hex."""
    host, port = address
    try:
        found = ip_address(host)
    except ValueError:
        return b"-", b"-"
    if isinstance(found, IPv4Address):
        short = _hex(found.packed)
        long = _hex(IPv6Address(f"::ffff:{found}").packed)
    else:
        short, long = "-", _hex(found.packed)
    return f"{short}:{port:04X}".encode(), f"{long}:{port:04X}".encode()


def _hex(packed: bytes) -> str:
    order = "<" if sys.byteorder == "little" else ">"
    words = struct.unpack(f"{order}{len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)
