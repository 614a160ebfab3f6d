"""An agent that somebody restarts keeps its id, its place in the queue and its record."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.limits import CIRCUIT_FAILURES
from visionflow.domain.tasks import FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.effects import Host, StopWorker, outstanding
from visionflow.engine.state import Answer

MEMORY = 1_000_000
RESTART = s.WorkerRecycling | s.WorkerRestarting | e.WorkerStopped


def restart(world: Calm, agent: str, **fields: object) -> Answer:
    answer = world.send(sc.RestartAgent(now_ms=world.now_ms, agent=agent, **fields))
    assert world.audit() == []
    return answer


def alone(world: Calm, **fields: object) -> str:
    """An agent with a process of its own, ready."""
    (agent,) = world.team(1, "python", memory_bytes=MEMORY, **fields)
    return agent


def test_an_agent_in_a_shared_process_is_built_anew_in_place_and_others_are_not_disturbed() -> None:
    world = Calm()
    mine, other = world.team(2, "python")
    busy = [world.submit(agent=each) for each in (mine, other)]
    restart(world, mine, reason="it is stuck")
    assert world.last(e.AgentUpdated).reason == "it is stuck"
    assert world.status(busy[0]) is TaskStatus.QUEUED
    assert world.status(busy[1]) is TaskStatus.ASSIGNED
    host = [each for each in outstanding(world.state) if isinstance(each, Host)]
    assert [each.agent for each in host] == [mine]
    assert not world.of(e.WorkerStopped)
    world.settle()
    assert world.status(busy[0]) is TaskStatus.ASSIGNED
    assert world.state.agents[mine].status is AgentStatus.PROCESSING


def test_what_a_restart_ends_counts_neither_against_the_task_nor_against_the_agent() -> None:
    world = Calm()
    agent = alone(world)
    task = world.submit()
    for _ in range(20):
        restart(world, agent)
        world.settle()
    found = world.state.tasks[task]
    assert found.status is TaskStatus.ASSIGNED
    assert (found.failures, found.crashes, found.kills) == (0, 0, 0)
    assert world.state.agents[agent].failed == 0
    assert world.state.workers[world.state.agents[agent].worker].deaths == []
    assert not world.of(e.AgentErrored)


def test_with_drain_what_an_agent_holds_is_done_first_and_nothing_new_is_given_to_it() -> None:
    world = Calm()
    agent = alone(world)
    first, second = world.submit(), world.submit()
    restart(world, agent, drain=True)
    assert world.status(first) is TaskStatus.ASSIGNED
    world.complete(first)
    world.tick(100)
    assert world.status(second) is TaskStatus.QUEUED
    assert isinstance(next(iter(outstanding(world.state))), StopWorker)
    world.settle()
    assert world.status(second) is TaskStatus.ASSIGNED
    assert [type(each) for each in world.events() if isinstance(each, RESTART)] == [
        s.WorkerRecycling,
        s.WorkerRestarting,
        e.WorkerStopped,
    ]
    assert not world.of(e.AttemptFailed)


def test_a_drained_restart_in_a_shared_process_waits_for_what_the_agent_holds() -> None:
    world = Calm()
    (agent,) = world.team(1, "python")
    first, second = world.submit(), world.submit()
    restart(world, agent, drain=True)
    assert world.status(first) is TaskStatus.ASSIGNED
    world.complete(first)
    assert world.status(second) is TaskStatus.QUEUED
    world.settle()
    assert world.status(second) is TaskStatus.ASSIGNED


def test_an_orderly_stop_of_the_orchestrator_counts_against_nobody_and_gives_nothing_out() -> None:
    world = Calm()
    agents = [alone(world), *world.team(2, "python")]
    tasks = [world.submit(agent=agent) for agent in agents]
    anyones = world.submit()
    for _ in range(20):
        there = tuple((each.id, each.incarnation) for each in world.state.workers.values())
        before = len(world.of(e.TaskAssigned))
        world.send(c.ReportStopped(now_ms=world.now_ms, workers=there))
        assert world.audit() == []
        assert len(world.of(e.TaskAssigned)) == before
        world.send(c.Recover(now_ms=world.now_ms))
        world.settle()
    assert not world.of(e.AgentErrored) and not world.of(e.WorkerLost)
    reasons = {each.reason for each in world.of(e.AttemptFailed)}
    assert reasons and all(reason.endswith("its orchestrator was stopped") for reason in reasons)
    for task in tasks:
        found = world.state.tasks[task]
        assert (found.failures, found.crashes, found.kills) == (0, 0, 0)
        world.complete(task)
    world.complete(anyones)
    old = tuple((name, number - 1) for name, number in there)
    world.send(c.ReportStopped(now_ms=world.now_ms, workers=(*old, ("w99", 1))))
    assert all(each.status is WorkerStatus.JOINED for each in world.state.workers.values())


def test_an_agent_that_was_given_up_comes_back_with_its_deaths_forgotten() -> None:
    world = Calm()
    agent = alone(world)
    worker = world.state.agents[agent].worker
    for _ in range(4):
        world.lose(worker)
        world.now_ms += 10_000
        world.settle()
    assert world.state.agents[agent].status is AgentStatus.FAILED
    assert world.state.supervised.degraded is not None
    restart(world, agent)
    assert world.state.workers[worker].status is WorkerStatus.WANTED
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert world.state.supervised.degraded is None
    world.lose(worker)
    assert world.last(e.WorkerLost).restart_at_ms == world.now_ms


@pytest.mark.acceptance("circuit")
@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("memory_bytes", [None, MEMORY])
def test_an_agent_that_is_restarted_by_hand_is_given_work_again_whatever_it_failed_at(
    memory_bytes: int | None, drain: bool
) -> None:
    world = Calm()
    (agent,) = world.team(1, "python", tasks_max=2, memory_bytes=memory_bytes)
    held = world.submit(agent=agent)
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(agent=agent, retry=RetryPolicy(attempts_max=1)))
    waiting = world.submit(agent=agent)
    assert world.status(waiting) is TaskStatus.QUEUED
    restart(world, agent, drain=drain)
    if drain:
        assert world.status(waiting) is TaskStatus.QUEUED
        world.complete(held)
    world.tick(100)
    world.settle()
    assert world.status(waiting) is TaskStatus.ASSIGNED
    assert world.state.supervised.circuits == {}
    assert world.audit() == []


def test_a_restart_that_nobody_asked_for_leaves_the_circuit_open() -> None:
    world = Calm()
    agent = alone(world)
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(agent=agent, retry=RetryPolicy(attempts_max=1)))
    world.lose(world.state.agents[agent].worker)
    world.tick(10_000)
    world.settle()
    waiting = world.submit(agent=agent)
    assert world.state.agents[agent].status is AgentStatus.READY
    assert world.status(waiting) is TaskStatus.QUEUED


def test_an_agent_that_could_not_be_built_is_built_once_more_in_its_living_process() -> None:
    world = Calm()
    (agent,) = world.team(1, "python")
    worker = world.state.workers[world.state.agents[agent].worker]
    down = c.ReportAgentDown(
        now_ms=world.now_ms,
        agent=agent,
        worker=worker.id,
        incarnation=worker.incarnation,
        reason="no model",
    )
    world.send(down)
    assert world.state.agents[agent].status is AgentStatus.FAILED
    restart(world, agent)
    world.send(down)
    assert world.state.agents[agent].status is AgentStatus.RECOVERING, "that was said of before"
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY


def test_a_restart_is_answered_once_however_often_it_is_asked_for() -> None:
    world = Calm()
    agent = alone(world)
    for _ in range(3):
        answer = restart(world, agent, command="command_1")
        assert answer.subject == agent
        world.settle()
    assert len(world.of(s.WorkerRestarting)) == 1


@pytest.mark.parametrize("draining", [True, False])
def test_an_agent_that_is_to_end_is_not_restarted(draining: bool) -> None:
    world = Calm()
    agent = alone(world)
    world.submit()
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent, drain=draining))
    assert restart(world, agent).code == "already_ended"


def test_nobody_restarts_an_agent_that_is_not_there_or_whose_swarm_is_closed() -> None:
    world = Calm()
    assert restart(world, "agent_x").code == "unknown_agent"
    agent = alone(world)
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
    assert restart(world, agent).code == "swarm_closed"


def test_a_process_that_dies_while_it_is_told_to_end_is_replaced_all_the_same() -> None:
    world = Calm()
    agent = alone(world)
    task = world.submit()
    restart(world, agent)
    world.lose(world.state.agents[agent].worker, FailureKind.KILLED)
    assert world.state.supervised.restarting == {}
    world.settle()
    assert world.status(task) is TaskStatus.ASSIGNED
