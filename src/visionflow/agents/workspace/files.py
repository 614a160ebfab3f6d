"""Removes files that strangers' code made: links are removed, never followed."""

import os
import shutil
import stat
from pathlib import Path

from visionflow.domain.errors import WorkspaceError

from .scan import folders_of


def remove_tree(place: Path) -> None:
    """Remove a folder or file and all below, also where permissions were taken away.

    Raises:
        WorkspaceError: something of it is still there.
    """
    if place.is_symlink() or place.is_file():
        place.unlink()
        return
    if place.exists():
        _open_up(os.fsencode(place))
    for folder, names, _ in os.walk(os.fsencode(place), topdown=True):
        for name in names:
            _open_up(os.path.join(folder, name))
    shutil.rmtree(place, ignore_errors=True)
    if os.path.lexists(place):
        raise WorkspaceError(f"{place} could not be removed.", hint="Remove it by hand.")


def remove_unlisted(root: bytes, keep: frozenset[bytes]) -> None:
    """Remove everything below `root` that is neither kept nor on the way to what is.

    `.git` at the top stays. Folders that became empty go too.
    """
    _remove_below(root, b"", keep, folders_of(keep))


def _remove_below(
    root: bytes, folder: bytes, keep: frozenset[bytes], folders: frozenset[bytes]
) -> None:
    _open_up(os.path.join(root, folder))
    with os.scandir(os.path.join(root, folder)) as entries:
        below = list(entries)
    for entry in below:
        path = os.path.join(folder, entry.name)
        if path == b".git":
            continue
        if entry.is_dir(follow_symlinks=False):
            if path in folders:
                _remove_below(root, path, keep, folders)
            else:
                remove_tree(Path(os.fsdecode(entry.path)))
        elif path not in keep or not (entry.is_symlink() or entry.is_file()):
            os.unlink(entry.path)


def _open_up(folder: bytes) -> None:
    """Let the owner list and change a folder; a link is left alone."""
    about = os.lstat(folder)
    if stat.S_ISDIR(about.st_mode) and about.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(folder, about.st_mode | stat.S_IRWXU)
