"""Somebody outside asks for patience: the task waits as long as they say, and nobody is blamed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.test_properties import SETTINGS
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.limits import THROTTLE_MS_MAX, THROTTLES_PER_TASK_MAX
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.decide.attempts import throttle_ms

ONCE = RetryPolicy(Backoff.NONE)
TOO_MANY = "429 too many requests"


def throttle(world: World, task: str, wait_ms: int = 1_000, entropy: int = 0) -> e.AttemptFailed:
    """The open attempt is turned away; what the log says of that."""
    world.fail(task, FailureKind.THROTTLED, entropy, wait_ms, TOO_MANY)
    return world.last(e.AttemptFailed)


@pytest.mark.acceptance("governor")
def test_a_throttled_attempt_is_tried_again_when_asked_and_its_wait_is_one_event() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    before = len(world.events())
    throttled = throttle(world, task, 42_000)
    assert world.events()[before:] == [throttled]
    assert throttled == e.AttemptFailed(
        task=task,
        attempt=1,
        kind=FailureKind.THROTTLED,
        reason=TOO_MANY,
        retry_at_ms=world.now_ms + 42_000,
    )
    found = world.state.tasks[task]
    assert (found.status, found.reason) == (TaskStatus.PENDING, TOO_MANY)
    world.tick(41_999)
    assert world.status(task) is TaskStatus.PENDING, "it was tried before its time"
    world.tick(1)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.complete(task)
    assert world.audit() == []


@pytest.mark.acceptance("governor")
def test_throttles_count_neither_towards_the_attempts_nor_against_the_agent() -> None:
    world = World()
    (agent,) = world.team(1)
    task = world.submit(retry=ONCE)
    for _ in range(10):
        throttle(world, task)
        world.tick(1_100)
    assert world.state.tasks[task].failures == 0
    assert world.state.agents[agent].failed == 0
    assert world.state.counters.attempts_failed == 0
    assert world.status(task) is TaskStatus.ASSIGNED
    world.fail(task)
    assert world.status(task) is TaskStatus.FAILED, "the one failure that it may have was its first"


def test_the_agent_takes_other_tasks_while_one_waits() -> None:
    world = World()
    (agent,) = world.team(1)
    waiting, other = world.submit(), world.submit()
    throttle(world, waiting, 60_000)
    assert world.state.tasks[other].agent == agent
    world.complete(other)
    world.tick(60_000)
    assert world.state.tasks[waiting].agent == agent


def test_the_bound_on_waits_makes_an_ordinary_failure_of_the_next_one() -> None:
    world = World()
    (agent,) = world.team(1)
    task = world.submit(retry=ONCE)
    for _ in range(THROTTLES_PER_TASK_MAX):
        assert world.status(task) is TaskStatus.ASSIGNED
        throttle(world, task)
        world.tick(1_100)
        assert world.audit() == []
    last = throttle(world, task)
    assert (last.kind, last.retry_at_ms) == (FailureKind.ERROR, None)
    assert last.reason == f"it was asked to wait 64 times without a step in between: {TOO_MANY}"
    assert world.status(task) is TaskStatus.FAILED
    assert world.state.agents[agent].failed == 1
    assert world.audit() == []
    assert not world.state.throttles


def test_what_fails_for_being_throttled_too_often_follows_the_retry_policy() -> None:
    world = World()
    world.team(1)
    task = world.submit(retry=RetryPolicy(attempts_max=2))
    for _ in range(THROTTLES_PER_TASK_MAX + 1):
        throttle(world, task, 0)
    world.tick(2_000)
    assert world.status(task) is TaskStatus.ASSIGNED
    throttle(world, task, 0)
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert TOO_MANY in (world.state.tasks[task].reason or "")


def test_a_finished_step_begins_the_count_of_waits_anew() -> None:
    world = World()
    world.team(1)
    task = world.submit(retry=ONCE)
    for number in range(2 * THROTTLES_PER_TASK_MAX):
        if number == THROTTLES_PER_TASK_MAX - 1:
            attempt = world.state.tasks[task].attempt
            world.send(
                c.ReportStep(now_ms=world.now_ms, task=task, attempt=attempt, key="k", name="s")
            )
            assert not world.state.throttles
        if world.status(task) is TaskStatus.ASSIGNED:
            throttle(world, task, 0)
    kinds = [event.kind for event in world.of(e.AttemptFailed)]
    assert kinds == [FailureKind.THROTTLED] * (2 * THROTTLES_PER_TASK_MAX - 1) + [FailureKind.ERROR]


def test_a_wait_that_would_pass_the_deadline_ends_the_task_and_no_agent_is_blamed() -> None:
    world = World()
    (agent,) = world.team(1)
    task = world.submit(deadline_ms=world.now_ms + 10_000)
    assert throttle(world, task, 10_000).retry_at_ms is None
    assert world.status(task) is TaskStatus.FAILED
    assert world.state.tasks[task].reason == (
        f"its deadline passes before another attempt: {TOO_MANY}"
    )
    assert world.state.agents[agent].failed == 0
    assert world.audit() == []


def test_a_throttled_attempt_that_was_being_cancelled_is_cancelled() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    assert throttle(world, task).retry_at_ms is None
    assert world.status(task) is TaskStatus.CANCELLED
    assert not world.state.throttles


@SETTINGS
@given(st.integers(-(2**40), 2**40), st.integers(0, 2**64 - 1))
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_its_bound(
    asked_ms: int, entropy: int
) -> None:
    least_ms = min(max(asked_ms, 0), THROTTLE_MS_MAX)
    wait_ms = throttle_ms(asked_ms, entropy)
    assert least_ms <= wait_ms <= min(least_ms * 1.1, THROTTLE_MS_MAX)


def test_two_that_are_turned_away_together_come_back_apart() -> None:
    world = World()
    world.team(2)
    tasks = [world.submit(), world.submit()]
    times = {throttle(world, task, 60_000, 500 * at).retry_at_ms for at, task in enumerate(tasks)}
    assert times == {world.now_ms + 60_000, world.now_ms + 63_000}


def test_a_wait_goes_on_over_a_crash_of_the_orchestrator() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    throttle(world, task, 60_000)
    assert world.replay().digest() == world.state.digest()
    world.state = world.replay()
    world.send(c.Recover(now_ms=world.now_ms))
    world.tick(59_999)
    assert world.status(task) is TaskStatus.PENDING
    world.tick(1)
    assert world.status(task) is TaskStatus.QUEUED
    world.settle()
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.throttles == {task: 1}


def test_a_wait_that_ran_out_while_the_lid_was_closed_leads_to_one_attempt() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    throttle(world, task, 60_000)
    world.now_ms += 8 * 3_600_000
    world.send(c.Tick(now_ms=world.now_ms, gap_ms=8 * 3_600_000))
    world.tick(1_000)
    assert [event.attempt for event in world.of(e.TaskAssigned)] == [1, 2]
    assert world.status(task) is TaskStatus.ASSIGNED


def test_a_long_attempt_outlives_hours_of_sleep_without_being_blamed_for_them() -> None:
    world = World()
    world.team(1)
    hours = 3_600_000
    task = world.submit(timeout_ms=hours)
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    world.tick(hours // 2)
    world.now_ms += 9 * hours
    world.send(c.Tick(now_ms=world.now_ms, gap_ms=9 * hours))
    assert world.status(task) is TaskStatus.RUNNING, "it was blamed for the time it slept"
    world.tick(hours // 2)
    assert world.status(task) is TaskStatus.RUNNING, "its worker has a grace to end it"
    world.tick(60_000)
    assert world.last(e.AttemptFailed).kind is FailureKind.TIMEOUT
    assert world.last(e.AttemptFailed).attempt == 1
