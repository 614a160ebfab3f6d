"""Looks at a user's files and changes them: each whole or not at all, and through no link.

New contents are written beside the place where they go, for a rename works only within one file
system and a workspace may hold several; the names carry the mark of the call, so that what a
killed one left is found. Which files, and whether they may be changed, is decided by `applying`.
"""

import errno
import os
import secrets
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from hashlib import sha256

import msgspec

from .pieces import Piece, Standing

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CONTENT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What a file system answers that has no second names for a file."""


class Obstacle(msgspec.Struct, frozen=True):
    """Something at a path, or on the way to it, that is neither file, link nor nothing."""

    at: bytes
    folder: bool


Sight = Standing | Obstacle | None


class Moved(Exception):
    """A path is not what it was a moment ago, or cannot be what it is to become."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


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
                    os.mkdir(part, dir_fd=descriptor)
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def look(root: bytes, path: bytes) -> Sight:
    """What is at the path now; `None`: nothing."""
    *folders, name = path.split(b"/")
    at = b""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in folders:
            at = part if not at else at + b"/" + part
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        at = path
        return _seen(descriptor, name, path)
    except FileNotFoundError:
        return None
    except OSError:
        return Obstacle(at, folder=False)
    finally:
        os.close(descriptor)


def _seen(folder: int, name: bytes, path: bytes) -> Sight:
    about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(about.st_mode):
        return Standing(True, os.readlink(name, dir_fd=folder))
    if not stat.S_ISREG(about.st_mode):
        return Obstacle(path, stat.S_ISDIR(about.st_mode))
    with open(os.open(name, _CONTENT, dir_fd=folder), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            return Obstacle(path, folder=False)
        executable = bool(about.st_mode & stat.S_IXUSR)
        return Standing(False, file.read(), executable, stat.S_IMODE(about.st_mode))


def stray(root: bytes, folder: bytes, known: Iterable[bytes]) -> bytes | None:
    """A file below `folder`, or a folder without any, that is not among `known`; one of them."""
    files = frozenset(known)
    for place, folders, names in os.walk(os.path.join(root, folder), onerror=_raise):
        below = os.path.relpath(place, root)
        for name in sorted([*names, *folders]):
            path = os.path.join(below, name)
            is_folder = name in folders and not os.path.islink(os.path.join(place, name))
            if is_folder and any(each.startswith(path + b"/") for each in files):
                continue
            if path not in files:
                return path
    return None


def _raise(error: OSError) -> None:
    raise error


def stage(root: bytes, pieces: Iterable[Piece], mark: str) -> dict[bytes, tuple[bytes, bytes]]:
    """Write what each path is to hold beside it, safe on the disk; by path the folder and name.

    Raises:
        OSError: one cannot be written.
    """
    staged: dict[bytes, tuple[bytes, bytes]] = {}
    for piece in pieces:
        if piece.after is None:
            continue
        folder, name = _deepest(root, piece.path), _staged_name(mark, piece.path)
        with opened(root, folder) as at:
            if piece.after.link:
                os.symlink(piece.after.body, name, dir_fd=at)
            else:
                fresh = 0o777 if piece.after.executable else 0o666
                mode = _mode(piece, look(root, piece.path))
                _write(at, name, piece.after.body, mode, fresh)
        staged[piece.path] = (folder, name)
    return staged


def _deepest(root: bytes, path: bytes) -> bytes:
    """The last folder on the way to the path that is there: of the file system it will be in."""
    at = b""
    for part in path.split(b"/")[:-1]:
        further = part if not at else at + b"/" + part
        try:
            with opened(root, further):
                at = further
        except OSError:
            break
    return at


def _staged_name(mark: str, path: bytes) -> bytes:
    return f".visionflow-{mark}-{sha256(path).hexdigest()[:16]}".encode("ascii")


def _mode(piece: Piece, seen: Sight) -> int | None:
    """The permission bits to give; `None`: those that a new file gets.

    What a file has is kept but for what the change says of it.
    """
    after = piece.after
    assert after is not None
    if after.mode is not None:
        return after.mode
    if not isinstance(seen, Standing) or seen.mode is None:
        return None
    if not piece.decides_mode:
        return seen.mode
    readers = (seen.mode & 0o444) >> 2
    return seen.mode | readers if after.executable else seen.mode & ~0o111


def place(
    root: bytes,
    pieces: tuple[Piece, ...],
    staged: dict[bytes, tuple[bytes, bytes]],
    done: list[Piece],
    lenient: bool,
) -> list[bytes]:
    """Carry out the pieces: first what goes, then what comes. Each is looked at once more.

    `done` tells which were carried out, also when this ends with an error. `lenient`: a path that
    is not what it was is left alone and returned, rather than the end of it all.

    Raises:
        Moved: such a path, unless lenient.
        OSError: something cannot be written.
    """
    left: list[bytes] = []
    for act, some in (
        (_remove, [piece for piece in pieces if piece.after is None]),
        (_put_in_place, [piece for piece in pieces if piece.after is not None]),
    ):
        for piece in some:
            try:
                act(root, piece, staged)
            except Moved:
                if not lenient:
                    raise
                left.append(piece.path)
            else:
                done.append(piece)
    return left


def _remove(root: bytes, piece: Piece, _staged: dict[bytes, tuple[bytes, bytes]]) -> None:
    if not alike(look(root, piece.path), piece.before):
        raise Moved(piece.path)
    folder, _, name = piece.path.rpartition(b"/")
    with opened(root, folder) as at:
        os.unlink(name, dir_fd=at)
        os.fsync(at)
    drop_empty(root, folder)


def drop_empty(root: bytes, folder: bytes) -> None:
    """Remove the folder and those above it as long as nothing is in them, as git does."""
    while folder:
        above, _, name = folder.rpartition(b"/")
        try:
            with opened(root, above) as at:
                os.rmdir(name, dir_fd=at)
        except OSError:
            return
        folder = above


def _put_in_place(root: bytes, piece: Piece, staged: dict[bytes, tuple[bytes, bytes]]) -> None:
    seen = look(root, piece.path)
    if isinstance(seen, Obstacle) or not alike(seen, piece.before):
        raise Moved(piece.path)
    beside, source = staged[piece.path]
    folder, _, name = piece.path.rpartition(b"/")
    try:
        with opened(root, beside) as here, opened(root, folder, make=True) as at:
            if seen is not None or not _named_too(here, source, at, name):
                os.rename(source, name, src_dir_fd=here, dst_dir_fd=at)
            os.fsync(at)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Moved(piece.path) from error


def _named_too(here: int, source: bytes, at: int, name: bytes) -> bool:
    """Give a new file its name only where nothing has it, in one step; whether that can be."""
    try:
        os.link(source, name, src_dir_fd=here, dst_dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    os.unlink(source, dir_fd=here)
    return True


def alike(seen: Sight, wanted: Standing | None) -> bool:
    """Whether it is the same file or link, or nothing in both; being executable left out."""
    if seen is None or wanted is None or isinstance(seen, Obstacle):
        return seen is wanted
    return seen.link == wanted.link and seen.body == wanted.body


def clear(root: bytes, paths: Iterable[bytes], mark: str) -> None:
    """Remove what was written beside under this mark and not used."""
    for path in paths:
        folder, name = path.rpartition(b"/")[0], _staged_name(mark, path)
        while True:
            with suppress(OSError), opened(root, folder) as at:
                os.unlink(name, dir_fd=at)
            if not folder:
                break
            folder = folder.rpartition(b"/")[0]


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


def put_whole(folder: int, name: str, body: bytes, mode: int, beside: str | None = None) -> None:
    """A file of exactly this mode, in place of whatever has the name; never half of one.

    `beside`: the name that it has while it is written.
    """
    half = beside or f".{name}-{secrets.token_hex(4)}"
    with suppress(FileNotFoundError):
        os.unlink(half, dir_fd=folder)
    try:
        put(folder, half, body, mode)
        os.rename(half, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(half, dir_fd=folder)
    os.fsync(folder)


def put(folder: int, name: str | bytes, body: bytes, mode: int) -> None:
    """A new file of exactly this mode, safe on the disk.

    Raises:
        FileExistsError: there is one already.
    """
    _write(folder, name, body, mode)


def _write(
    folder: int, name: str | bytes, body: bytes, mode: int | None, fresh: int = 0o600
) -> None:
    """`mode` `None`: `fresh`, as far as this process gives permissions."""
    descriptor = os.open(name, _NEW_FILE, fresh if mode is None else 0o600, dir_fd=folder)
    with open(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(body)
        file.flush()
        os.fsync(descriptor)
