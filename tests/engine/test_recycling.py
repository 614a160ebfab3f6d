"""A process is replaced when it has grown, worked long or grown old; no task is lost by that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec, AgentStatus, ResourceLimits
from visionflow.domain.limits import Limits
from visionflow.domain.supervision import RecoverySpec, RecyclingSpec
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.decide.recycling import replacements_due, too_large
from visionflow.engine.state import WorkerState

MEMORY = 1_000_000


def ready(world: Calm, memory_bytes: int | None = MEMORY, **recycling: object) -> str:
    name = world.name("agent")
    spec = AgentSpec(
        id=name,
        type="coder",
        name=name,
        class_path="m:C",
        capabilities=("python",),
        limits=ResourceLimits(memory_bytes),
        recycling=RecyclingSpec(**recycling),
    )
    world.send(c.SpawnAgent(now_ms=world.now_ms, spec=spec))
    world.settle()
    return name


def place(world: Calm, agent: str) -> WorkerState:
    return world.state.workers[world.state.agents[agent].worker]


def recycle(world: Calm, agent: str, incarnation: int | None = None) -> None:
    worker = place(world, agent)
    world.send(
        sc.RecycleWorker(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation if incarnation is None else incarnation,
            reason="it has grown",
        )
    )


@pytest.mark.acceptance("recycle")
def test_a_process_is_drained_then_replaced_while_others_take_the_work() -> None:
    world = Calm()
    leaking, other = ready(world), ready(world)
    held = world.submit(agent=leaking)
    recycle(world, leaking)
    free = world.submit()
    assert world.state.tasks[free].agent == other
    world.tick(100)
    assert not world.of(s.WorkerRestarting)
    world.complete(held)
    world.tick(100)
    assert place(world, leaking).incarnation == 1
    world.settle()
    assert place(world, leaking).incarnation == 2
    assert world.state.agents[leaking].status is AgentStatus.READY
    assert not world.of(e.AttemptFailed)
    assert not world.of(e.AgentErrored)


def test_tasks_that_only_a_recycled_agent_can_do_wait_for_its_next_process() -> None:
    world = Calm()
    agent = ready(world)
    held, waiting = world.submit(), world.submit()
    recycle(world, agent)
    world.complete(held)
    assert world.status(waiting) is TaskStatus.QUEUED
    world.tick(100)
    world.settle()
    assert world.status(waiting) is TaskStatus.ASSIGNED


def test_after_so_many_tasks_a_process_is_replaced() -> None:
    world = Calm()
    agent = ready(world, tasks_max=3)
    for _ in range(7):
        task = world.submit()
        world.tick(100)
        world.settle()
        world.tick(0)
        world.settle()
        world.complete(task)
    world.tick(100)
    world.settle()
    assert place(world, agent).incarnation == 3
    assert "tasks, and is replaced after 3" in world.last(s.WorkerRestarting).reason


def test_tasks_of_agents_that_left_a_shared_process_are_counted_as_its_work() -> None:
    world = Calm(limits=Limits(workers_max=1))
    agent = ready(world, None, tasks_max=6)
    for _ in range(3):
        guest = ready(world, None)
        world.complete(world.submit(agent=guest))
        world.complete(world.submit(agent=guest))
        world.send(c.TerminateAgent(now_ms=world.now_ms, agent=guest))
        world.settle()
    world.tick(100)
    world.settle()
    assert place(world, agent).incarnation == 2
    assert "has done 6 tasks" in world.last(s.WorkerRestarting).reason
    assert world.replay().digest() == world.state.digest()


def test_what_an_agent_did_in_processes_before_is_no_work_of_the_one_that_it_leaves() -> None:
    world = Calm(limits=Limits(workers_max=1))
    agent, veteran = ready(world, None, tasks_max=4), ready(world, None)
    for _ in range(4):
        world.complete(world.submit(agent=veteran))
    world.tick(100)
    world.settle()
    assert place(world, agent).incarnation == 2
    world.update(veteran, memory_bytes=MEMORY)
    world.settle()
    assert place(world, veteran) is not place(world, agent)
    for _ in range(4):
        world.complete(world.submit(agent=agent))
    world.tick(100)
    world.settle()
    assert place(world, agent).incarnation == 3, "it has done four, whatever others took along"


def test_after_so_long_a_process_is_replaced() -> None:
    world = Calm()
    agent = ready(world, age_ms=60_000)
    world.tick(59_999)
    assert not replacements_due(world.state, world.now_ms)
    world.now_ms += 1
    assert replacements_due(world.state, world.now_ms)
    world.tick(0)
    world.settle()
    assert place(world, agent).incarnation == 2
    world.tick(59_000)
    assert len(world.of(s.WorkerRestarting)) == 1


def test_a_shared_process_is_replaced_by_the_age_of_the_first_agent_that_asks_for_it() -> None:
    world = Calm(limits=Limits(workers_max=1))
    agent, plain = ready(world, None, age_ms=60_000), ready(world, None)
    assert world.state.agents[plain].worker == world.state.agents[agent].worker
    world.tick(60_000)
    world.tick(100)
    world.settle()
    assert place(world, agent).incarnation == 2


@pytest.mark.parametrize(("resident", "replaced"), [(899_999, False), (900_000, True)])
def test_a_process_is_too_large_at_nine_tenths_of_its_ceiling(
    resident: int, replaced: bool
) -> None:
    world = Calm()
    agent = ready(world)
    assert (too_large(world.state, place(world, agent), resident) is not None) == replaced


def test_the_share_is_the_agents_own_and_may_be_none() -> None:
    world = Calm()
    half, never = ready(world, memory_bp=5_000), ready(world, memory_bp=None)
    assert "50 %" in (too_large(world.state, place(world, half), 500_000) or "")
    assert too_large(world.state, place(world, never), 999_999) is None
    assert too_large(world.state, place(world, ready(world, None)), 10**9) is None


def test_a_process_that_is_replaced_already_or_was_is_not_replaced_again() -> None:
    world = Calm()
    agent = ready(world)
    world.submit()
    recycle(world, agent)
    recycle(world, agent)
    recycle(world, agent, 0)
    assert len(world.of(s.WorkerRecycling)) == 1
    assert too_large(world.state, place(world, agent), MEMORY) is None


def test_a_drain_that_lasts_blocks_nothing_and_a_death_ends_it() -> None:
    world = Calm()
    agent, other = ready(world), ready(world)
    stuck = world.submit(agent=agent)
    recycle(world, agent)
    for _ in range(100):
        world.tick(1_000)
        done = world.submit()
        world.complete(done)
    assert world.state.tasks[stuck].agent == agent
    world.lose(place(world, agent).id)
    assert world.state.supervised.recycling == {}
    world.settle()
    assert world.status(stuck) is TaskStatus.ASSIGNED
    assert world.state.agents[other].completed == 100


@given(st.lists(st.sampled_from(("task", "done", "recycle", "tick", "settle")), max_size=60))
def test_however_recycling_and_work_mix_no_attempt_is_lost_and_every_task_ends_once(
    steps: list[str],
) -> None:
    world = Calm()
    agents = [ready(world, tasks_max=2), ready(world, age_ms=5_000)]
    for number, step in enumerate(steps):
        if step == "task":
            world.submit()
        elif step == "done":
            for name in [n for n, t in world.state.tasks.items() if t.agent][:1]:
                world.complete(name)
        elif step == "recycle":
            recycle(world, agents[number % 2])
        elif step == "tick":
            world.tick(1_000)
        else:
            world.settle(2)
        assert world.audit() == []
    for _ in range(200):
        for name in [n for n, t in world.state.tasks.items() if t.agent]:
            world.complete(name)
        world.tick(100)
        world.settle(2)
    assert not world.of(e.AttemptFailed)
    assert all(t.status is TaskStatus.COMPLETED for t in world.state.tasks.values())


@pytest.mark.parametrize(
    ("recycling", "recovery", "field"),
    [
        ({"tasks_max": 0}, {}, "recycling.tasks_max"),
        ({"age_ms": 0}, {}, "recycling.age_ms"),
        ({"memory_bp": 0}, {}, "recycling.memory_bp"),
        ({}, {"backoff_ms": -1}, "recovery.backoff_ms"),
        ({}, {"timeout_factor_bp": 0}, "recovery.timeout_factor_bp"),
        ({}, {"memory_factor_bp": 2**40}, "recovery.memory_factor_bp"),
        ({}, {"name": "x" * 1_001}, "recovery.name"),
    ],
)
def test_an_upkeep_by_which_a_process_would_only_be_replaced_is_refused_by_its_field(
    recycling: dict[str, int], recovery: dict[str, int], field: str
) -> None:
    world = Calm()
    spec = AgentSpec(
        id="agent",
        type="coder",
        name="agent",
        class_path="m:C",
        recycling=RecyclingSpec(**recycling),
        recovery=RecoverySpec(**recovery),
    )
    answer = world.send(c.SpawnAgent(now_ms=world.now_ms, spec=spec))
    assert answer.code == "usage" and answer.message is not None and field in answer.message
    assert not world.state.agents
