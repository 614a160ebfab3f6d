"""A newcomer that has its process die while it is built there does not take the others with it."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.limits import Limits
from visionflow.domain.tasks import FailureKind
from visionflow.engine.decide.parting import NEWCOMERS_MAX


def shared() -> tuple[Calm, str, str]:
    """An agent that is up, and one that is being built beside it."""
    world = Calm(limits=Limits(workers_max=1))
    (old,) = world.team(1, "python")
    new = world.spawn("python")
    assert world.state.agents[old].worker == world.state.agents[new].worker == "w1"
    assert world.state.agents[new].status is AgentStatus.INITIALISING
    return world, old, new


def test_it_is_built_in_a_process_of_its_own_and_dies_there_alone() -> None:
    world, old, new = shared()
    world.lose("w1")
    assert world.audit() == []
    own = world.state.agents[new].worker
    assert own != "w1" and world.state.workers[own].dedicated
    assert world.state.agents[old].worker == "w1"
    assert "died while it was built there" in world.last(e.AgentUpdated).reason
    for number in range(4):
        world.now_ms += 10_000
        incarnation = world.state.workers[own].incarnation + 1
        started = c.ReportWorkerStarted(
            now_ms=world.now_ms, worker=own, incarnation=incarnation, pid=number + 9, started=""
        )
        world.send(started)
        world.lose(own)
    assert world.state.agents[new].status is AgentStatus.FAILED
    assert world.state.agents[new].reason == f"worker {own} died too often: gone"
    world.settle()
    assert world.state.agents[old].status is AgentStatus.READY
    assert world.state.workers["w1"].incarnation == 2
    assert world.audit() == []
    assert world.replay().digest() == world.state.digest()


def test_one_that_was_not_to_blame_is_up_in_its_own_process() -> None:
    world, old, new = shared()
    world.lose("w1")
    world.now_ms += 30_000
    world.settle()
    assert [world.state.agents[name].status for name in (old, new)] == [AgentStatus.READY] * 2
    assert world.state.departing == {} and world.state.moving == {}


def test_of_newcomers_alone_the_first_stays() -> None:
    world = Calm(limits=Limits(workers_max=1))
    first, second = world.spawn("python"), world.spawn("python")
    world.settle(rounds=1)
    assert world.state.agents[first].status is AgentStatus.INITIALISING
    world.lose("w1")
    assert world.state.agents[first].worker == "w1"
    assert world.state.agents[second].worker != "w1"
    world.now_ms += 30_000
    world.settle()
    assert all(world.state.agents[each].status is AgentStatus.READY for each in (first, second))


@pytest.mark.parametrize("kind", [FailureKind.KILLED, FailureKind.CRASH])
def test_of_many_nobody_moves_for_processes_cost(kind: FailureKind) -> None:
    world = Calm(limits=Limits(workers_max=1))
    world.team(1, "python")
    for _ in range(NEWCOMERS_MAX + 1):
        world.spawn("python")
    world.lose("w1", kind)
    assert not world.of(e.AgentMoved)


def test_a_death_under_work_says_nothing_of_who_was_just_built() -> None:
    world, old, new = shared()
    task = world.submit(agent=old)
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    world.lose("w1")
    assert not world.of(e.AgentMoved)
    assert world.state.agents[new].worker == "w1"
