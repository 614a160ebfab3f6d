"""Counts what SQLite asks of the disk, so that a benchmark can print its syncs."""

import threading
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from typing_extensions import Buffer


class CountingVfs(apsw.VFS):
    """A VFS beside the default one: open a log with `vfs=counting.name`.

    `syncs` counts fsync calls of all files opened through it, `written_bytes` what was written.
    """

    def __init__(self, name: str = "visionflow-counting") -> None:
        super().__init__(name, "")
        self.name = name
        self.syncs = 0
        self.written_bytes = 0
        self._lock = threading.Lock()

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> apsw.VFSFile:
        """SQLite opens a file."""
        return _CountingFile(self, name, flags)

    def count(self, syncs: int, written_bytes: int) -> None:
        """Add to the counts."""
        with self._lock:
            self.syncs += syncs
            self.written_bytes += written_bytes


class _CountingFile(apsw.VFSFile):
    def __init__(
        self, counts: CountingVfs, name: "str | apsw.URIFilename | None", flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._counts = counts

    def xWrite(self, data: "Buffer", offset: int) -> None:
        super().xWrite(data, offset)
        self._counts.count(0, memoryview(data).nbytes)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._counts.count(1, 0)
