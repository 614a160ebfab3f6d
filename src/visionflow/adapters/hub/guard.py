"""Who may come in, and what they may say and hear. The socket's place belongs to it.

A path of a unix socket holds about 107 bytes, and folders of runs are longer than that, so the
socket stands in a folder of its own in the user's runtime folder (else the temporary one), under
a name that follows from the folder it is for: a worker that lost its orchestrator dials the same
name again.
"""

import hashlib
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from visionflow.domain.errors import ConfigError

PATH_BYTES_MAX = 100
FOLDER_PREFIX = "vf-"
"""Of the folders that `socket_path_for` makes, which the hub removes again."""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """Who a connection says it is. `pid` is filled in from what the kernel says of the peer."""

    worker: str = ""
    incarnation: int = 0
    secret: str = ""
    role: str = "session"
    """`session` for the connection that works, `beat` for the one that only says it lives."""
    pid: int = 0
    swarm: str = ""
    """Whose worker it is, where several swarms share a hub: workers of two may have one name."""

    @property
    def sender(self) -> str:
        """How its messages are marked: `worker.incarnation`, with `.beat` for a heartbeat's."""
        name = f"{self.worker}.{self.incarnation}"
        return name if self.role == "session" else f"{name}.{self.role}"


class Grant(msgspec.Struct, frozen=True):
    """Patterns of what a connection may publish and subscribe to; its own inbox comes on top."""

    publish: frozenset[str]
    subscribe: frozenset[str]
    room: str = ""
    """Where it may say and hear that. What is said in one room is not heard in another."""


class NotYet(Exception):
    """Who is expected cannot be told now: the connection ends, to be dialled again."""


Verify: TypeAlias = Callable[[Claim], Grant | None]
"""Judges a claim: what it may do, or `None` to turn it away. Raises `NotYet`."""

EVERYTHING = Grant(publish=frozenset({">"}), subscribe=frozenset({">"}))


def worker_grant(worker: str, swarm: str, role: str = "session", room: str = "") -> Grant:
    """What a worker of a swarm needs: to report, to beat, to hear what is meant for it, and to
    speak with the peers of its own swarm, where that is a mesh."""
    if role == "beat":
        return Grant(frozenset({f"orch.{swarm}.hb"}), frozenset(), room)
    return Grant(
        publish=frozenset({f"orch.{swarm}.cmd", f"orch.{swarm}.hb", f"peer.{swarm}.*"}),
        subscribe=frozenset({f"worker.{worker}", f"peer.{swarm}.*"}),
        room=room,
    )


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, as the kernel knows them."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return pid, uid


def socket_path_in(folder: Path, name: str = "hub.sock") -> str:
    """The socket's path in this very folder, which is private; where it would be too long for the
    system, that of `socket_path_for`.

    Raises:
        ConfigError: the private folder of the latter exists and is somebody else's.
    """
    path = str(folder.absolute() / name)
    return path if len(os.fsencode(path)) <= PATH_BYTES_MAX else socket_path_for(folder)


def socket_path_for(folder: Path) -> str:
    """The same short path for the same folder, in a private folder that is made if need be.

    Raises:
        ConfigError: the private folder exists and is somebody else's.
    """
    uid = os.getuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = runtime if runtime and os.access(runtime, os.W_OK) else tempfile.gettempdir()
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    private = Path(base, f"{FOLDER_PREFIX}{uid}-{name}")
    if len(os.fsencode(private)) > PATH_BYTES_MAX - 9:
        private = Path("/tmp", f"{FOLDER_PREFIX}{uid}-{name}")
    make_private(private)
    return str(private / "hub.sock")


def make_private(folder: Path) -> None:
    """A folder that only this user can enter.

    Raises:
        ConfigError: it exists and belongs to somebody else, is a link, or is open to others.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(
            f"{folder} should be this user's private folder for sockets and is not.",
            hint="Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def check_socket_path(path: str) -> None:
    """Refuse a path that the system cannot take.

    Raises:
        ConfigError: it is too long.
    """
    size = len(os.fsencode(path))
    if size > PATH_BYTES_MAX:
        raise ConfigError(
            f"The socket path {path} has {size} bytes; a unix socket takes {PATH_BYTES_MAX}.",
            hint="Use socket_path_for(folder), which keeps to the limit.",
        )
