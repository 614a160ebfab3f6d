"""Each cause of a failure has an answer of its own, by its agent's strategy; the log says which."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec, AgentStatus, ResourceLimits
from visionflow.domain.messages import Dispatch
from visionflow.domain.supervision import Cause, RecoverySpec
from visionflow.domain.tasks import FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.effects import StartWorker, dispatch, outstanding

MEMORY = 1_000_000
PATIENT = RetryPolicy(attempts_max=20)


def ready(world: Calm, memory_bytes: int | None = None, **recovery: object) -> str:
    """An agent with this strategy, built."""
    name = world.name("agent")
    spec = AgentSpec(
        id=name,
        type="coder",
        name=name,
        class_path="m:C",
        capabilities=("python",),
        limits=ResourceLimits(memory_bytes),
        recovery=RecoverySpec(name="own", **recovery),
    )
    world.send(c.SpawnAgent(now_ms=world.now_ms, spec=spec))
    world.settle()
    return name


def given(world: Calm, task: str) -> Dispatch:
    assert world.status(task) is TaskStatus.ASSIGNED
    return dispatch(world.state, world.state.tasks[task])


def time_out(world: Calm, task: str) -> None:
    world.fail(task, FailureKind.TIMEOUT)
    world.tick(100_000)


# Timeouts ---------------------------------------------------------------------------------------


def test_after_a_timeout_the_next_attempt_has_half_as_much_time_again_and_the_log_says_so() -> None:
    world = Calm()
    agent = ready(world)
    task = world.submit(timeout_ms=10_000, retry=PATIENT)
    limits = [given(world, task).timeout_ms]
    for _ in range(2):
        time_out(world, task)
        limits.append(given(world, task).timeout_ms)
    assert limits == [10_000, 15_000, 22_500]
    chosen = world.last(s.RecoveryChosen)
    assert (chosen.cause, chosen.strategy, chosen.agent) == (Cause.TIMEOUT, "own", agent)
    assert chosen.task == task
    assert chosen.action == "what it started is ended, and attempt 3 gets 22500 ms, not 15000"


def test_the_time_of_an_attempt_grows_to_ten_times_at_most_or_to_what_the_strategy_says() -> None:
    for strategy, most in (({}, 100_000), ({"timeout_max_ms": 12_000}, 12_000)):
        world = Calm()
        ready(world, **strategy)
        task = world.submit(timeout_ms=10_000, retry=PATIENT)
        for _ in range(8):
            time_out(world, task)
        assert given(world, task).timeout_ms == most
        assert "the most that it may have" in world.last(s.RecoveryChosen).action


def test_a_limit_above_the_strategys_most_is_kept_and_not_cut() -> None:
    world = Calm()
    ready(world, timeout_max_ms=1_000)
    task = world.submit(timeout_ms=10_000, retry=PATIENT)
    time_out(world, task)
    assert given(world, task).timeout_ms == 10_000


def test_what_a_task_was_given_is_forgotten_with_its_end() -> None:
    world = Calm()
    ready(world)
    task = world.submit(timeout_ms=10_000, retry=RetryPolicy(attempts_max=2))
    time_out(world, task)
    time_out(world, task)
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert world.state.supervised.timeouts == {}
    world.send(c.RetryTask(now_ms=world.now_ms, task=task))
    assert given(world, task).timeout_ms == 10_000


def test_the_engine_waits_as_long_as_the_attempt_was_given() -> None:
    world = Calm()
    ready(world)
    task = world.submit(timeout_ms=10_000, retry=PATIENT)
    time_out(world, task)
    world.tick(15_000 + 4_000)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.tick(1_001)
    assert world.state.tasks[task].attempt == 2
    assert world.last(e.AttemptFailed).timeout_ms == 22_500
    told = world.last(s.RecoveryChosen).action
    assert told == "it is given up, and attempt 3 gets 22500 ms, not 15000", "nobody ended it"


def test_a_timeout_that_is_not_tried_again_chooses_nothing() -> None:
    world = Calm()
    ready(world)
    task = world.submit(timeout_ms=10_000, retry=RetryPolicy(attempts_max=1))
    world.fail(task, FailureKind.TIMEOUT)
    assert world.status(task) is TaskStatus.FAILED
    assert not world.of(s.RecoveryChosen)


# Memory -----------------------------------------------------------------------------------------


def exhaust(world: Calm, agent: str, machine_bytes: int | None = None) -> None:
    """Its process reaches the ceiling."""
    worker = world.state.workers[world.state.agents[agent].worker]
    world.send(
        c.ReportWorkerLost(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation,
            kind=FailureKind.RESOURCES,
            reason="it reached its memory ceiling",
            machine_bytes=machine_bytes,
        )
    )
    assert world.audit() == []


def report(world: Calm, task: str, machine_bytes: int | None = None) -> None:
    """Its attempt is reported as out of memory."""
    world.send(
        c.ReportFailure(
            now_ms=world.now_ms,
            task=task,
            attempt=world.state.tasks[task].attempt,
            kind=FailureKind.RESOURCES,
            reason="no memory",
            machine_bytes=machine_bytes,
        )
    )


def next_ceiling(world: Calm) -> int | None:
    (start,) = [each for each in outstanding(world.state) if isinstance(each, StartWorker)]
    return start.memory_bytes


def test_an_agent_that_ran_out_of_memory_comes_back_with_half_as_much_again() -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=10 * MEMORY)
    task = world.submit()
    exhaust(world, agent)
    assert next_ceiling(world) == 1_500_000
    raised = world.last(s.CeilingRaised)
    assert (raised.agent, raised.before_bytes, raised.memory_bytes) == (agent, MEMORY, 1_500_000)
    chosen = world.last(s.RecoveryChosen)
    assert (chosen.cause, chosen.strategy) == (Cause.RESOURCES, "own")
    assert "1500000 bytes, not 1000000" in chosen.action
    world.settle()
    found = world.state.tasks[task]
    assert (found.status, found.failures, found.kills) == (TaskStatus.ASSIGNED, 0, 0)
    assert world.state.agents[agent].spec.limits.memory_bytes == 1_500_000


@pytest.mark.parametrize(
    ("most", "machine", "ceilings"),
    [
        (2 * MEMORY, None, [1_500_000, 2_000_000]),
        (9 * MEMORY, 1_200_000, [1_200_000]),
        (None, 4_400_000, [1_500_000, 2_200_000]),
        (None, None, [1_500_000, 2_250_000, 3_375_000, 4_000_000]),
    ],
)
def test_the_ceiling_grows_up_to_the_strategys_most_and_the_machines_memory(
    most: int | None, machine: int | None, ceilings: list[int]
) -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=most)
    for _ in range(6):
        exhaust(world, agent, machine)
        world.now_ms += 60_001
        world.settle()
    assert [event.memory_bytes for event in world.of(s.CeilingRaised)] == ceilings
    assert "it may have no more" in world.last(s.RecoveryChosen).action


def test_a_ceiling_that_somebody_set_is_where_growth_begins_anew() -> None:
    world = Calm()
    agent = ready(world, MEMORY)
    for _ in range(5):
        exhaust(world, agent)
        world.now_ms += 60_001
        world.settle()
    assert world.state.agents[agent].spec.limits.memory_bytes == 4 * MEMORY
    world.update(agent, memory_bytes=10 * MEMORY)
    world.settle()
    exhaust(world, agent)
    assert world.state.agents[agent].spec.limits.memory_bytes == 15 * MEMORY


def test_deaths_that_were_answered_with_more_memory_are_not_held_against_the_agent() -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=100 * MEMORY)
    for _ in range(8):
        exhaust(world, agent)
        world.now_ms += 5_000
        world.settle()
        world.now_ms += 5_000
        world.settle()
    assert len(world.of(s.CeilingRaised)) == 8
    assert world.state.agents[agent].status is AgentStatus.READY


def test_an_attempt_that_says_first_that_memory_ran_out_raises_the_ceiling_once() -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=10 * MEMORY)
    task = world.submit()
    report(world, task)
    exhaust(world, agent)
    assert [event.memory_bytes for event in world.of(s.CeilingRaised)] == [1_500_000]
    world.settle()
    assert (world.status(task), world.state.tasks[task].failures) == (TaskStatus.ASSIGNED, 0)


def test_a_living_process_that_ran_out_of_memory_is_replaced_by_one_with_more() -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=10 * MEMORY)
    task = world.submit()
    report(world, task)
    assert world.status(task) is TaskStatus.QUEUED
    world.tick(100)
    world.settle()
    world.tick(0)
    world.settle()
    assert world.state.workers[world.state.agents[agent].worker].incarnation == 2
    assert world.status(task) is TaskStatus.ASSIGNED


def test_at_the_most_an_attempt_counts_as_a_failure_and_says_so_and_the_agent_goes_on() -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=MEMORY)
    task = world.submit(retry=RetryPolicy(attempts_max=3))
    for _ in range(3):
        assert world.status(task) is TaskStatus.ASSIGNED
        report(world, task)
        said = world.last(s.RecoveryChosen).action
        assert "1000000 bytes are the most that its agent may have" in said
        exhaust(world, agent)
        world.tick(9_000)
        world.settle()
        world.tick(0)
    assert world.status(task) is TaskStatus.DEAD_LETTER
    another = world.submit()
    report(world, another)
    exhaust(world, agent)
    world.tick(9_000)
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.PROCESSING


def test_one_that_is_to_end_gets_no_more_memory() -> None:
    world = Calm()
    agent = ready(world, MEMORY, memory_max_bytes=10 * MEMORY)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    worker = world.state.workers[world.state.agents[agent].worker]
    world.lose(worker.id, FailureKind.RESOURCES)
    assert agent not in world.state.agents
    assert not world.of(s.CeilingRaised)


def test_an_agent_without_a_ceiling_fails_as_before() -> None:
    world = Calm()
    ready(world)
    task = world.submit(retry=RetryPolicy(attempts_max=1))
    report(world, task, 100 * MEMORY)
    assert world.status(task) is TaskStatus.FAILED
    assert "has no ceiling that could be raised" in world.last(s.RecoveryChosen).action


# Crashes ----------------------------------------------------------------------------------------


def test_a_crash_is_answered_by_the_strategys_wait_and_its_number_of_restarts() -> None:
    world = Calm()
    agent = ready(world, MEMORY, restarts_max=5, backoff_ms=2_000)
    waits: list[int | None] = []
    for _ in range(6):
        world.lose(world.state.agents[agent].worker)
        at_ms = world.last(e.WorkerLost).restart_at_ms
        waits.append(None if at_ms is None else at_ms - world.now_ms)
        world.now_ms = at_ms or world.now_ms
        world.settle()
    assert waits == [0, 2_000, 4_000, 8_000, 16_000, None]
    chosen = world.of(s.RecoveryChosen)
    assert {each.cause for each in chosen} == {Cause.CRASH}
    assert chosen[1].action == "it is started again in 2000 ms"
    assert chosen[-1].action == "it is not started again"


def test_a_worker_that_others_share_is_recovered_as_usual() -> None:
    world = Calm()
    (agent,) = world.team(1, "python")
    world.lose(world.state.agents[agent].worker)
    chosen = world.last(s.RecoveryChosen)
    assert (chosen.strategy, chosen.agent) == ("default", None)
    assert chosen.worker == world.state.agents[agent].worker


def test_limits_that_no_attempt_has_any_more_are_not_looked_at_for_ever() -> None:
    world = Calm()
    world.team(1)
    for number in range(20):
        world.complete(world.submit(timeout_ms=1_000 + number))
    assert world.state.clocks.by_length == {}
    held = world.submit(timeout_ms=5_000)
    assert world.state.clocks.by_length == {5_000: {held: world.now_ms}}
