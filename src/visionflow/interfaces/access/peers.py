"""The other end of a connection, as far as it can be told without looking around.

`peer_of` reads it off a transport, once for each connection. Whose process it is, `lookups` finds.
"""

import os
import socket
import struct
from asyncio import BaseTransport
from ipaddress import ip_address
from typing import Any

import msgspec

Address = tuple[str, int]
"""A host in the shortest form (IPv4 also where it came mapped into IPv6), and a port."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The two ends of a connection."""

    remote: Address | None = None
    """`None`: a unix socket, or a connection that is over already."""
    local: Address | None = None
    inode: int | None = None
    """Of our end, so that no later connection between the same ports is taken for this one."""
    uid: int | None = None
    """Of a unix socket's other end, from the kernel."""
    pid: int | None = None
    """The same."""
    unix: bool = False

    @property
    def address(self) -> str:
        """Where it comes from: a host, or `unix`."""
        if self.unix:
            return "unix"
        return "unknown" if self.remote is None else self.remote[0]

    @property
    def loopback(self) -> bool:
        """Whether it comes from this machine by a loopback address."""
        return self.remote is not None and is_loopback(self.remote[0])


def peer_of(transport: BaseTransport) -> Peer:
    """Who a connection is with. It never fails: what cannot be told is `None`."""
    connection: Any = transport.get_extra_info("socket")
    if connection is None:
        return Peer()
    if connection.family == getattr(socket, "AF_UNIX", None):
        pid, uid = _credentials(connection)
        return Peer(unix=True, uid=uid, pid=pid)
    try:
        inode = os.fstat(connection.fileno()).st_ino
        return Peer(
            remote=_plain(connection.getpeername()),
            local=_plain(connection.getsockname()),
            inode=inode,
        )
    except OSError:
        return Peer()


def _credentials(connection: Any) -> tuple[int | None, int | None]:
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None, None
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    except OSError:
        return None, None
    pid, uid, _ = struct.unpack("3i", found)
    # A process that this pid namespace does not hold has the number 0.
    return pid or None, uid


def _plain(name: tuple[Any, ...]) -> Address:
    return plain_host(str(name[0])), int(name[1])


def plain_host(host: str) -> str:
    """An address in its shortest form: `::ffff:127.0.0.1` is `127.0.0.1`; no scope."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine to itself; a name is not."""
    try:
        return ip_address(plain_host(host)).is_loopback
    except ValueError:
        return False
