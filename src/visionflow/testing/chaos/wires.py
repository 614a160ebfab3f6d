"""Cutting the connections of another process, as a broken wire would.

The kernel lends a descriptor of another process (`pidfd_getfd`, Linux 5.6), and a shutdown through
it is one of that process's own connection. Nothing in the process has to help. Where the system
offers no such thing, `can_cut` says so and no wire is cut.
"""

import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PIDFD_GETFD = 438
"""The same on every architecture."""


def can_cut() -> bool:
    """Whether this system lets this process do it: tried on itself."""
    here, there = socket.socketpair()
    with here, there:
        try:
            with borrowed(os.getpid(), here.fileno()):
                return True
        except OSError:
            return False


def cut(pid: int, listening: Path) -> int:
    """Shut down every connection that this process has to the socket `listening`; how many."""
    count = 0
    for number in _sockets(pid):
        with suppress(OSError), borrowed(pid, number) as found:
            if found.family == socket.AF_UNIX and found.getpeername() == str(listening):
                found.shutdown(socket.SHUT_RDWR)
                count += 1
    return count


def _sockets(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    yield int(name)


def borrowed(pid: int, number: int) -> socket.socket:
    """The socket that is descriptor `number` of that process.

    Raises:
        OSError: there is none, it is no socket, or the system does not lend it.
    """
    if sys.platform != "linux":
        raise OSError("Only Linux lends descriptors of other processes.")
    process = os.pidfd_open(pid)
    try:
        descriptor = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return socket.socket(fileno=descriptor)
