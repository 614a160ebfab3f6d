"""Writes files below a folder of the user's: whole or not at all, and through no link.

Which files, and whether they may be written, is decided by `applying`.
"""

import os
import secrets
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

from visionflow.domain.errors import Refused, WorkspaceError

from .scan import shown

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened(root: bytes, path: bytes, make: bool = False) -> Generator[int]:
    """A descriptor of the folder `path` below `root`; no link on the way is followed.

    Raises:
        OSError: one of the folders is not there, or is none.
    """
    descriptor = os.open(root, _FOLDER)
    try:
        for part in filter(None, path.split(b"/")):
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=descriptor)
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def content(root: bytes, path: bytes) -> bytes | None:
    """What a plain file holds now; `None` for whatever else is there, or for nothing."""
    folder, _, name = path.rpartition(b"/")
    try:
        with opened(root, folder) as at:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(name, flags, dir_fd=at), "rb") as file:
                return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def replace(root: bytes, new: Mapping[bytes, bytes], old: Mapping[bytes, bytes]) -> None:
    """Put each file's new content in place of the old one; modes are kept.

    All are written beside the old ones first, so that a full disk is noticed before anything
    changed; each is looked at once more before it is replaced.

    Raises:
        Refused: a file is not what it was.
        WorkspaceError: one cannot be written.
    """
    mark = f".visionflow-{secrets.token_hex(4)}-"
    beside = {path: f"{mark}{number}".encode("ascii") for number, path in enumerate(sorted(new))}
    try:
        try:
            for path, name in beside.items():
                folder, _, last = path.rpartition(b"/")
                with opened(root, folder) as at:
                    mode = stat.S_IMODE(os.stat(last, dir_fd=at, follow_symlinks=False).st_mode)
                    put(at, name, new[path], mode)
            for path, name in beside.items():
                folder, _, last = path.rpartition(b"/")
                with opened(root, folder) as at:
                    if content(root, path) != old[path]:
                        raise Refused(f"{shown(path)} changed while the patch was being applied.")
                    os.rename(name, last, src_dir_fd=at, dst_dir_fd=at)
                    os.fsync(at)
        finally:
            _clear(root, beside)
    except OSError as error:
        raise WorkspaceError(
            f"A file of the patch cannot be written: {error}.",
            hint="What was written is whole; apply it again when that is mended.",
        ) from error


def _clear(root: bytes, beside: Mapping[bytes, bytes]) -> None:
    """Remove what was written beside and not used."""
    for path, name in beside.items():
        with suppress(OSError), opened(root, path.rpartition(b"/")[0]) as at:
            os.unlink(name, dir_fd=at)


def put_under_lock(folder: int, name: str, body: bytes) -> bool:
    """A new file made as git makes a ref: a lock beside it, filled, then renamed to it.

    `False`: the lock is held by somebody else, and nothing was done.

    Raises:
        FileExistsError: there is such a file now.
    """
    lock = f"{name}.lock"
    try:
        put(folder, lock, body, 0o644)
    except FileExistsError:
        return False
    try:
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            raise FileExistsError(name)
        os.rename(lock, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(lock, dir_fd=folder)
    return True


def put(folder: int, name: str | bytes, body: bytes, mode: int) -> None:
    """A new file of exactly this mode, safe on the disk.

    Raises:
        FileExistsError: there is one already.
    """
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
    os.fchmod(descriptor, mode)
    _fill(descriptor, body)


def _fill(descriptor: int, body: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
