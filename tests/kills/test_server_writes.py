"""A server killed with -9 at its durable writes ends up where a calm one does, and nothing twice.

`killed_core.py` has the scenario. In CI every fourth write is tried, before or after it is durable
in turn; for a release all of them, both ways.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faces.every_face import differences

PROGRAM = Path(__file__).with_name("killed_core.py")
STRIDE = 1 if os.environ.get("VISIONFLOW_RELEASE") == "1" else 4
ONCE = (
    "SwarmReserved SwarmEnded SwarmCreated SwarmClosed AgentSpawned TaskSubmitted TaskAssigned "
    "TaskCompleted TaskCancelled AgentUpdated LimitsChanged AgentTerminating AgentTerminated "
    "MemoryStored"
).split()
"""Events that the scenario makes a certain number of, whatever happens in between."""
IDS = ("swarmId", "taskId", "agentId")


class NotReached(Exception):
    """A life had fewer writes than the calm one: records that come together are one write."""


def lives(folder: Path, at: int, when: str) -> dict[str, Any]:
    """What the second life found.

    Raises:
        NotReached: the first life was over before it had so many writes.
    """
    words = [sys.executable, str(PROGRAM), str(folder), str(at), when]
    done = subprocess.run(words, capture_output=True, text=True, timeout=150, check=False)
    if at and "was not killed but ended with 0" in done.stderr:
        raise NotReached
    assert done.returncode == 0, f"write {at}, {when}: {done.stderr}"
    return json.loads((folder / "found-2").read_text())


def state(found: Mapping[str, Any]) -> Any:
    """How things are, but for ids, pids and clocks."""
    names = {
        given[name]: f"{step} {name}"
        for step, given in found["answers"].items()
        for name in IDS
        if given.get(name) is not None
    }
    steady = {name: each for name, each in found.items() if name not in ("answers", "events")}
    text = json.dumps(steady)
    for given, name in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(given, name)
    return without(json.loads(text))


MOVES = {"pid", "createdAt", "endedAt", "storedAt", "expiresAt", "duration", "avgCompletionTime",
         "avgTaskDuration", "nextCursor", "workspace", "writes", "folder"}  # fmt: skip
"""Clocks and processes, and where a test keeps its files."""


def without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without(each) for name, each in value.items() if name not in MOVES}
    return [without(each) for each in value] if isinstance(value, list) else value


def counted(found: Mapping[str, Any]) -> Counter[str]:
    """Events that must be there so often."""
    return Counter(name for each in found["events"].values() for name in each if name in ONCE)


def lost(folder: Path, found: Mapping[str, Any]) -> list[str]:
    """What a client was told and that is not so any more."""
    faults: list[str] = []
    for line in (folder / "told-1").read_text().splitlines():
        step, told = json.loads(line)
        again = found["answers"][step]
        gone = again.get("refused") == "unknown_swarm" and step == "other"
        faults += [
            f"{step}: {name} was {told[name]} and is {again.get(name)}"
            for name in IDS
            if told.get(name) is not None and told[name] != again.get(name) and not gone
        ]
    return faults


@pytest.mark.acceptance("durable")
def test_a_server_killed_at_any_durable_write_ends_up_where_a_calm_one_does(tmp_path: Path) -> None:
    calm_found = lives(tmp_path / "calm", 0, "AFTER")
    calm = json.loads((tmp_path / "calm" / "found-1").read_text())
    assert state(calm_found) == state(calm)
    writes = calm["writes"]
    assert writes >= 25
    points = [
        (at, when)
        for number, at in enumerate(range(1, writes + 1, STRIDE))
        for when in (("BEFORE", "AFTER") if STRIDE == 1 else (("BEFORE", "AFTER")[number % 2],))
    ]

    beyond: list[int] = []

    def strike(point: tuple[int, str]) -> list[str]:
        at, when = point
        folder = tmp_path / f"{at}-{when}"
        try:
            found = lives(folder, at, when)
        except NotReached:
            beyond.append(at)
            return []
        faults = lost(folder, found)
        if counted(found) != counted(calm):
            faults.append(f"events: {counted(found) - counted(calm)} more, "
                          f"{counted(calm) - counted(found)} fewer")  # fmt: skip
        faults += list(differences(state(found), state(calm)))
        return [f"write {at}, {when}: {fault}" for fault in faults]

    with ThreadPoolExecutor(2) as pool:
        faults = [fault for faults in pool.map(strike, points) for fault in faults]
    assert not faults, "\n".join(faults)
    # How many writes there are is the disk's to say; that nearly all were struck is ours.
    assert all(at > writes * 3 // 4 for at in beyond), beyond
