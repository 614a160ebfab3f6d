"""What a disk can hold after a power cut: all that was synced, and any part of the rest.

A disk writes unsynced sectors in whatever order it likes, so each of them may be there or not,
also half of a page. Changes of names (make, rename, remove) reach it in their order, as on a
file system with a journal, but no further than it had come.
"""

from enum import Enum
from random import Random

from visionflow.testing.powercut.journal import (
    FolderSynced,
    Made,
    Operation,
    Removed,
    Renamed,
    Synced,
    Truncated,
    Written,
)

SECTOR_BYTES = 512

Change = Written | Truncated
Naming = Made | Removed | Renamed
Names = dict[str, int | None]


class Unsynced(Enum):
    """What became of the unsynced rest."""

    LOST = "lost"
    KEPT = "kept"
    SOME = "kept in part"


class File:
    """Content that is durable, and the changes after it that are not yet."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Change] = []

    def sync(self) -> None:
        """All pending changes are durable."""
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()


class SimulatedDisk:
    """Follows a journal; `image` gives the files after a power cut here."""

    def __init__(self) -> None:
        self._files: dict[int, File] = {}
        self._names: Names = {}
        self._pending: list[Naming] = []

    def take(self, operation: Operation) -> None:
        """The next operation of the journal."""
        if isinstance(operation, Made | Removed | Renamed):
            self._pending.append(operation)
            if isinstance(operation, Made) and operation.file is not None:
                self._files[operation.file] = File()
        elif isinstance(operation, Written | Truncated):
            self._files[operation.file].pending.append(operation)
        elif isinstance(operation, Synced):
            self._files[operation.file].sync()
        elif isinstance(operation, FolderSynced):
            self._settle(operation.path)

    def image(self, unsynced: Unsynced, rng: Random) -> dict[str, bytes | None]:
        """Content by path, `None` for a folder. `rng` decides what is kept in part."""
        namings = len(self._pending)
        if unsynced is Unsynced.LOST:
            namings = 0
        elif unsynced is Unsynced.SOME:
            namings = rng.randint(0, namings)
        names = dict(self._names)
        for naming in self._pending[:namings]:
            _name(names, naming)
        likely = rng.choice((0.1, 0.5, 0.9))
        image: dict[str, bytes | None] = {}
        for path, number in sorted(names.items()):
            if _folder(path) and _folder(path) not in image:
                # Its folder has no name, so nobody can get at it.
                continue
            if number is None:
                image[path] = None
                continue
            file = self._files[number]
            content = bytearray(file.durable)
            if unsynced is not Unsynced.LOST:
                for change in file.pending:
                    if unsynced is Unsynced.KEPT:
                        _apply(content, change)
                    else:
                        _tear(content, change, rng, likely)
            image[path] = bytes(content)
        return image

    def _settle(self, folder: str) -> None:
        rest: list[Naming] = []
        for naming in self._pending:
            if folder in _folders(naming):
                _name(self._names, naming)
            else:
                rest.append(naming)
        self._pending = rest


def _folders(naming: Naming) -> tuple[str, ...]:
    if isinstance(naming, Renamed):
        return (_folder(naming.source), _folder(naming.target))
    return (_folder(naming.path),)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _name(names: Names, naming: Naming) -> None:
    if isinstance(naming, Made):
        names[naming.path] = naming.file
    elif isinstance(naming, Removed):
        names.pop(naming.path, None)
    else:
        # The old name itself may never have reached the disk.
        names.pop(naming.source, None)
        names[naming.target] = naming.file


def _apply(content: bytearray, change: Change) -> None:
    if isinstance(change, Truncated):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        _write(content, change.offset, change.data)


def _write(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _tear(content: bytearray, change: Change, rng: Random, likely: float) -> None:
    """Apply those sectors of a change that happen to be on the disk."""
    if isinstance(change, Truncated):
        if rng.random() < likely:
            _apply(content, change)
        return
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if rng.random() < likely:
            _write(content, start, change.data[start - change.offset : stop - change.offset])
        start = stop
