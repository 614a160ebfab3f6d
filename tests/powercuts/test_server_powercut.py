"""The power goes while a server serves: what a client was told is there, and a server comes up.

At each sync, each acknowledgement, each answer to a client and some of the writes, the files are
built as a disk could hold them, in both streams of the log at once. The log, the blobs and what
was told are checked in every one; in some a server is opened and asked.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any

import pytest

from tests.powercuts.server_scene import LARGE, Answer, Asking, Told, recorded, settings_in
from visionflow.adapters.files import FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.serve.opening import open_server
from visionflow.domain import events as e
from visionflow.domain import fleet as f
from visionflow.domain.events import decode_record
from visionflow.domain.tasks import Payload
from visionflow.testing.powercut.check import BLOBS, LOG, check_image, write_image
from visionflow.testing.powercut.disk import SimulatedDisk, Unsynced
from visionflow.testing.powercut.journal import Acknowledged, Journal, Synced, Witness, Written

RELEASE = os.environ.get("VISIONFLOW_RELEASE") == "1"
WRITES_SAMPLED = 1.0 if RELEASE else 0.2
RECOVERED_MAX = 100 if RELEASE else 16
MEMORY = Path("/dev/shm")
LIMIT_S = 60.0


class Image:
    """A disk after a power cut."""

    def __init__(self, folder: Path, where: str) -> None:
        self.folder = folder
        self.where = where
        self.events: list[Any] = []
        self.fleet: list[Any] = []

    def read(self) -> None:
        """What its log holds, by events."""
        if not (self.folder / LOG).exists():
            return
        log = SqliteLog.open(self.folder / LOG, create=False)
        try:
            for stream in log.streams():
                for entry in log.read(stream):
                    if stream == f.STREAM:
                        self.fleet += f.decode_fleet_record(entry.body).events
                    else:
                        self.events += decode_record(entry.body).events
        finally:
            log.close()

    def holds(self, step: str, told: Answer) -> bool:
        """Whether what was told is there."""
        if step in ("init", "other", "third"):
            reserved = [each.spec.id for each in self.fleet if isinstance(each, f.SwarmReserved)]
            made = [each.spec.id for each in self.events if isinstance(each, e.SwarmCreated)]
            return told["swarmId"] in reserved and told["swarmId"] in made
        if step == "spawn":
            return self.has(e.AgentReady, agent=told["agentId"])
        if step.startswith("store"):
            return any(isinstance(v, f.MemoryStored) and v.key == told["key"] for v in self.fleet)
        if step == "say":
            return self.has(e.TaskCompleted, task=told["taskId"])
        if step == "left":
            return any(
                isinstance(v, e.TaskSubmitted) and v.spec.id == told["taskId"] for v in self.events
            )
        if step == "update":
            return self.has(e.AgentUpdated, agent=told["agentId"])
        if step == "terminate":
            return self.has(e.AgentTerminating, agent=told["agentId"])
        assert step == "destroy"
        return any(isinstance(v, f.SwarmEnded) and v.swarm == told["swarmId"] for v in self.fleet)

    def has(self, kind: type[e.Event], **fields: str) -> bool:
        return any(
            isinstance(v, kind) and all(getattr(v, name) == given for name, given in fields.items())
            for v in self.events
        )

    def blobs_missing(self) -> list[str]:
        """Values of swarms' records that are said to be in a blob, and are not."""
        named = [v.spec.input for v in self.events if isinstance(v, e.TaskSubmitted)]
        named += [v.result for v in self.events if isinstance(v, e.TaskCompleted)]
        held = FileBlobs(self.folder / BLOBS) if named else None
        return [
            each.blob
            for each in named
            if isinstance(each, Payload) and each.blob is not None
            if held is not None and not held.has(each.blob)
        ]


def cuts(journal: Journal, rng: Random) -> Iterator[tuple[str, SimulatedDisk, dict[str, Answer]]]:
    """Each point at which the power goes, and what clients were told up to there."""
    disk, told = SimulatedDisk(), dict[str, Answer]()
    for number, operation in enumerate(journal):
        if isinstance(operation, Synced):
            yield f"before sync {number}", disk, told
        disk.take(operation)
        if isinstance(operation, Told):
            told[operation.step] = operation.answer
            yield f"{number}, after {operation.step} was told", disk, told
        elif isinstance(operation, Acknowledged):
            yield f"{number}, after {operation.stream} {operation.seq}", disk, told
        elif not isinstance(operation, Written) or rng.random() < WRITES_SAMPLED:
            yield f"{number}, after {type(operation).__name__}", disk, told


def examine(journal: Journal, witness: Witness, base: Path) -> tuple[list[str], int, int]:
    """Faults; how many images there were, and in how many a server was opened."""
    rng, faults, images, opened = Random(7), list[str](), 0, 0
    points = sum(1 for _ in cuts(journal, Random(7)))
    every = max(1, points // RECOVERED_MAX)
    for point, (where, disk, told) in enumerate(cuts(journal, Random(7))):
        for unsynced in Unsynced:
            folder = base / f"{point}-{unsynced.value.replace(' ', '-')}"
            place = folder / "server"
            folder.mkdir()
            write_image(place, disk.image(unsynced, rng))
            image = Image(place, f"{where}, unsynced {unsynced.value}")
            images += 1
            _, wrong = check_image(place, witness.submitted)
            if not wrong:
                image.read()
                wrong += [f"{s} was told and is lost" for s in told if not image.holds(s, told[s])]
                wrong += [f"blob {name} is missing" for name in image.blobs_missing()]
            if not wrong and point % every == 0 and unsynced is Unsynced.SOME:
                opened += 1
                wrong += asyncio.run(asyncio.wait_for(recovers(folder, told), LIMIT_S))
            faults += [f"{image.where}: {fault}" for fault in wrong]
            rmtree(folder)
    return faults, images, opened


async def recovers(folder: Path, told: dict[str, Answer]) -> list[str]:
    """What a server that is opened on these files does not know any more."""
    opened = await open_server(settings_in(folder))
    try:
        ask = Asking(opened)
        listed = {each["swarmId"]: each for each in (await ask("swarm_list"))["swarms"]}
        wrong = [
            f"{step} is not listed"
            for step in ("init", "other", "third")
            if step in told and told[step]["swarmId"] not in listed
        ]
        if "destroy" in told and listed[told["destroy"]["swarmId"]]["status"] != "ended":
            wrong.append("what was destroyed lives")
        for step, value in (("store", {"n": 1}), ("store large", LARGE)):
            if step in told:
                found = await ask("memory_retrieve", key=told[step]["key"])
                if found["value"] != value:
                    wrong.append(f"{step} is another value")
        if "spawn" in told:
            known = await ask("agent_status", agentId=told["spawn"]["agentId"])
            over = known["status"] in ("terminating", "terminated")
            if "terminate" in told and not over:
                wrong.append("an agent that was ended is there")
            if "update" in told and not over and known["config"] != {"colour": "blue"}:
                wrong.append("an update is lost")
        if "say" in told:
            said = await ask("task_results", taskId=told["say"]["taskId"])
            if (said["status"], said["result"]) != ("completed", {"n": 7}):
                wrong.append(f"a result is lost: {said}")
        # It serves on.
        made = await ask("swarm_init", name="after")
        await ask("memory_store", key="after", value=made["swarmId"])
        return wrong
    finally:
        await opened.close(kill=True)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """Where images are built: in memory, if there is such a place, since syncs cost nothing."""
    place = tmp_path / "images"
    if os.access(MEMORY, os.W_OK):
        place = MEMORY / f"visionflow-cuts-{os.getpid()}"
    place.mkdir()
    yield place
    rmtree(place)


@pytest.mark.acceptance("durable")
def test_what_clients_of_a_server_were_told_is_there_wherever_the_power_goes(
    tmp_path: Path, base: Path
) -> None:
    journal, witness = recorded(tmp_path)
    assert {each.step for each in journal if isinstance(each, Told)} >= {"spawn", "destroy", "say"}
    assert len(witness.submitted) == 4, "the fleet's stream and those of three swarms"
    faults, images, opened = examine(journal, witness, base)
    assert not faults, "\n".join(faults[:10])
    assert images > 300
    assert opened >= RECOVERED_MAX


def test_a_server_that_answers_before_it_is_durable_is_found(tmp_path: Path, base: Path) -> None:
    journal, witness = recorded(tmp_path, early=True)
    faults, _, _ = examine(journal, witness, base)
    assert any("was told and is lost" in fault for fault in faults)
