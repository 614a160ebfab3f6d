"""The power-cut sweep: the real log and blobs pass it, each planted fault does not."""

import asyncio
from asyncio import Future
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from visionflow.adapters.chain import chained
from visionflow.adapters.files import Disk, FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.ports.log import GENESIS, Head, Log
from visionflow.testing.powercut import Scene, sweep
from visionflow.testing.powercut.check import BLOB_MARK
from visionflow.testing.powercut.disk import SimulatedDisk, Unsynced
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
from visionflow.testing.powercut.sweep import CHECKPOINT_PAGES, open_log

FEW = 45


def test_nothing_acknowledged_is_lost_wherever_the_power_goes() -> None:
    report = sweep(1, appends=60)
    assert report.faults == ()
    assert report.acknowledgements == 60
    assert report.syncs > 40
    assert report.cut_points > report.acknowledgements + report.syncs
    assert report.images > 300


def open_log_normal(path: Path, vfs: str) -> Log:
    log = SqliteLog.open(path, vfs=vfs, checkpoint_pages=CHECKPOINT_PAGES)
    log._commits._connection.execute("PRAGMA synchronous = NORMAL")
    return log


class RepliesBeforeCommit:
    """Tells that a record is durable as soon as it is handed over."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._heads: dict[str, Head] = {}
        self.read, self.follow, self.head = log.read, log.follow, log.head
        self.streams, self.close = log.streams, log.close

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        self._log.append(stream, expect, body)
        before = self._heads.get(stream) or self._log.head(stream)
        head = Head(expect + 1, chained(before.hash or GENESIS, expect + 1, body))
        self._heads[stream] = head
        early: Future[Head] = asyncio.get_running_loop().create_future()
        early.set_result(head)
        return early


def open_log_hasty(path: Path, vfs: str) -> Log:
    return RepliesBeforeCommit(open_log(path, vfs))


@pytest.mark.parametrize("planted", [open_log_normal, open_log_hasty])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_log_that_acknowledges_too_early_is_found(
    planted: Callable[[Path, str], Log], seed: int
) -> None:
    report = sweep(seed, appends=FEW, open_log=planted)
    assert any("was acknowledged up to" in fault for fault in report.faults)


def test_a_checkpoint_without_a_sync_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # With synchronous=OFF SQLite writes pages back and reuses its write-ahead file unsynced.
    def open_off(path: Path, vfs: str) -> Log:
        log = SqliteLog.open(path, vfs=vfs, checkpoint_pages=CHECKPOINT_PAGES)
        log._commits._connection.execute("PRAGMA synchronous = OFF")
        return log

    assert sweep(1, appends=FEW, open_log=open_off).faults


async def blob_after_event(scene: Scene) -> None:
    for number in range(scene.appends):
        content = scene.rng.randbytes(100 + number)
        name = sha256(content).hexdigest()
        await scene.witness.append(scene.log, "a", BLOB_MARK + name.encode())
        scene.blobs.put(content)


def test_an_event_before_its_blob_is_found() -> None:
    report = sweep(1, appends=15, workload=blob_after_event)
    assert any("names a blob" in fault for fault in report.faults)


class Leaves(Disk):
    """Does all but one operation."""

    def __init__(self, disk: Disk, out: str) -> None:
        self.make_folder, self.write, self.rename = disk.make_folder, disk.write, disk.rename
        self.sync, self.sync_folder = disk.sync, disk.sync_folder
        setattr(self, out, lambda path: None)


@pytest.mark.parametrize("out", ["sync", "sync_folder"])
def test_a_blob_that_is_not_synced_is_found(out: str) -> None:
    def open_blobs(root: Path, disk: Disk) -> FileBlobs:
        return FileBlobs(root, Leaves(disk, out))

    report = sweep(1, appends=FEW, open_blobs=open_blobs)
    assert any("names a blob" in fault for fault in report.faults)


def after(*operations: Operation) -> SimulatedDisk:
    disk = SimulatedDisk()
    for operation in operations:
        disk.take(operation)
    return disk


def test_a_simulated_disk_holds_what_was_synced_and_perhaps_the_rest() -> None:
    disk = after(
        Made("a", 1), Written(1, 0, b"x" * 1_024), Synced(1), FolderSynced(""), Written(1, 2, b"yy")
    )
    rng = Random(1)
    assert disk.image(Unsynced.LOST, rng) == {"a": b"x" * 1_024}
    assert disk.image(Unsynced.KEPT, rng) == {"a": b"xxyy" + b"x" * 1_020}
    both = {bytes(disk.image(Unsynced.SOME, rng)["a"] or b"") for _ in range(50)}
    assert both == {b"x" * 1_024, b"xxyy" + b"x" * 1_020}


def test_a_page_is_torn_at_sectors() -> None:
    disk = after(Made("a", 1), Synced(1), FolderSynced(""), Written(1, 256, b"y" * 1_024))
    rng = Random(1)
    seen = {disk.image(Unsynced.SOME, rng)["a"] for _ in range(300)}
    first, middle, last = b"y" * 256, b"y" * 512, b"y" * 256
    assert bytes(256) + first in seen
    assert bytes(512) + middle in seen
    assert bytes(1_024) + last in seen
    assert bytes(256) + first + bytes(512) + last in seen
    assert len(seen) == 8


def test_a_name_is_durable_only_with_its_folder() -> None:
    made = [Made("f", None), Made("f/new", 1), Written(1, 0, b"x"), Synced(1)]
    rng = Random(1)
    assert after(*made).image(Unsynced.LOST, rng) == {}
    assert after(*made, FolderSynced("f")).image(Unsynced.LOST, rng) == {}
    assert after(*made, FolderSynced("")).image(Unsynced.LOST, rng) == {"f": None}
    whole = after(*made, FolderSynced(""), FolderSynced("f"))
    assert whole.image(Unsynced.LOST, rng) == {"f": None, "f/new": b"x"}
    whole.take(Renamed("f/new", "f/other", 1))
    whole.take(Truncated(1, 0))
    assert whole.image(Unsynced.LOST, rng) == {"f": None, "f/new": b"x"}
    assert whole.image(Unsynced.KEPT, rng) == {"f": None, "f/other": b""}
    whole.take(FolderSynced("f"))
    whole.take(Removed("f/other"))
    assert whole.image(Unsynced.LOST, rng) == {"f": None, "f/other": b"x"}
    assert whole.image(Unsynced.KEPT, rng) == {"f": None}
