"""Walks a folder the way a snapshot needs it: names as bytes, links never followed, faults noted.

Git's own walk is not used: it opens repositories nested in the folder, whose configuration may
name programs, and gives up at the first file that it cannot read.
"""

import os
from collections.abc import Awaitable, Callable, Iterable

import msgspec

NOTES_MAX = 100
JUNK = frozenset(
    {b".venv", b"venv", b"node_modules", b"__pycache__", b".tox", b".nox", b".visionflow"}
)
Ignored = Callable[[list[bytes]], Awaitable[set[bytes]]]
"""Which of these paths, relative to the walked folder, are to be ignored."""


class Notes:
    """What was left out and why: bounded, the rest counted."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._more = 0

    def add(self, path: bytes, why: str) -> None:
        if len(self._lines) < NOTES_MAX:
            self._lines.append(f"{shown(path)}: {why}")
        else:
            self._more += 1

    def lines(self) -> tuple[str, ...]:
        more = (f"{self._more} more files were left out.",) if self._more else ()
        return (*self._lines, *more)


class Found(msgspec.Struct, frozen=True):
    """A file or link to be kept, relative to the walked folder."""

    path: bytes
    link: bool


class Walk:
    """One walk over `root`. `tracked` paths are kept though they be junk or ignored."""

    def __init__(
        self,
        root: bytes,
        notes: Notes,
        *,
        exclude: Iterable[bytes] = (),
        junk: frozenset[bytes] = JUNK,
        tracked: frozenset[bytes] = frozenset(),
        ignored: Ignored | None = None,
    ) -> None:
        self._root = root
        self._notes = notes
        self._exclude = frozenset(exclude)
        self._junk = junk
        self._tracked = tracked
        self._tracked_folders = folders_of(tracked)
        self._ignored = ignored

    async def files(self) -> list[Found]:
        """Everything to keep, sorted by path."""
        found: list[Found] = []
        level: list[tuple[bytes, bool]] = [(b"", False)]
        while level:
            entries = [
                (path, entry, shut or entry.name in self._junk)
                for folder, shut in level
                for path, entry in self._entries(folder)
            ]
            dropped = await self._dropped([path for path, _, shut in entries if not shut])
            level = []
            for path, entry, shut in entries:
                self._sort_in(path, entry, shut or path in dropped, found, level)
        return sorted(found, key=lambda each: each.path)

    async def _dropped(self, paths: list[bytes]) -> set[bytes]:
        return await self._ignored(paths) if self._ignored is not None and paths else set()

    def _entries(self, folder: bytes) -> list[tuple[bytes, os.DirEntry[bytes]]]:
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:
                below = [(os.path.join(folder, entry.name), entry) for entry in entries]
        except OSError as error:
            self._notes.add(folder, f"folder not read ({error.strerror})")
            return []
        return [
            (path, entry)
            for path, entry in below
            if path not in self._exclude and not self._is_git(path, entry.name)
        ]

    def _is_git(self, path: bytes, name: bytes) -> bool:
        if name.lower() != b".git":
            return False
        if path != b".git":
            self._notes.add(path, "a repository inside; its files are kept, its history is not")
        return True

    def _sort_in(
        self,
        path: bytes,
        entry: os.DirEntry[bytes],
        shut: bool,
        found: list[Found],
        level: list[tuple[bytes, bool]],
    ) -> None:
        try:
            if entry.is_symlink():
                if entry.name.lower() == b".gitmodules":
                    self._notes.add(path, "git does not keep a link of this name")
                elif not shut or path in self._tracked:
                    found.append(Found(path, link=True))
            elif entry.is_dir(follow_symlinks=False):
                if not shut or path in self._tracked_folders:
                    level.append((path, shut))
            elif shut and path not in self._tracked:
                return
            elif entry.is_file(follow_symlinks=False):
                found.append(Found(path, link=False))
            else:
                self._notes.add(path, "neither file, folder nor link")
        except OSError as error:
            self._notes.add(path, f"not read ({error.strerror})")


def folders_of(paths: Iterable[bytes]) -> frozenset[bytes]:
    """The folders on the way to the paths, the walked one itself left out."""
    found: set[bytes] = set()
    for path in paths:
        folder = os.path.dirname(path)
        while folder and folder not in found:
            found.add(folder)
            folder = os.path.dirname(folder)
    return frozenset(found)


def shown(path: bytes) -> str:
    """A path as text for people; bytes that are no text are escaped."""
    return path.decode("utf-8", "backslashreplace") or "."
