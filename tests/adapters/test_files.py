"""Blobs in files: the suite that all blobs pass, and what only files can do."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from visionflow.adapters.files import Disk, FileBlobs
from visionflow.domain.errors import LogUnavailable
from visionflow.testing.conformance import BLOB_CASES, BlobSubject, Case


def path_of(root: Path, name: str) -> Path:
    return root / name[:2] / name[2:]


@pytest.mark.parametrize("case", BLOB_CASES, ids=lambda case: case.__name__)
def test_they_are_blobs(case: Case[BlobSubject], tmp_path: Path) -> None:
    def tamper(name: str, content: bytes) -> None:
        path_of(tmp_path / "blobs", name).write_bytes(content)

    asyncio.run(case(BlobSubject(open=lambda: FileBlobs(tmp_path / "blobs"), tamper=tamper)))


class NotingDisk(Disk):
    """Notes each operation, and fails one when told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing: str | None = None

    def _note(self, operation: str, path: Path) -> None:
        self.done.append(f"{operation} {path.name}")
        if operation == self.failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def make_folder(self, path: Path) -> None:
        self._note("make", path)
        super().make_folder(path)

    def write(self, path: Path, content: bytes) -> None:
        self._note("write", path)
        super().write(path, content)

    def sync(self, path: Path) -> None:
        self._note("sync", path)
        super().sync(path)

    def rename(self, source: Path, target: Path) -> None:
        self._note("rename", target)
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self.done.append(f"folder {path.name}")
        if self.failing == "folder":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(path)


def test_content_is_synced_before_its_name_and_the_name_before_the_return(tmp_path: Path) -> None:
    disk = NotingDisk()
    blobs = FileBlobs(tmp_path / "x" / "blobs", disk)
    disk.done.clear()
    name = blobs.put(b"content")
    words = [line.split()[0] for line in disk.done if " tmp" not in line]
    assert words == ["make", "folder", "write", "sync", "rename", "folder"]
    assert disk.done[-1] == f"folder {name[:2]}"


def test_a_known_blob_costs_nothing_and_a_found_one_a_sync_of_its_name(tmp_path: Path) -> None:
    FileBlobs(tmp_path).put(b"content")
    disk = NotingDisk()
    blobs = FileBlobs(tmp_path, disk)
    disk.done.clear()
    name = blobs.put(b"content")
    assert disk.done[-1] == f"folder {name[:2]}"
    assert not any(line.startswith(("write", "rename")) for line in disk.done)
    disk.done.clear()
    blobs.put(b"content")
    assert disk.done == []


@pytest.mark.parametrize("operation", ["make", "write", "sync", "rename", "folder"])
def test_a_disk_that_refuses_makes_the_store_unavailable(operation: str, tmp_path: Path) -> None:
    disk = NotingDisk()
    blobs = FileBlobs(tmp_path, disk)
    disk.failing = operation
    with pytest.raises(LogUnavailable, match=str(tmp_path)):
        blobs.put(b"content")
    assert list((tmp_path / "tmp").iterdir()) == []
    disk.failing = None
    disk.done.clear()
    name = blobs.put(b"content")
    assert disk.done[-1] == f"folder {name[:2]}"
    assert blobs.get(name) == b"content"


def test_what_a_crash_left_half_written_is_removed_when_it_is_old(tmp_path: Path) -> None:
    FileBlobs(tmp_path)
    old, young = tmp_path / "tmp" / "1-old-0", tmp_path / "tmp" / "1-young-0"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    FileBlobs(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnavailable, match="file"):
        FileBlobs(tmp_path / "file")
    with pytest.raises(LogUnavailable, match="file"):
        FileBlobs(tmp_path / "file" / "blobs")
