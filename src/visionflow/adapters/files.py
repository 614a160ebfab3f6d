"""Blobs in files, and the few durable file operations that the adapters need.

A blob is written to a temporary file, synced, renamed to its place, and the folder is synced:
at its name there is always the whole content or nothing. A file whose content nevertheless
differs from its name was damaged later; `get` refuses it and `put` replaces it.
"""

import itertools
import os
import re
import threading
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from visionflow.domain.errors import BlobMissing, LogUnavailable

NAME = re.compile(r"[0-9a-f]{64}")
KNOWN_MAX = 50_000
"""Names remembered as durable; beyond it the memory starts anew, which costs a sync each."""
LEFTOVER_S = 3_600
"""Temporary files older than this belong to nobody."""


class Disk:
    """The file operations of `FileBlobs`, one method a system call or two.

    A seam: the power-cut sweep records them and rebuilds what a disk could hold.
    """

    def make_folder(self, path: Path) -> None:
        """Make one folder; its entry is durable when the parent is synced."""
        path.mkdir(exist_ok=True)

    def write(self, path: Path, content: bytes) -> None:
        """Write a new file, not yet durable."""
        with path.open("xb") as file:
            file.write(content)

    def sync(self, path: Path) -> None:
        """Make the content of a file durable; its name is the folder's business."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name, in place of whatever had it."""
        source.replace(target)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        self.sync(path)


class FileBlobs:
    """A `Blobs` in a folder. Any thread and several processes may use it at once."""

    def __init__(self, root: str | Path, disk: Disk | None = None) -> None:
        """Raises LogUnavailable when the folder cannot be made."""
        self._root = Path(root).absolute()
        self._temporary = self._root / "tmp"
        self._disk = disk or Disk()
        self._numbers = itertools.count()
        self._known: set[str] = set()
        self._folders: set[Path] = set()
        self._lock = threading.Lock()
        try:
            make_folders(self._root.parent, self._disk)
            self._ready(self._root)
            self._ready(self._temporary)
            self._clean()
        except OSError as error:
            raise self._unavailable("prepared", error) from error

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    def put(self, content: bytes) -> str:
        """See `visionflow.ports.blobs.Blobs.put`.

        A blob that this object stored or synced itself costs nothing the second time. One that
        is found in place was written by somebody else, perhaps just before a power cut: its
        content was synced before it got its name, but whether the name was is not known, so the
        folders are synced again before it counts as durable.
        """
        name = sha256(content).hexdigest()
        path = self._path(name)
        try:
            # The set says what is durable, the file system what is still there.
            if name in self._known and path.exists():
                return name
            self._ready(path.parent)
            if not self._holds(path, name):
                self._write(path, content)
            self._disk.sync_folder(path.parent)
        except OSError as error:
            raise self._unavailable("written", error) from error
        with self._lock:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known.add(name)
        return name

    def get(self, name: str) -> bytes:
        """See `visionflow.ports.blobs.Blobs.get`.

        Raises:
            BlobMissing: no such blob, or its content has changed.
            LogUnavailable: the disk failed.
        """
        if not _is_name(name):
            raise BlobMissing(f"{name!r} is not the name of a blob: 64 hex digits are.")
        try:
            content = self._path(name).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(f"No blob {name} is stored in {self._root}.") from None
        except OSError as error:
            raise self._unavailable("read", error) from error
        if sha256(content).hexdigest() != name:
            raise BlobMissing(
                f"The content of blob {name} in {self._root} has changed since it was stored.",
                hint="Restore it from a copy; storing the same content again mends it too.",
            )
        return content

    def has(self, name: str) -> bool:
        """See `visionflow.ports.blobs.Blobs.has`."""
        return _is_name(name) and self._path(name).is_file()

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / name[2:]

    def _ready(self, folder: Path) -> None:
        """Have a folder below or at the root, with a durable name."""
        if folder in self._folders:
            return
        self._disk.make_folder(folder)
        # Also when it was there: who made it may not have come to this.
        self._disk.sync_folder(folder.parent)
        self._folders.add(folder)

    def _holds(self, path: Path, name: str) -> bool:
        try:
            return sha256(path.read_bytes()).hexdigest() == name
        except FileNotFoundError:
            return False

    def _write(self, path: Path, content: bytes) -> None:
        with self._lock:
            number = next(self._numbers)
        temporary = self._temporary / f"{os.getpid()}-{id(self):x}-{number}"
        try:
            self._disk.write(temporary, content)
            self._disk.sync(temporary)
            self._disk.rename(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def _clean(self) -> None:
        """Remove what crashes left; it has no name that anybody knows."""
        oldest = time.time() - LEFTOVER_S
        for path in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _unavailable(self, what: str, error: OSError) -> LogUnavailable:
        return LogUnavailable(
            f"The blobs in {self._root} could not be {what}: {error}.",
            hint="Check free space and permissions, then start again.",
        )


def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None


def make_folders(path: Path, disk: Disk | None = None) -> None:
    """Make a folder and the missing ones above it, each with a durable name.

    Raises:
        OSError: the operating system refused.
    """
    disk = disk or Disk()
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        disk.make_folder(folder)
        disk.sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    Disk().sync_folder(path)
