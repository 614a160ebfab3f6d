"""Lines of level debug: kept until a time that is in the log, by a worker that is told of it."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.engine.effects import Debug, outstanding


def debugged(world: Calm) -> list[Debug]:
    return [each for each in outstanding(world.state) if isinstance(each, Debug)]


def enabled(world: Calm) -> list[s.DebugEnabled]:
    return [each for each in world.events() if isinstance(each, s.DebugEnabled)]


def enable(world: Calm, agent: str, for_ms: int, command: str | None = None) -> str | None:
    asked = sc.EnableDebug(
        now_ms=world.now_ms, agent=agent, until_ms=world.now_ms + for_ms, command=command
    )
    return world.send(asked).code


@pytest.mark.acceptance("logs")
def test_the_worker_of_an_agent_is_told_until_when_and_again_when_another_takes_its_place() -> None:
    world = Calm()
    (agent,) = world.team(1)
    assert enable(world, agent, 60_000) is None
    worker = world.state.workers[world.state.agents[agent].worker]
    until_ms = world.now_ms + 60_000
    assert debugged(world) == [Debug(worker.id, 1, agent, until_ms)]
    world.lose(worker.id)
    assert debugged(world) == [], "nobody is there to be told"
    while worker.incarnation != 2 or not debugged(world):
        world.now_ms += 1_000
        world.settle()
    assert debugged(world) == [Debug(worker.id, 2, agent, until_ms)]


def test_an_end_in_the_past_is_now_and_takes_the_place_of_the_one_before() -> None:
    world = Calm()
    (agent,) = world.team(1)
    enable(world, agent, 60_000)
    enable(world, agent, -5_000)
    told = enabled(world)
    assert told[-1].until_ms == world.now_ms == world.state.supervised.debugging[agent]


def test_an_agent_that_is_unknown_is_refused_and_one_that_leaves_is_forgotten() -> None:
    world = Calm()
    (agent,) = world.team(1)
    assert enable(world, "nobody", 1) == "unknown_agent"
    enable(world, agent, 60_000, command="once")
    enable(world, agent, 90_000, command="once")
    assert len(enabled(world)) == 1, "the same command is done once"
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    world.settle()
    assert agent not in world.state.agents and world.state.supervised.debugging == {}
