"""Another attempt: when, how often, and what becomes of a task when there is none."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.limits import CRASHES_PER_TASK_MAX, KILLS_PER_TASK_MAX, Limits
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.decide.attempts import wait_ms


def policy(backoff: Backoff, **fields: int) -> RetryPolicy:
    return RetryPolicy(backoff=backoff, **{"jitter_bp": 0, **fields})


def waits(world: World, task: str) -> list[int]:
    """Fail a task until it is not tried again; how long it waited each time."""
    found: list[int] = []
    for _ in range(20):
        if world.status(task) is not TaskStatus.ASSIGNED:
            break
        world.fail(task, entropy=3)
        retry_at_ms = world.last(e.AttemptFailed).retry_at_ms
        if retry_at_ms is not None:
            found.append(retry_at_ms - world.now_ms)
            world.tick(found[-1] - 1)
            assert world.status(task) is TaskStatus.PENDING, "it was tried before its time"
            world.tick(1)
    return found


@pytest.mark.acceptance("task-retry")
def test_a_task_that_fails_twice_succeeds_the_third_time_at_growing_intervals() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    intervals: list[int] = []
    for _ in range(2):
        failed_ms = world.now_ms
        world.fail(task, entropy=5_000)
        for _ in range(100):
            world.tick(0 if world.running() else 100)
        intervals.append(world.now_ms - failed_ms)
    world.complete(task)
    assert [event.attempt for event in world.of(e.TaskAssigned)] == [1, 2, 3]
    assert intervals[0] >= 1_000 and intervals[1] >= 2 * 1_000 > intervals[0]
    assert world.status(task) is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (Backoff.EXPONENTIAL, [1_000, 2_000, 4_000, 8_000, 10_000]),
        (Backoff.LINEAR, [1_000, 2_000, 3_000, 4_000, 5_000]),
        (Backoff.NONE, []),
    ],
)
@pytest.mark.acceptance("task-retry")
def test_waits_follow_the_policy(backoff: Backoff, expected: list[int]) -> None:
    world = World()
    world.team(1)
    task = world.submit(retry=policy(backoff, attempts_max=6, wait_max_ms=10_000))
    assert waits(world, task) == expected


def test_jitter_comes_from_the_entropy_of_the_command_and_from_nothing_else() -> None:
    jittery = RetryPolicy(jitter_bp=2_000)
    assert wait_ms(jittery, 1, 0) == 1_000
    assert wait_ms(jittery, 1, 5_000) == 1_100
    assert wait_ms(jittery, 1, 10_000) == 1_200
    assert wait_ms(jittery, 3, 10_000) == 4_800
    times: list[int | None] = []
    for entropy in (0, 2_500, 2_500, 7_500):
        world = World()
        world.team(1)
        world.fail(world.submit(retry=jittery), entropy=entropy)
        times.append(world.last(e.AttemptFailed).retry_at_ms)
    assert times == [1_001_000, 1_001_050, 1_001_050, 1_001_150]


def test_a_wait_has_a_bound_however_many_attempts_are_allowed() -> None:
    patient = policy(Backoff.EXPONENTIAL, attempts_max=10_000)
    assert wait_ms(patient, 9_999, 0) == patient.wait_max_ms
    assert wait_ms(policy(Backoff.LINEAR), 9_999, 0) == patient.wait_max_ms


@pytest.mark.acceptance("task-retry")
def test_a_task_whose_attempts_all_failed_is_in_the_dead_letter_with_its_reason() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    waits(world, task)
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert world.state.tasks[task].reason == "3 attempts failed: it broke"
    assert world.last(e.TaskDeadLettered).kind is FailureKind.ERROR
    assert world.state.counters.dead_letter == 1


def test_a_task_that_allows_one_attempt_just_fails() -> None:
    world = World()
    world.team(1)
    for retry in (policy(Backoff.NONE), RetryPolicy(attempts_max=1)):
        task = world.submit(retry=retry)
        world.fail(task)
        assert world.status(task) is TaskStatus.FAILED
        assert world.state.tasks[task].reason == "it broke"


def test_a_permanent_failure_is_not_tried_again() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.fail(task, FailureKind.PERMANENT)
    assert world.status(task) is TaskStatus.FAILED


def test_no_attempt_at_all_is_refused() -> None:
    world = World()
    world.submit(id="never", retry=RetryPolicy(attempts_max=0))
    assert "never" not in world.state.tasks
    assert world.last(e.CommandRefused).code == "usage"


# Workers that die under a task ---------------------------------------------------------------


def crash(world: World, task: str) -> None:
    """The worker dies by itself while the task runs, and all is built again."""
    attempt = world.state.tasks[task].attempt
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=attempt))
    holder = world.state.tasks[task].agent
    assert holder is not None
    world.lose(world.state.agents[holder].worker)
    world.now_ms += 100_000
    world.settle()


@pytest.mark.acceptance("task-retry")
def test_a_task_that_brings_its_worker_down_three_times_is_poison() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    for _ in range(CRASHES_PER_TASK_MAX):
        assert world.status(task) is TaskStatus.ASSIGNED
        crash(world, task)
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert world.state.tasks[task].reason == "its worker crashed 3 times under it: worker w1: gone"
    assert world.last(e.TaskDeadLettered).kind is FailureKind.CRASH


def test_a_finished_step_shows_progress_and_the_crashes_count_anew() -> None:
    world = World(limits=Limits(circuit_failures=100))
    world.team(1)
    task = world.submit()
    for number in range(5):
        crash(world, task)
        attempt = world.state.tasks[task].attempt
        world.send(
            c.ReportStep(
                now_ms=world.now_ms, task=task, attempt=attempt, key=f"k{number}", name="s"
            )
        )
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.tasks[task].crashes == 0


def test_crashes_and_failures_are_counted_apart() -> None:
    world = World()
    world.team(1)
    task = world.submit(retry=policy(Backoff.LINEAR, attempts_max=2))
    crash(world, task)
    crash(world, task)
    world.fail(task)
    assert world.status(task) is TaskStatus.PENDING
    world.tick(1_000)
    assert world.state.tasks[task].attempt == 4


def test_a_task_that_had_not_begun_is_less_suspect_when_its_worker_crashes() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    for _ in range(CRASHES_PER_TASK_MAX + 1):
        world.lose("w1")
        world.now_ms += 100_000
        world.settle()
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.tasks[task].kills == CRASHES_PER_TASK_MAX + 1


@pytest.mark.parametrize("kind", [FailureKind.KILLED, FailureKind.NETWORK])
def test_workers_that_go_away_under_a_task_by_no_fault_of_its_own_count_too_in_the_end(
    kind: FailureKind,
) -> None:
    world = World()
    world.team(1)
    task = world.submit()
    for attempt in range(1, KILLS_PER_TASK_MAX + 1):
        assert world.status(task) is TaskStatus.ASSIGNED
        world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=attempt))
        world.lose("w1", kind)
        world.now_ms += 100_000
        world.settle()
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert "went away 16 times" in (world.state.tasks[task].reason or "")


# A person tries again ------------------------------------------------------------------------


def retry(world: World, task: str) -> str | None:
    return world.send(c.RetryTask(now_ms=world.now_ms, task=task)).code


def test_a_dead_letter_can_be_tried_again_for_one_full_round() -> None:
    world = World(limits=Limits(circuit_failures=100))
    world.team(1)
    task = world.submit()
    waits(world, task)
    assert retry(world, task) is None
    assert len(waits(world, task)) == 2
    assert world.state.tasks[task].attempt == 6
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert world.audit() == []


def test_what_completed_or_still_lives_is_not_tried_again() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    assert retry(world, task) == "not_failed"
    world.complete(task)
    assert retry(world, task) == "not_failed"
    assert retry(world, "task_unknown") == "unknown_task"


def test_a_task_is_not_tried_again_before_what_it_depends_on_completed() -> None:
    world = World()
    world.team(1)
    first = world.submit(retry=policy(Backoff.NONE))
    second = world.submit(depends_on=(first,))
    world.fail(first)
    assert world.status(second) is TaskStatus.FAILED
    assert retry(world, second) == "dependency_failed"
    assert retry(world, first) is None
    assert retry(world, second) == "dependency_failed"
    world.complete(first)
    assert retry(world, second) is None
    assert world.status(second) is TaskStatus.ASSIGNED


def test_a_task_tried_again_still_has_its_deadline() -> None:
    world = World()
    world.team(1)
    task = world.submit(deadline_ms=world.now_ms + 60_000, retry=policy(Backoff.NONE))
    world.fail(task)
    assert retry(world, task) is None
    world.tick(60_000)
    assert world.status(task) is TaskStatus.FAILED
    assert "deadline passed" in (world.state.tasks[task].reason or "")
    assert retry(world, task) == "deadline_passed"
