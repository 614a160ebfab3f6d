"""Agents and workers: limits, lives, restarts, recovery."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.limits import RESTART_PERIOD_MS, RESTARTS_MAX, Limits
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.decide import handle
from visionflow.engine.effects import (
    Deliver,
    Drop,
    Host,
    StartWorker,
    StopWorker,
    outstanding,
)


def life(world: World, agent: str) -> list[str]:
    """The names of the events in the life of an agent."""
    found: list[str] = []
    for event in world.events():
        if isinstance(event, e.AgentSpawned):
            if event.spec.id == agent:
                found.append("spawned")
        elif type(event).__name__.startswith("Agent") and getattr(event, "agent", None) == agent:
            found.append(type(event).__name__.removeprefix("Agent").lower())
    return found


def terminate(world: World, agent: str) -> str | None:
    return world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent)).code


def down(world: World, agent: str) -> None:
    worker = world.state.agents[agent].worker
    world.send(
        c.ReportAgentDown(
            now_ms=world.now_ms,
            agent=agent,
            worker=worker,
            incarnation=world.state.workers[worker].incarnation,
            reason="its class does not load",
        )
    )


# The limit -----------------------------------------------------------------------------------


@pytest.mark.acceptance("swarm-limit")
def test_one_agent_too_many_is_refused_by_name() -> None:
    world = World(limits=Limits(agents_max=2))
    world.team(2)
    world.spawn()
    refusal = world.last(e.CommandRefused)
    assert refusal.code == "limit_reached"
    assert "its limit is 2" in refusal.message and "raise the limit" in refusal.message
    assert len(world.state.agents) == 2


@pytest.mark.acceptance("swarm-limit")
def test_of_fifty_spawns_in_one_batch_exactly_as_many_as_the_limit_are_admitted() -> None:
    """Deciding a whole batch before folding any of it admitted all fifty."""
    world = World(limits=Limits(agents_max=10))
    for _ in range(50):
        world.spawn("python")
    assert len(world.state.agents) == len(world.of(e.AgentSpawned)) == 10
    assert len(world.of(e.CommandRefused)) == 40


@pytest.mark.acceptance("swarm-limit")
def test_an_agent_that_is_gone_makes_room_for_another() -> None:
    world = World(limits=Limits(agents_max=1))
    agent = world.team(1)[0]
    terminate(world, agent)
    world.spawn()
    assert len(world.state.agents) == 1 and world.of(e.CommandRefused)
    world.settle()
    world.spawn()
    assert len(world.of(e.AgentSpawned)) == 2


# Lives ---------------------------------------------------------------------------------------


@pytest.mark.acceptance("agent-lifecycle")
def test_an_agent_is_created_initialised_ready_and_terminated_in_that_order() -> None:
    world = World()
    agent = world.spawn("python")
    assert world.state.agents[agent].status is AgentStatus.CREATED
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    terminate(world, agent)
    world.settle()
    assert life(world, agent) == ["spawned", "initialising", "ready", "terminating", "terminated"]
    assert agent not in world.state.agents


@pytest.mark.acceptance("agent-lifecycle")
def test_an_agent_is_processing_from_its_first_open_attempt_to_its_last() -> None:
    world = World()
    agent = world.team(1, tasks_max=2)[0]
    tasks = [world.submit(), world.submit()]
    assert world.state.agents[agent].status is AgentStatus.PROCESSING
    world.complete(tasks[0])
    assert world.state.agents[agent].status is AgentStatus.PROCESSING
    world.complete(tasks[1])
    assert world.state.agents[agent].status is AgentStatus.READY


@pytest.mark.acceptance("agent-lifecycle")
def test_an_agent_whose_worker_dies_recovers_under_the_same_id() -> None:
    world = World()
    agent = world.team(1)[0]
    world.lose("w1")
    assert world.state.agents[agent].status is AgentStatus.RECOVERING
    world.settle()
    assert life(world, agent)[3:] == ["errored", "recovering", "ready"]


@pytest.mark.acceptance("agent-lifecycle")
def test_an_agent_that_cannot_be_built_has_failed_with_the_reason() -> None:
    world = World()
    agent = world.spawn()
    world.carry_out(next(iter(outstanding(world.state))))
    down(world, agent)
    found = world.state.agents[agent]
    assert (found.status, found.reason) == (AgentStatus.FAILED, "its class does not load")
    assert world.state.matching.room(agent) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.acceptance("agent-lifecycle")
def test_no_agent_ever_takes_an_edge_that_the_table_does_not_list(seed: int) -> None:
    """Folding raises at an illegal edge; the replay walks every one again."""
    world = World(seed)
    for _ in range(500):
        world.step()
    assert world.replay().digest() == world.state.digest()
    assert len({event.spec.id for event in world.of(e.AgentSpawned)}) > 5


def test_a_busy_agent_that_is_terminated_gives_its_tasks_to_others() -> None:
    world = World()
    agent = world.team(1, tasks_max=2)[0]
    tasks = [world.submit(), world.submit()]
    other = world.team(1, tasks_max=2)[0]
    terminate(world, agent)
    assert [world.state.tasks[task].agent for task in tasks] == [other, other]
    assert [event.kind for event in world.of(e.AttemptFailed)] == [FailureKind.AGENT_GONE] * 2
    assert terminate(world, agent) == "already_ended"
    assert terminate(world, "agent_unknown") == "unknown_agent"


def test_agents_share_the_workers_evenly_and_one_with_a_limit_has_its_own() -> None:
    world = World(limits=Limits(workers_max=2))
    shared = [world.spawn() for _ in range(4)]
    alone = world.spawn(memory_bytes=1_000_000)
    placed = [world.state.agents[name].worker for name in (*shared, alone)]
    assert placed == ["w1", "w2", "w1", "w2", f"own-{alone}"]
    starts = [x for x in outstanding(world.state) if isinstance(x, StartWorker)]
    assert [(x.worker, x.memory_bytes) for x in starts] == [
        ("w1", None),
        ("w2", None),
        (f"own-{alone}", 1_000_000),
    ]


# Workers -------------------------------------------------------------------------------------


def test_a_worker_starts_again_at_once_then_later_each_time_and_then_not_at_all() -> None:
    world = World(limits=Limits(workers_max=1))
    agent = world.team(1)[0]
    waits: list[int | None] = []
    for _ in range(RESTARTS_MAX + 1):
        world.lose("w1")
        restart_at_ms = world.last(e.WorkerLost).restart_at_ms
        waits.append(None if restart_at_ms is None else restart_at_ms - world.now_ms)
        world.now_ms += waits[-1] or 0
        world.settle()
    assert waits == [0, 1_000, 2_000, None]
    assert world.state.workers["w1"].status is WorkerStatus.FAILED
    assert world.state.agents[agent].status is AgentStatus.FAILED
    assert [x for x in outstanding(world.state) if not isinstance(x, Drop)] == []


def test_deaths_that_lie_further_apart_than_the_period_do_not_add_up() -> None:
    world = World()
    world.team(1)
    for _ in range(10):
        world.now_ms += RESTART_PERIOD_MS + 1
        world.lose("w1")
        assert world.last(e.WorkerLost).restart_at_ms == world.now_ms
        world.settle()


def test_a_worker_that_others_kill_is_started_again_however_often() -> None:
    world = World()
    world.team(1)
    for _ in range(10):
        world.lose("w1", FailureKind.KILLED)
        assert world.last(e.WorkerLost).restart_at_ms is not None
        world.now_ms += 8_000
        world.settle()


def test_a_worker_is_not_started_before_its_time() -> None:
    world = World()
    world.team(1)
    world.lose("w1")
    world.settle()
    world.lose("w1")
    (start,) = outstanding(world.state)
    assert start == StartWorker("w1", 3, world.now_ms + 1_000, None)


def test_what_an_earlier_process_of_a_worker_says_is_ignored() -> None:
    world = World()
    agent = world.team(1)[0]
    world.lose("w1")
    world.settle()
    length = len(world.log)
    old = {"now_ms": world.now_ms, "worker": "w1", "incarnation": 1}
    world.send(c.ReportWorkerStarted(pid=1, started="1", **old))
    world.send(c.ReportWorkerJoined(**old))
    world.send(c.ReportWorkerLost(kind=FailureKind.CRASH, reason="late", **old))
    world.send(c.ReportWorkerStopped(**old))
    world.send(c.ReportAgentUp(agent=agent, **old))
    world.send(c.ReportAgentDown(agent=agent, reason="late", **old))
    assert len(world.log) == length
    assert world.state.workers["w1"].status is WorkerStatus.JOINED


def test_a_process_that_could_not_be_started_counts_as_a_death() -> None:
    world = World()
    world.spawn()
    for number in range(RESTARTS_MAX + 1):
        world.send(
            c.ReportWorkerLost(
                now_ms=world.now_ms,
                worker="w1",
                incarnation=number + 1,
                kind=FailureKind.ERROR,
                reason="no such program",
            )
        )
    assert world.state.workers["w1"].status is WorkerStatus.FAILED
    assert [agent.status for agent in world.state.agents.values()] == [AgentStatus.FAILED]


def test_a_new_agent_is_not_placed_on_a_worker_that_failed_for_good() -> None:
    world = World(limits=Limits(workers_max=1))
    world.team(1)
    for _ in range(RESTARTS_MAX + 1):
        world.lose("w1")
        world.now_ms += 2_000
        world.settle()
    agent = world.team(1)[0]
    assert world.state.agents[agent].worker == "w2"
    assert world.state.agents[agent].status is AgentStatus.READY


def test_a_worker_that_nothing_needs_is_ended_and_forgotten() -> None:
    world = World()
    agents = [*world.team(1), *world.team(1, memory_bytes=1_000_000)]
    for agent in agents:
        terminate(world, agent)
    stops = [x.worker for x in outstanding(world.state) if isinstance(x, StopWorker)]
    assert sorted(stops) == [f"own-{agents[1]}", "w1"]
    world.settle()
    assert not world.state.workers and not world.state.agents


def test_a_worker_of_the_same_name_never_has_an_incarnation_again() -> None:
    world = World()
    agent = world.team(1)[0]
    world.lose("w1")
    world.settle()
    terminate(world, agent)
    world.settle()
    assert not world.state.workers
    world.team(1)
    assert world.state.workers["w1"].incarnation == 3


def test_an_agent_placed_on_a_worker_that_is_just_ending_is_built_by_its_next_process() -> None:
    world = World(limits=Limits(workers_max=1))
    terminate(world, world.team(1)[0])
    stop = next(x for x in outstanding(world.state) if isinstance(x, StopWorker))
    agent = world.spawn()
    world.carry_out(stop)
    assert world.state.agents[agent].status is AgentStatus.RECOVERING
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert world.state.workers["w1"].incarnation == 2


def test_a_worker_whose_only_agent_failed_ends_and_the_agent_is_kept_with_its_reason() -> None:
    world = World()
    agent = world.team(1)[0]
    down(world, agent)
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.FAILED
    assert world.state.workers["w1"].status is WorkerStatus.WANTED
    assert list(outstanding(world.state)) == []
    assert terminate(world, agent) is None
    assert not world.state.agents and not world.state.workers


# Recovery ------------------------------------------------------------------------------------


def test_recovery_fences_every_attempt_that_was_open() -> None:
    world = World()
    world.team(2, tasks_max=2)
    tasks = [world.submit() for _ in range(3)]
    world.send(c.ReportStarted(now_ms=world.now_ms, task=tasks[0], attempt=1))
    world.send(c.Recover(now_ms=world.now_ms))
    assert world.state.boot == 1
    assert {world.status(task) for task in tasks} == {TaskStatus.QUEUED}
    assert [event.kind for event in world.of(e.AttemptFailed)] == [FailureKind.KILLED] * 3
    for task in tasks:
        world.complete(task, attempt=1)
    assert len(world.of(e.LateResultRefused)) == 3
    world.settle()
    deliveries = [x for x in outstanding(world.state) if isinstance(x, Deliver)]
    assert sorted((x.task, x.attempt) for x in deliveries) == [(task, 2) for task in tasks]


def test_a_recovery_is_no_death_of_the_workers_own_doing() -> None:
    world = World()
    agent = world.team(1)[0]
    for _ in range(10):
        world.send(c.Recover(now_ms=world.now_ms))
        world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert world.state.boot == 10


def test_a_recovery_of_a_closed_swarm_ends_what_was_left() -> None:
    world = World()
    world.team(2)
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="done"))
    assert world.state.agents
    world.send(c.Recover(now_ms=world.now_ms))
    assert not world.state.agents and not world.state.workers
    assert list(outstanding(world.state)) == []


def test_closing_gives_open_attempts_back_to_the_queue_and_ends_every_agent() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    spawned = world.spawn()
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="done"))
    assert world.status(task) is TaskStatus.QUEUED
    kinds = {type(x) for x in outstanding(world.state)}
    assert kinds == {Drop, StopWorker} and Host not in kinds
    world.settle()
    assert spawned not in world.state.agents and not world.state.agents


def test_a_command_before_the_swarm_exists_is_refused() -> None:
    world = World()
    fresh = type(world.state)()
    world.submit(id="probe")
    command = c.SubmitTask(now_ms=1, spec=world.state.tasks["probe"].spec)
    _, answer = handle(fresh, command)
    assert answer.code == "swarm_closed"
