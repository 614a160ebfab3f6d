"""Records, in one order, what is asked of the disk and what somebody was told.

SQLite's files come through a VFS (`RecordingVfs`), blobs through their file operations
(`RecordingDisk`), acknowledgements through `Witness`. The operations are carried out for real as
well. SQLite's shared-memory index is left out: it is rebuilt after a crash by design.
"""

import itertools
import threading
from asyncio import Future
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import msgspec

from visionflow.adapters.files import Disk
from visionflow.ports.log import Head, Log

if TYPE_CHECKING:
    from typing_extensions import Buffer

JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


class Operation(msgspec.Struct, frozen=True, gc=False):
    """Base of what happened. Paths are relative to the journal's root; "" is the root."""


class Made(Operation, frozen=True):
    """An empty file, or a folder where `file` is `None`, got this name."""

    path: str
    file: int | None


class Written(Operation, frozen=True):
    """Bytes were handed to the system."""

    file: int
    offset: int
    data: bytes


class Truncated(Operation, frozen=True):
    """The file has this size now."""

    file: int
    size: int


class Synced(Operation, frozen=True):
    """All that was done to the content of the file so far is durable."""

    file: int


class Removed(Operation, frozen=True):
    """The name is gone."""

    path: str


class Renamed(Operation, frozen=True):
    """The file has another name, in place of whatever had it."""

    source: str
    target: str
    file: int


class FolderSynced(Operation, frozen=True):
    """All names in the folder are durable."""

    path: str


class Acknowledged(Operation, frozen=True):
    """Somebody was told that this record is durable."""

    stream: str
    seq: int


class Journal:
    """Everything that happened under `root`, in order. Any thread may add to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self._files: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def relative(self, path: str | Path) -> str:
        """A path as operations name it."""
        found = Path(path).relative_to(self.root).as_posix()
        return "" if found == "." else found

    def file(self, path: str | Path) -> int:
        """The number of the file that has this name now; a new one is noted as made."""
        name = self.relative(path)
        with self._lock:
            number = self._files.get(name)
            if number is None:
                number = self._files[name] = next(self._numbers)
                self.operations.append(Made(name, number))
            return number

    def add(self, operation: Operation) -> None:
        """Note an operation that was carried out just now."""
        with self._lock:
            self.operations.append(operation)
            if isinstance(operation, Removed):
                self._files.pop(operation.path, None)
            elif isinstance(operation, Renamed):
                self._files[operation.target] = self._files.pop(operation.source)


class RecordingVfs(apsw.VFS):
    """A VFS on top of the default one; open a log with `vfs=recording.name`."""

    _serial = itertools.count()

    def __init__(self, journal: Journal) -> None:
        self.name = f"visionflow-recording-{next(self._serial)}"
        super().__init__(self.name, "")
        self._journal = journal

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> apsw.VFSFile:
        """SQLite opens a file; one without a name is its own and temporary."""
        if name is None:
            return apsw.VFSFile("", name, flags)
        return _RecordingFile(self._journal, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """SQLite removes a file."""
        super().xDelete(filename, syncdir)
        name = self._journal.relative(filename)
        self._journal.add(Removed(name))
        if syncdir:
            self._journal.add(FolderSynced(name.rpartition("/")[0]))


class _RecordingFile(apsw.VFSFile):
    def __init__(self, journal: Journal, name: "str | apsw.URIFilename", flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name if isinstance(name, str) else name.filename()
        self._journal = journal
        self._file = journal.file(path)
        self._folder = journal.relative(path).rpartition("/")[0]
        self._folder_due = bool(flags[0] & JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xWrite(self, data: "Buffer", offset: int) -> None:
        super().xWrite(data, offset)
        self._journal.add(Written(self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._journal.add(Truncated(self._file, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._journal.add(Synced(self._file))
        # SQLite's own VFS does this with the first sync of a journal it opened, unseen by us.
        if self._folder_due:
            self._folder_due = False
            self._journal.add(FolderSynced(self._folder))


class RecordingDisk(Disk):
    """File operations that are carried out and noted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def make_folder(self, path: Path) -> None:
        """See `Disk.make_folder`."""
        new = not path.is_dir()
        super().make_folder(path)
        if new:
            self._journal.add(Made(self._journal.relative(path), None))

    def write(self, path: Path, content: bytes) -> None:
        """See `Disk.write`."""
        super().write(path, content)
        self._journal.add(Written(self._journal.file(path), 0, content))

    def sync(self, path: Path) -> None:
        """See `Disk.sync`."""
        super().sync(path)
        self._journal.add(Synced(self._journal.file(path)))

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk.rename`."""
        file = self._journal.file(source)
        names = self._journal.relative(source), self._journal.relative(target)
        super().rename(source, target)
        self._journal.add(Renamed(*names, file))

    def sync_folder(self, path: Path) -> None:
        """See `Disk.sync_folder`; what lies above the journal's root is not noted."""
        super().sync(path)
        if path.is_relative_to(self._journal.root):
            self._journal.add(FolderSynced(self._journal.relative(path)))


class Witness:
    """Whoever uses the log: knows what it gave to it, and notes what it was told."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.submitted: dict[str, list[bytes]] = {}

    def append(self, log: Log, stream: str, body: bytes) -> "Future[Head]":
        """Append to the stream, right after all that was given to it before."""
        bodies = self.submitted.setdefault(stream, [])
        bodies.append(body)
        future = log.append(stream, len(bodies) - 1, body)
        future.add_done_callback(lambda done: self._note(stream, done))
        return future

    def _note(self, stream: str, done: "Future[Head]") -> None:
        if not done.cancelled() and done.exception() is None:
            self._journal.add(Acknowledged(stream, done.result().seq))
