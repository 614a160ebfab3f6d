"""The owner's lock: one living process owns a log, and everybody can tell which.

The kernel's lock on the file (flock) decides and goes away with the process, however it ends;
pid and start time in the file only tell others whom to talk to.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

import msgspec

from visionflow.adapters.files import make_folders
from visionflow.adapters.os_processes import Identity, identity, is_alive
from visionflow.domain.errors import LogUnavailable, StoreInUse

NAMING_S_MAX = 1.0
"""Between taking the lock and writing down its name an owner needs far less than this."""
POLL_S = 0.005


_held: set[int] = set()


def _leave_locks() -> None:
    # The kernel's lock lasts as long as any copy of its descriptor; a forked process is no owner.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_locks)


class Lock:
    """A lock that this process holds until `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        _held.add(descriptor)

    def release(self) -> None:
        """Let another process own it. The file stays: removing it would race with its next owner.

        Harmless the second time.
        """
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if descriptor in _held:
            _held.remove(descriptor)
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def acquire(path: str | Path) -> Lock:
    """Become the owner. Whatever a dead owner left in the file is replaced.

    Raises:
        StoreInUse: another process owns it; the message has its pid.
        LogUnavailable: the file could not be made.
    """
    where = Path(path).absolute()
    try:
        make_folders(where.parent)
        descriptor = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LogUnavailable(
            f"The lock file {where} could not be made: {error.strerror or error}.",
            hint="Name a folder that this user may write.",
        ) from error
    try:
        _lock(where, descriptor)
        me = identity(os.getpid())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(me), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(where, descriptor)


def owner(path: str | Path) -> Identity | None:
    """The living process that owns it, `None` when there is none."""
    try:
        who = msgspec.json.decode(Path(path).read_bytes(), type=Identity)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return who if is_alive(who) else None


def _lock(where: Path, descriptor: int) -> None:
    deadline = time.monotonic() + NAMING_S_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # The name may be missing for a moment, or still be that of the owner before.
            holder = owner(where)
            if holder is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
                continue
            who = "another process" if holder is None else f"process {holder.pid}"
            raise StoreInUse(
                f"{where.parent} is in use by {who}.",
                hint="Talk to that process, or wait until it ends.",
            ) from None
        except OSError as error:
            raise LogUnavailable(f"The file {where} cannot be locked: {error}.") from error
        return
