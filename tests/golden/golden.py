"""Logs of released versions and what they amounted to; later versions must fold them the same.

For each release stand here `<version>.log`, the records as a MessagePack list of bytes, and
`<version>.json`, with the hash of the state as that release computed it and, apart from it, a hash
of what anybody may rely on: where each task stands, after how many attempts, with which result,
which agents there are, and what was voted. A release that adds facts to the state changes the
first of the two for older logs, and says so by a new hash under its own version in `states`; the
second never changes.

What comes before the next release and brings events of its own gets a further log under the same
version, `<version>-<what>.log`: those that stand here are never written again.

`python -m tests.golden.golden write [WHAT [SEED [KIND]]]` makes the files of the present version,
of a world in which what they are for is met often; it never writes over any.
`python -m tests.golden.golden restate` adds the hash of each older log under this version.
"""

import json
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.engine.meshed import MeshWorld
from tests.engine.shaped import Shaped
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain.events import decode_record
from visionflow.domain.swarms import Strategy
from visionflow.engine.evolve import fold
from visionflow.engine.state import SwarmState

HERE = Path(__file__).parent
SEED, STEPS = 20_265, 900
KINDS: dict[str, Callable[[int], World]] = {
    "": World,
    "mesh": MeshWorld,
    "bids": lambda seed: Shaped(strategy=Strategy.DISTRIBUTED, seed=seed),
}


class Golden(NamedTuple):
    """One release's log."""

    name: str
    version: str
    records: list[bytes]
    states: dict[str, str]
    """Version that folded: the hash of the state it came to."""
    outcome: str


def known() -> list[Golden]:
    """All that stand here, oldest first."""
    found: list[Golden] = []
    for path in sorted(HERE.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        records = msgspec.msgpack.decode(path.with_suffix(".log").read_bytes(), type=list[bytes])
        found.append(
            Golden(path.stem, facts["version"], records, facts["states"], facts["outcome"])
        )
    return found


def folded(records: list[bytes]) -> SwarmState:
    """The state that a log amounts to now."""
    state = SwarmState()
    for body in records:
        fold(state, decode_record(body))
    return state


def outcome(state: SwarmState) -> str:
    """A hash of what anybody may rely on."""
    tasks = [
        (name, task.status.value, task.attempt, task.result.inline, task.reason)
        for name, task in sorted(state.tasks.items())
    ]
    agents = [(name, agent.status.value) for name, agent in sorted(state.agents.items())]
    facts = (tasks, sorted(state.finished.items()), agents, state.closed, state.now_ms)
    if state.decided:
        facts = (*facts, sorted(state.decided.items()))
    return sha256(msgspec.msgpack.encode(facts)).hexdigest()


def seeded(seed: int, kind: str = "") -> list[bytes]:
    """A log of a random world of this kind."""
    world = KINDS[kind](seed)
    for _ in range(STEPS):
        world.step()
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="the end"))
    return world.log


def write(what: str | None = None, seed: int | str = SEED, kind: str = "") -> None:
    """Make the files of the present version, `what` saying what they are for beside the first.

    Raises:
        FileExistsError: they are there.
    """
    release = version("visionflow")
    records = seeded(int(seed), kind)
    state = folded(records)
    facts = {
        "version": release,
        "states": {release: state.digest()},
        "outcome": outcome(state),
    }
    name = release if what is None else f"{release}-{what}"
    with (HERE / f"{name}.log").open("xb") as file:
        file.write(msgspec.msgpack.encode(records))
    with (HERE / f"{name}.json").open("x", encoding="utf-8") as file:
        json.dump(facts, file, indent=2)
        file.write("\n")


def restate() -> None:
    """Add the hash of the state under the present version where it has none."""
    release = version("visionflow")
    for golden in known():
        path = HERE / f"{golden.name}.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        facts["states"].setdefault(release, folded(golden.records).digest())
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    {"write": write, "restate": restate}[sys.argv[1]](*sys.argv[2:])
