"""Delegations in an adaptive swarm whose topology changes in the middle of them, and auctions that
are under way when a mesh is left: everything ends, once, and with the right result."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.simulator.adding_teams import NUMBERS, delegation, result_of, spawn, submit, teams
from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain import events as e
from visionflow.domain import mesh_events as me
from visionflow.domain import shape_commands as hc
from visionflow.domain import shape_events as h
from visionflow.domain.commands import AnyCommand
from visionflow.domain.events import decode_record
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Payload, TaskSpec
from visionflow.ports.host import Exit
from visionflow.testing.simulator import scripted
from visionflow.testing.simulator.mesh import MeshWorld
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.workload import Action, Workload

HIERARCHICAL = Topology.HIERARCHICAL
OTHERS = tuple(t for t in Topology if t not in (HIERARCHICAL, Topology.ADAPTIVE))
END_MS = 900_000


class Adding(BaseAgent):
    """Adds up what it is given, and takes its time over it. A manager finds fault once."""

    async def process_task(self, task: Task) -> dict[str, Any]:
        await asyncio.sleep(0.3)
        if task.config.get("fails") and not task.config.get("sent_back"):
            return {}
        return {"total": sum(task.input)}

    async def aggregate_results(self, results: list[Any]) -> Any:
        return {"total": sum(each.get("total", 0) for each in results)}

    async def review_result(self, result: Any, task: Task) -> list[str]:
        if result.result["total"] == sum(task.input):
            return []
        return [f"the total is {result.result['total']}"]


@pytest.fixture(autouse=True)
def adding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(scripted.CLASSES, "adding", Adding)
    yield


def single(number: int, at_ms: int) -> Action:
    given = Payload(inline=msgspec.msgpack.encode([number]))
    return submit(TaskSpec(f"one{number}", "add", input=given), at_ms)


def switch(at_ms: int, topology: Topology) -> Action:
    def make(now: int, command: str) -> AnyCommand:
        return hc.SwitchTopology(now_ms=now, command=command, topology=topology, reason="a test")

    needs, refusals = ("form odd", "form even"), ("topology_in_force",)
    return Action(at_ms, f"switch {at_ms}", make, (), needs, refusals)


class Lived(NamedTuple):
    """What became of it."""

    results: dict[str, Any]
    failed: dict[str, str]
    under_way: int
    """How many tasks of delegations were open at switches, in all."""
    lapsed: list[str]
    """Why auctions did."""


def live(seed: int, actions: list[Action], kills_ms: tuple[int, ...] = ()) -> Lived:
    people = [spawn("boss", "coordinator"), *teams("boss")]
    world = MeshWorld(seed, Workload([*people, *actions], {}, {}, {}, 20, 0))
    world.spec = msgspec.structs.replace(world.spec, topology=Topology.ADAPTIVE)
    kernel, check, random = world.kernel, world.witness.check, Random(f"kills {seed}")

    def kill() -> None:
        if world.life is not None:
            world.life.process.die()
        for node in world.living():
            if random.random() < 0.4:
                node.ended(Exit(None, "SIGKILL"))

    try:
        world.start()
        world.client.start()
        for at_ms in kills_ms:
            kernel.at_ms(at_ms, kill)
        last_ms = max(action.at_ms for action in actions)

        def over() -> bool:
            past = kernel.now_us > last_ms * 1_000
            return bool(kernel.faults) or (past and world.client.done and not check.alive)

        why = kernel.run(over, END_MS)
        assert kernel.faults == []
        left = [
            (name, task.status, task.spec) for name, task in check.tasks.items() if not task.ends
        ]
        assert why is None, (why, left[:5], world.client.waiting())
        assert check.faults == []
        assert compare_with_replay(world.witness, world.lives) == []
        assert all(len(task.ends) == 1 for task in check.tasks.values())
        return told(world)
    finally:
        kernel.close()


def told(world: MeshWorld) -> Lived:
    results: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name, task in world.witness.check.tasks.items():
        if task.ends != ["completed"]:
            failed[name] = f"{task.ends} {task.reason}"
        elif name.startswith("whole"):
            results[name] = result_of(world, name)
    lapsed: list[str] = []
    open_: dict[str, None] = {}
    under_way = 0
    for event in (x for body in world.witness.bodies for x in decode_record(body).events):
        if isinstance(event, e.TaskSubmitted) and event.delegated_by is not None:
            open_[event.spec.id] = None
        elif isinstance(event, e.TaskCompleted):
            open_.pop(event.task, None)
        elif isinstance(event, h.TopologySwitched):
            under_way += len(open_)
        elif isinstance(event, me.AuctionLapsed):
            lapsed.append(event.reason)
    return Lived(results, failed, under_way, lapsed)


def back_and_forth(random: Random) -> list[Action]:
    """Into every other topology, and now and then back, all within a few seconds."""
    order, at_ms = [*OTHERS], 700
    random.shuffle(order)
    found: list[Action] = []
    for topology in order:
        for each in (topology, HIERARCHICAL) if random.random() < 0.6 else (topology,):
            at_ms += random.randint(150, 900)
            found.append(switch(at_ms, each))
    return found


@pytest.mark.acceptance("hierarchy", "swarm-topology")
@pytest.mark.parametrize("seed", range(8))
def test_delegations_end_once_however_often_the_topology_changes_meanwhile(seed: int) -> None:
    random = Random(f"switches {seed}")
    switches = back_and_forth(random)
    work = [
        delegation(n, random.randint(300, 3_500), **({"fails": True} if n % 3 == 1 else {}))
        for n in range(8)
    ]
    work += [single(n, random.randint(300, 4_000)) for n in range(20)]
    kills = tuple(random.sample(range(900, 4_000), 2)) if seed % 2 else ()
    lived = live(seed, [*work, *switches], kills)
    assert lived.failed == {}
    for number in range(8):
        found = lived.results[f"whole{number}"]
        assert found["result"] == {"total": sum(NUMBERS[number:])}, (number, found)
        assert (found["accepted"], found["rounds"]) == (True, 2 if number % 3 == 1 else 1), found
    assert lived.under_way > 0
    assert not [reason for reason in lived.lapsed if "did not agree" in reason and not kills]


@pytest.mark.acceptance("mesh", "swarm-topology")
@pytest.mark.parametrize("seed", range(6))
def test_what_peers_bid_for_when_their_mesh_is_left_is_given_out_at_once_and_done_once(
    seed: int,
) -> None:
    random = Random(f"auctions {seed}")
    work = [single(n, 400 + 40 * n + random.randint(0, 39)) for n in range(80)]
    pattern = (Topology.MESH, Topology.STAR, Topology.MESH, Topology.RING, Topology.MESH)
    times = sorted(random.sample(range(500, 4_000, 7), 2 * len(pattern)))
    switches = [switch(at_ms, pattern[n % 5]) for n, at_ms in enumerate(times)]
    kills = (random.randint(900, 3_500),) if seed % 2 else ()
    lived = live(100 + seed, [*work, *switches], kills)
    assert lived.failed == {}
    assert not [reason for reason in lived.lapsed if "did not agree" in reason and not kills]
