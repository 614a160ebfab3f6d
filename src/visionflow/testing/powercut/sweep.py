"""Cuts the power everywhere: runs a workload on recorded files, then checks what could be left.

At each sync (just before and after it), each acknowledgement and some of the writes, the files
are built as a disk could hold them: with everything unsynced lost, kept, and torn in part. Each
image is opened by the real log. Whatever was acknowledged up to there must be in it, in order,
chained, and nothing that was never given to it; and a blob that a record names must be there.

The seed decides the workload and what is kept in part. Which appends share a commit is up to the
machine, so a fault names its operation; the images of one journal are always the same.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from visionflow.adapters.files import Disk, FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.ports.blobs import Blobs
from visionflow.ports.log import Head, Log
from visionflow.testing.powercut.check import BLOB_MARK, BLOBS, LOG, check_image, write_image
from visionflow.testing.powercut.disk import SimulatedDisk, Unsynced
from visionflow.testing.powercut.journal import (
    Acknowledged,
    Journal,
    RecordingDisk,
    RecordingVfs,
    Synced,
    Witness,
    Written,
)

CHECKPOINT_PAGES = 24
"""Small, so that a short run has many checkpoints and restarts of the write-ahead file."""
LIVES = 3
FAULTS_MAX = 5
WRITES_SAMPLED = 0.1
MEMORY = Path("/dev/shm")  # images are built where syncs cost nothing


class Scene(NamedTuple):
    """What a workload works with, in one life of the log."""

    log: Log
    blobs: Blobs
    witness: Witness
    rng: Random
    appends: int


Workload = Callable[[Scene], Awaitable[None]]
OpenLog = Callable[[Path, str], Log]
OpenBlobs = Callable[[Path, Disk], Blobs]


class Report(msgspec.Struct, frozen=True):
    """What was cut and checked. Counts of the whole sweep; `faults` in the order of the journal."""

    seed: int
    operations: int
    syncs: int
    acknowledgements: int
    cut_points: int
    images: int
    """Different images that were opened."""
    repeated: int
    """Images that were the same as one before, and were judged by what was found in that."""
    faults: tuple[str, ...]


def open_log(path: Path, vfs: str) -> Log:
    """The real log, with frequent checkpoints."""
    return SqliteLog.open(path, vfs=vfs, checkpoint_pages=CHECKPOINT_PAGES)


async def standard_workload(scene: Scene) -> None:
    """Appends on three streams, alone and together, small and large, some naming a blob."""
    rng = scene.rng
    waiting: list[asyncio.Future[Head]] = []
    for _ in range(scene.appends):
        body = rng.randbytes(rng.choice((0, 40, 300, 300, 3_000, 9_000)))
        if rng.random() < 0.3:
            # From a small choice, so that some are stored again.
            name = scene.blobs.put(b"%d" % rng.randrange(30) * rng.choice((1, 800)))
            body = BLOB_MARK + name.encode()
        waiting.append(scene.witness.append(scene.log, rng.choice("abc"), body))
        if rng.random() < 0.4:
            await asyncio.gather(*waiting)
            waiting.clear()
        else:
            await asyncio.sleep(0)
    await asyncio.gather(*waiting)


def sweep(
    seed: int,
    *,
    appends: int = 150,
    open_log: OpenLog = open_log,
    open_blobs: OpenBlobs = FileBlobs,
    workload: Workload = standard_workload,
) -> Report:
    """Run the workload and cut the power at every point of it that matters.

    `appends` are spread over several lives of the log. The openers exist so that a fault can be
    planted. It takes about a tenth of a second for each append.
    """
    with TemporaryDirectory(prefix="visionflow-powercut-") as folder:
        journal = Journal(Path(folder).resolve())
        witness = Witness(journal)
        asyncio.run(_record(seed, appends, journal, witness, open_log, open_blobs, workload))
    return _examine(seed, journal, witness)


async def _record(
    seed: int,
    appends: int,
    journal: Journal,
    witness: Witness,
    open_log: OpenLog,
    open_blobs: OpenBlobs,
    workload: Workload,
) -> None:
    rng = Random(seed)
    vfs = RecordingVfs(journal)
    for life in range(LIVES):
        blobs = open_blobs(journal.root / BLOBS, RecordingDisk(journal))
        log = open_log(journal.root / LOG, vfs.name)
        share = appends * (life + 1) // LIVES - appends * life // LIVES
        await workload(Scene(log, blobs, witness, rng, share))
        log.close()
        # Acknowledgements under way when the log closed.
        await asyncio.sleep(0)
    vfs.unregister()


def _examine(seed: int, journal: Journal, witness: Witness) -> Report:
    rng = Random(seed)
    acknowledged: dict[str, int] = {}
    known: dict[bytes, dict[str, int]] = {}
    faults: list[str] = []
    points = images = repeated = 0
    base = MEMORY if os.access(MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="visionflow-powercut-", dir=base) as folder:
        for number, cut, disk in _cuts(journal, rng, acknowledged):
            points += 1
            for unsynced, image in _images(disk, rng):
                digest = sha256(msgspec.msgpack.encode(image)).digest()
                found = known.get(digest)
                if found is None:
                    images += 1
                    place = Path(folder, str(images))
                    write_image(place, image)
                    found, wrong = check_image(place, witness.submitted)
                    rmtree(place)
                    known[digest] = found
                else:
                    repeated += 1
                    wrong = []
                wrong += _missing(found, acknowledged)
                where = f"cut {cut} operation {number}, unsynced {unsynced.value}: "
                faults.extend(where + fault for fault in wrong)
            if len(faults) >= FAULTS_MAX:
                break
    return Report(
        seed=seed,
        operations=len(journal.operations),
        syncs=sum(isinstance(each, Synced) for each in journal),
        acknowledgements=sum(isinstance(each, Acknowledged) for each in journal),
        cut_points=points,
        images=images,
        repeated=repeated,
        faults=tuple(faults),
    )


def _cuts(
    journal: Journal, rng: Random, acknowledged: dict[str, int]
) -> Iterator[tuple[int, str, SimulatedDisk]]:
    """Each point at which the power goes; `acknowledged` is kept up to it."""
    disk = SimulatedDisk()
    for number, operation in enumerate(journal):
        if isinstance(operation, Synced):
            yield number, "before the sync,", disk
        disk.take(operation)
        if isinstance(operation, Acknowledged):
            stream = operation.stream
            acknowledged[stream] = max(acknowledged.get(stream, 0), operation.seq)
            yield number, f"after {stream} {operation.seq} was acknowledged,", disk
        elif isinstance(operation, Synced):
            yield number, "after the sync,", disk
        elif not isinstance(operation, Written) or rng.random() < WRITES_SAMPLED:
            yield number, f"after {type(operation).__name__.lower()},", disk


def _images(disk: SimulatedDisk, rng: Random) -> Iterator[tuple[Unsynced, dict[str, bytes | None]]]:
    yield Unsynced.LOST, disk.image(Unsynced.LOST, rng)
    yield Unsynced.KEPT, disk.image(Unsynced.KEPT, rng)
    for _ in range(2):
        yield Unsynced.SOME, disk.image(Unsynced.SOME, rng)


def _missing(found: dict[str, int], acknowledged: dict[str, int]) -> list[str]:
    return [
        f"stream {stream} was acknowledged up to {seq} and holds {found.get(stream, 0)}"
        for stream, seq in acknowledged.items()
        if found.get(stream, 0) < seq
    ]
