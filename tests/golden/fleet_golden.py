"""Logs of the fleet's stream of released versions, as `golden` has them for swarms.

They stand in the folder `fleet` beside this, under the same rules: those that stand there are never
written again, and later versions must fold them the same. `python -m tests.golden.fleet_golden`
with `write [WHAT]` makes the files of the present version, with `restate` it adds the hash of each
older log under this version.
"""

import json
import sys
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.engine.fleet_world import FleetWorld
from tests.golden.golden import Golden
from visionflow.domain.fleet import decode_fleet_record
from visionflow.engine.fleet import FleetState, fold

HERE = Path(__file__).parent / "fleet"
SEED, STEPS = 20_265, 500


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


def folded(records: list[bytes]) -> FleetState:
    """The state that a log amounts to now."""
    state = FleetState()
    for body in records:
        fold(state, decode_fleet_record(body))
    return state


def outcome(state: FleetState) -> str:
    """A hash of what anybody may rely on."""
    swarms = [(name, spec.topology.value) for name, spec in state.swarms.items()]
    keys = [(*name, kept.size_bytes, kept.expires_ms) for name, kept in state.memory.items()]
    facts = (swarms, sorted(state.ended.items()), sorted(keys, key=str), state.now_ms)
    return sha256(msgspec.msgpack.encode(facts)).hexdigest()


def write(what: str | None = None) -> None:
    """Make the files of the present version, `what` saying what they are for beside the first.

    Raises:
        FileExistsError: they are there.
    """
    release, world = version("visionflow"), FleetWorld(SEED)
    for _ in range(STEPS):
        world.step()
    state = folded(world.log)
    facts = {
        "version": release,
        "states": {release: state.digest()},
        "outcome": outcome(state),
    }
    name = release if what is None else f"{release}-{what}"
    HERE.mkdir(exist_ok=True)
    with (HERE / f"{name}.log").open("xb") as file:
        file.write(msgspec.msgpack.encode(world.log))
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
