"""Delegations go on whoever of the hierarchy dies in the middle of them, or the orchestrator."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from tests.simulator.adding_teams import NUMBERS, delegation, result_of, spawn, teams
from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain import commands as c
from visionflow.domain.commands import AnyCommand
from visionflow.domain.swarms import Topology
from visionflow.domain.teams import LEAD
from visionflow.ports.host import Exit
from visionflow.testing.simulator import scripted
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Workload

pytestmark = pytest.mark.acceptance("hierarchy")
UNTIL_MS = 900_000


class Adding(BaseAgent):
    """Adds up what it is given, and takes its time over it."""

    async def process_task(self, task: Task) -> dict[str, Any]:
        await asyncio.sleep(0.2)
        return {"total": sum(task.input)}

    async def aggregate_results(self, results: list[Any]) -> Any:
        return {"total": sum(each["total"] for each in results)}


@pytest.fixture(autouse=True)
def adding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(scripted.CLASSES, "adding", Adding)
    yield


def end(agent: str, at_ms: int) -> Action:
    def make(now: int, command: str) -> AnyCommand:
        return c.TerminateAgent(now_ms=now, command=command, agent=agent)

    return Action(at_ms, f"end {agent}", make, needs=("submit whole0",))


def world_of(seed: int, delegations: int) -> World:
    random = Random(seed)
    actions = [spawn("boss1", "coordinator"), spawn("boss2", "coordinator", "spawn boss1")]
    actions += teams("boss1", "boss2")
    actions += [delegation(number, random.randint(500, 3_000)) for number in range(delegations)]
    actions.append(end("boss1", random.randint(600, 3_500)))
    world = World(seed, Workload(actions, {}, {}, {}, 20, 0))
    world.spec = replace(world.spec, topology=Topology.HIERARCHICAL)
    return world


def results(world: World, delegations: int) -> list[Any]:
    found: list[Any] = []
    for number in range(delegations):
        task = world.witness.check.tasks[f"whole{number}"]
        assert task.ends == ["completed"], (number, task.status, task.reason, task.failures)
        found.append(result_of(world, f"whole{number}"))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_leads_and_the_manager_die_in_the_middle_of_delegations_and_nothing_is_lost(
    seed: int,
) -> None:
    count = 6
    world, random = world_of(seed, count), Random(f"deaths of {seed}")
    kernel, check = world.kernel, world.witness.check
    try:
        world.start()
        world.client.start()

        def kill_workers() -> None:
            for node in world.living():
                if random.random() < 0.5:
                    node.ended(Exit(None, "SIGKILL"))

        def kill_orchestrator() -> None:
            if world.life is not None:
                world.life.process.die()

        kernel.at_ms(random.randint(800, 4_000), kill_workers)
        kernel.at_ms(random.randint(800, 4_000), kill_orchestrator)

        def leads() -> list[str]:
            led = [t for t in check.tasks.values() if t.spec["type"] == LEAD]
            return [task.agent for task in led if task.agent in ("lead1", "lead2")]

        assert kernel.run(lambda: bool(leads()), UNTIL_MS) is None
        victim = leads()[0]
        other = "lead1" if victim == "lead2" else "lead2"
        world.client.ask(end(victim, 0))
        later_us = random.randint(1_000, 2_000_000)
        kernel.after(later_us, lambda: world.client.ask(end(other, 0)))

        def over() -> bool:
            whole = [check.tasks.get(f"whole{number}") for number in range(count)]
            ended = all(task is not None and task.ends for task in whole)
            told = world.client.done and check.teams.replaced == 3
            return bool(kernel.faults) or (ended and told)

        why = kernel.run(over, UNTIL_MS)
        assert kernel.faults == []
        open_ = [(n, t.status, t.spec) for n, t in check.tasks.items() if not t.ends]
        assert why is None, (open_[:5], world.client.waiting())
        for number, result in enumerate(results(world, count)):
            assert result["result"] == {"total": sum(NUMBERS[number:])}
            assert result["accepted"] and result["rounds"] == 1
            assert all(part["completed"] for part in result["parts"])
        assert check.teams.manager == "boss2"
        assert {team.lead for team in check.teams.teams.values()}.isdisjoint({"lead1", "lead2"})
        assert check.events["task_delegated"] >= count
        led = [task for task in check.tasks.values() if task.spec["type"] == LEAD]
        assert any(task.failures for task in led), "it died while it led"
        assert compare_with_replay(world.witness, world.lives) == []
    finally:
        kernel.close()
