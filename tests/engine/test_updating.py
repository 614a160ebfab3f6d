"""An update of an agent holds from its next task on, and not before its worker has confirmed it."""

import pytest
from msgspec.structs import replace

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus, ResourceLimits, WorkerStatus
from visionflow.domain.limits import INLINE_BYTES_MAX, Limits
from visionflow.domain.tasks import FailureKind, Payload, TaskStatus
from visionflow.engine.effects import Drop, Host, StartWorker, StopWorker, outstanding

CONFIG = Payload(inline=b"\x81\xa1a\x01")


def up(world: World, agent: str, revision: int, worker: str = "w1") -> None:
    """The worker says that it has built this version."""
    world.send(
        c.ReportAgentUp(
            now_ms=world.now_ms,
            agent=agent,
            worker=worker,
            incarnation=world.state.workers[worker].incarnation,
            revision=revision,
        )
    )


def test_what_runs_goes_on_and_the_next_task_waits_for_the_new_version() -> None:
    world = World()
    (agent,) = world.team(1)
    running, waiting = world.submit(), world.submit()
    assert world.update(agent, config=CONFIG, tasks_max=2).subject is None
    assert world.state.agents[agent].spec.config == CONFIG
    assert world.status(running) is TaskStatus.ASSIGNED
    assert list(world.state.agents[agent].open) == [running]
    world.complete(running)
    assert world.status(running) is TaskStatus.COMPLETED
    assert world.status(waiting) is TaskStatus.QUEUED
    assert list(outstanding(world.state)) == [Host("w1", 1, agent, 1)]
    up(world, agent, 1)
    assert world.status(waiting) is TaskStatus.ASSIGNED
    other = world.submit()
    assert world.status(other) is TaskStatus.ASSIGNED
    assert list(world.state.revisions.items()) == [(agent, 1)] and not world.state.updating


def test_what_a_worker_says_of_a_version_before_counts_for_nothing() -> None:
    world = World()
    (agent,) = world.team(1)
    world.update(agent, tasks_max=2)
    world.update(agent, tasks_max=3)
    task = world.submit()
    up(world, agent, 1)
    up(world, agent, 0)
    assert world.status(task) is TaskStatus.QUEUED
    up(world, agent, 2)
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.agents[agent].spec.tasks_max == 3


def test_an_agent_that_was_never_built_is_built_as_what_it_is_by_then() -> None:
    world = World()
    agent = world.spawn()
    world.update(agent, config=CONFIG)
    assert world.state.agents[agent].status is AgentStatus.CREATED
    task = world.submit()
    start = next(iter(outstanding(world.state)))
    world.carry_out(start)
    up(world, agent, 0)
    assert world.state.agents[agent].status is AgentStatus.INITIALISING
    world.settle()
    assert world.status(task) is TaskStatus.ASSIGNED and not world.state.updating


def test_a_version_that_cannot_be_built_fails_the_agent_and_its_tasks_go_elsewhere() -> None:
    world = World()
    first, second = world.team(2)
    world.update(first, config=CONFIG)
    down = {"now_ms": world.now_ms, "agent": first, "worker": world.state.agents[first].worker}
    world.send(c.ReportAgentDown(**down, incarnation=1, reason="of the version before"))
    assert world.state.agents[first].status is AgentStatus.READY
    world.send(c.ReportAgentDown(**down, incarnation=1, reason="no such key", revision=1))
    assert world.state.agents[first].status is AgentStatus.FAILED
    assert world.state.agents[first].reason == "no such key" and not world.state.updating
    task = world.submit()
    assert world.state.tasks[task].agent == second


def test_a_worker_that_dies_meanwhile_builds_the_version_that_holds() -> None:
    world = World()
    (agent,) = world.team(1)
    world.update(agent, config=CONFIG)
    world.lose("w1")
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert not world.state.updating and world.last(e.AgentReady).agent == agent
    assert not world.of(e.AgentRebuilt)


def test_another_memory_ceiling_moves_an_idle_agent_to_a_process_of_its_own() -> None:
    world = World()
    agent, other = world.team(2)
    place = world.state.agents[agent].worker
    world.update(agent, memory_bytes=5_000_000)
    moved = world.state.agents[agent]
    assert moved.worker == f"own1-{agent}" and moved.status is AgentStatus.RECOVERING
    effects = list(outstanding(world.state))
    assert StartWorker(moved.worker, 1, 0, 5_000_000) in effects
    # Nothing else is on the worker before, so it may end: what it holds ends with it.
    assert StopWorker(place, 1) in effects and Drop(place, 1, agent) in effects
    world.carry_out(StartWorker(moved.worker, 1, 0, 5_000_000))
    assert not [x for x in outstanding(world.state) if isinstance(x, Host)], "its folder is in use"
    world.carry_out(StopWorker(place, 1))
    assert place not in world.state.workers and not world.state.departing
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert world.state.agents[other].status is AgentStatus.READY
    task = world.submit(agent=agent)
    assert world.state.tasks[task].agent == agent


def test_on_a_worker_with_others_only_the_agent_that_moved_is_ended() -> None:
    world = World(limits=Limits(workers_max=1))
    agent, other = world.team(2)
    world.update(agent, memory_bytes=5_000_000)
    assert [x for x in outstanding(world.state) if isinstance(x, (StopWorker, Drop))] == [
        Drop("w1", 1, agent)
    ]
    world.carry_out(Drop("w1", 1, agent))
    assert world.of(e.AgentDeparted) and not world.state.departing
    world.settle()
    assert [world.state.agents[name].status for name in (agent, other)] == [AgentStatus.READY] * 2
    assert list(world.state.workers) == ["w1", f"own1-{agent}"]


def test_an_agent_moves_when_its_last_attempt_has_ended_and_gets_none_before() -> None:
    world = World()
    (agent,) = world.team(1, tasks_max=2)
    first, second = world.submit(), world.submit()
    world.update(agent, memory_bytes=5_000_000)
    waiting = world.submit()
    world.complete(first)
    assert world.state.agents[agent].worker == "w1"
    assert world.status(second) is TaskStatus.ASSIGNED
    world.complete(second)
    assert world.state.agents[agent].worker == f"own1-{agent}"
    assert world.status(waiting) is TaskStatus.QUEUED
    world.settle()
    assert world.status(waiting) is TaskStatus.ASSIGNED


def test_a_process_with_a_ceiling_is_replaced_and_starts_again_with_the_old_one_until_then() -> (
    None
):
    world = World()
    agent = world.spawn(memory_bytes=1_000_000)
    world.settle()
    task = world.submit()
    world.update(agent, memory_bytes=2_000_000)
    world.lose(f"own-{agent}", FailureKind.KILLED)
    (start,) = outstanding(world.state)
    assert isinstance(start, StartWorker) and start.memory_bytes == 1_000_000
    world.settle(2)
    assert world.state.agents[agent].worker == f"own1-{agent}"
    starts = [x for x in outstanding(world.state) if isinstance(x, StartWorker)]
    assert [x.memory_bytes for x in starts] == [2_000_000]
    world.settle()
    assert list(world.state.workers) == [f"own1-{agent}"]
    assert world.status(task) is TaskStatus.ASSIGNED


def test_the_same_ceiling_again_moves_nobody() -> None:
    world = World()
    agent = world.spawn(memory_bytes=1_000_000)
    world.settle()
    world.update(agent, memory_bytes=1_000_000)
    world.settle()
    assert world.state.agents[agent].worker == f"own-{agent}" and not world.of(e.AgentMoved)


def test_an_id_that_is_used_again_meets_nothing_of_the_agent_before() -> None:
    world = World(limits=Limits(workers_max=1))
    agent, other = world.team(2)
    for _ in range(2):
        spec = world.state.agents[agent].spec
        world.update(agent, memory_bytes=5_000_000)
        place = world.state.agents[agent].worker
        world.carry_out(StartWorker(place, world.state.retired + 1, 0, 5_000_000))
        assert place not in (w.worker for w in world.state.agents.values() if w.spec.id != agent)
        world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
        world.carry_out(Drop(place, world.state.workers[place].incarnation, agent))
        assert agent not in world.state.agents and world.state.departing == {agent: "w1"}
        world.send(c.SpawnAgent(now_ms=world.now_ms, spec=replace(spec, limits=ResourceLimits())))
        world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
        world.carry_out(Drop("w1", 1, agent))
        assert agent not in world.state.agents and not world.state.departing
        world.send(c.SpawnAgent(now_ms=world.now_ms, spec=replace(spec, limits=ResourceLimits())))
        # The process of the one before has not ended: its place is not taken.
        world.carry_out(Host("w1", 1, agent))
        assert world.state.agents[agent].status is AgentStatus.READY and world.audit() == []
    assert world.state.agents[other].status is AgentStatus.READY
    assert sorted(world.state.workers) == [f"own1-{agent}", f"own2-{agent}", "w1"]


def test_an_agent_that_is_ended_on_its_way_leaves_nothing_behind() -> None:
    world = World()
    (agent,) = world.team(1)
    world.update(agent, memory_bytes=1_000_000)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    world.settle()
    assert not world.state.agents and not world.state.workers
    held = (world.state.revisions, world.state.updating, world.state.moving, world.state.departing)
    assert held == ({}, {}, {}, {})


@pytest.mark.parametrize(
    "fields",
    [{}, {"tasks_max": 0}, {"memory_bytes": 0}, {"config": Payload(inline=b"x" * 65_537)}],
)
def test_what_cannot_be_is_refused_and_changes_nothing(fields: dict[str, object]) -> None:
    assert INLINE_BYTES_MAX == 65_536
    world = World()
    (agent,) = world.team(1)
    before = world.state.agents[agent].spec
    assert world.update(agent, **fields).code in ("usage", "payload_too_large")
    assert world.state.agents[agent].spec is before and not world.of(e.AgentUpdated)


def test_who_is_not_there_or_is_ending_is_not_updated() -> None:
    world = World()
    ending, draining = world.team(2)
    assert world.update("nobody", tasks_max=1).code == "unknown_agent"
    world.submit(agent=draining)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=draining, drain=True))
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=ending))
    codes = [world.update(name, tasks_max=1).code for name in (ending, draining)]
    assert codes == ["already_ended", "already_ended"]


def test_one_that_failed_is_built_again_as_it_is_now() -> None:
    world = World()
    agent, _ = world.team(2)
    task = world.submit(agent=agent)
    down = c.ReportAgentDown(
        now_ms=world.now_ms,
        agent=agent,
        worker=world.state.agents[agent].worker,
        incarnation=1,
        reason="KeyError: 'style'",
    )
    world.send(down)
    assert world.state.agents[agent].status is AgentStatus.FAILED
    assert world.state.supervised.degraded is not None
    config = CONFIG
    assert world.update(agent, "c9", config=config).code is None
    assert world.state.agents[agent].status is AgentStatus.RECOVERING
    world.send(down)
    assert world.state.agents[agent].status is AgentStatus.RECOVERING, "of the version before"
    world.settle()
    found = world.state.agents[agent]
    assert (found.status, found.spec.config) == (AgentStatus.PROCESSING, config)
    assert world.state.supervised.degraded is None
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.audit() == []


def test_an_update_with_an_id_is_made_once() -> None:
    world = World()
    (agent,) = world.team(1)
    first = world.update(agent, "c1", tasks_max=2)
    assert world.update(agent, "c1", tasks_max=3) == first and first.subject == agent
    assert world.state.revisions[agent] == 1


def test_the_number_of_agents_may_change_and_those_that_there_are_stay() -> None:
    world = World(limits=Limits(agents_max=2))
    world.team(2)

    def change(agents_max: int) -> str | None:
        return world.send(c.ChangeLimits(now_ms=world.now_ms, agents_max=agents_max)).code

    assert change(0) == "usage"
    assert change(1) is None
    assert len(world.state.agents) == 2
    world.spawn()
    assert len(world.state.agents) == 2
    assert change(3) is None
    world.spawn()
    assert len(world.state.agents) == 3
    assert world.replay().spec == world.state.spec
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
    assert change(9) == "swarm_closed"
    assert all(w.status is not WorkerStatus.FAILED for w in world.state.workers.values())
