"""The HOME of one coding agent: a folder of ours with copies of the few files its tool needs.

The agent writes in it, so whatever stands there is replaced, never followed: a link that it left
would lead our own copying to wherever it points.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from visionflow.agents.workspace.files import remove_tree

FILE_BYTES_MAX = 4 << 20


class Copied(msgspec.Struct, frozen=True):
    """A file in such a home as we put it there."""

    name: str
    size: int
    changed_ns: int


def make_home(home: Path, files: Iterable[tuple[str, Path]]) -> tuple[Copied, ...]:
    """Make `home` hold copies of these files: (its place there, the user's own) each.

    A copy that is there already stays where the user's own file is no newer: tools renew their
    credentials in it. Nobody may write there at the same time.

    Raises:
        OSError: it could not be written.
    """
    _own_folder(home)
    return tuple(each for name, own in files if (each := _copied(own, home, name)) is not None)


def held_in(home: Path, names: Iterable[str]) -> list[str]:
    """The texts of those copies, to find credentials in."""
    texts = (_read(home / name) for name in names)
    return [each.decode("utf-8", "replace") for each in texts if each is not None]


def drop_copies(home: Path, copies: Iterable[Copied]) -> None:
    """Remove the copies that are as we made them; one that the tool renewed is needed still."""
    for each in copies:
        place = home / each.name
        if _real_folder(home, place.parent) and _fact(each.name, place) == each:
            place.unlink(missing_ok=True)


def drop_home(home: Path) -> None:
    """Remove all of it.

    Raises:
        WorkspaceError: something is still there.
    """
    remove_tree(home)


def _copied(source: Path, home: Path, name: str) -> Copied | None:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute():
        return None
    try:
        about = os.stat(source)
    except OSError:
        return None
    place = home / name
    if _real_folder(home, place.parent) and _newer(place, about.st_mtime_ns):
        return _fact(name, place)
    content = _read(source, follow=True)
    if content is None:
        return None
    folder = home
    for part in parts[:-1]:
        folder = folder / part
        _own_folder(folder)
    if os.path.lexists(place):
        remove_tree(place)
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(target, "wb") as file:
        file.write(content)
    return _fact(name, place)


def _fact(name: str, place: Path) -> Copied | None:
    try:
        about = os.lstat(place)
    except OSError:
        return None
    return Copied(name, about.st_size, about.st_mtime_ns) if stat.S_ISREG(about.st_mode) else None


def _newer(place: Path, than_ns: int) -> bool:
    try:
        about = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_mtime_ns >= than_ns


def _real_folder(home: Path, folder: Path) -> bool:
    """Whether no link is on the way from `home` to it."""
    while True:
        if folder.is_symlink() or not folder.is_dir():
            return False
        if folder == home:
            return True
        folder = folder.parent


def _own_folder(folder: Path) -> None:
    """A folder for us alone; a link or a file in its place is removed."""
    if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def _read(place: Path, *, follow: bool = False) -> bytes | None:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        found = os.open(place, flags)
    except OSError:
        return None
    with open(found, "rb") as file:
        about = os.fstat(found)
        if not stat.S_ISREG(about.st_mode) or about.st_size > FILE_BYTES_MAX:
            return None
        return file.read(FILE_BYTES_MAX)
