"""Ending tasks before they are done: cancellation, deadlines, wall-clock limits, blocking."""

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.limits import TIMEOUT_GRACE_MS, Limits
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.decide import handle
from visionflow.engine.effects import Cancel, Deliver, outstanding
from visionflow.engine.evolve import evolve, open_record

ONCE = RetryPolicy(backoff=Backoff.NONE)


def cancel(world: World, task: str, reason: str = "enough") -> str | None:
    return world.send(c.CancelTask(now_ms=world.now_ms, task=task, reason=reason)).code


def test_a_queued_task_is_cancelled_at_once_and_leaves_the_queue() -> None:
    world = World()
    task = world.submit()
    assert cancel(world, task) is None
    assert world.status(task) is TaskStatus.CANCELLED
    assert len(world.state.matching) == 0
    world.team(1)
    assert world.running() == []


def test_a_running_task_is_told_to_stop_and_is_cancelled_when_its_attempt_ends() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    cancel(world, task)
    assert world.status(task) is TaskStatus.ASSIGNED
    worker = world.state.workers["w1"]
    assert list(outstanding(world.state)) == [
        Cancel("w1", worker.incarnation, task, 1, "enough"),
    ]
    world.fail(task)
    assert world.status(task) is TaskStatus.CANCELLED
    assert list(outstanding(world.state)) == []


def test_a_task_that_is_cancelled_does_not_spoil_the_record_of_its_agent() -> None:
    world = World()
    agent = world.team(1)[0]
    task = world.submit()
    cancel(world, task)
    world.fail(task)
    assert world.state.agents[agent].failed == 0


def test_a_result_that_comes_before_the_attempt_stopped_still_counts() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    cancel(world, task)
    world.complete(task)
    assert world.status(task) is TaskStatus.COMPLETED


def test_cancelling_twice_is_refused_the_second_time() -> None:
    world = World()
    world.team(1)
    task, queued = world.submit(), world.submit()
    for name in (task, queued):
        assert cancel(world, name) is None
        assert cancel(world, name) == "already_ended"
    assert cancel(world, "task_unknown") == "unknown_task"


def test_a_task_that_waits_for_its_retry_is_cancelled_and_not_tried_again() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.fail(task)
    cancel(world, task)
    world.tick(100_000)
    assert world.status(task) is TaskStatus.CANCELLED
    assert world.state.retries.next_ms() is None


def test_what_depends_on_a_cancelled_task_fails_and_says_on_which() -> None:
    world = World()
    first = world.submit()
    second = world.submit(depends_on=(first,))
    third = world.submit(depends_on=(second,))
    cancel(world, first)
    assert world.status(third) is TaskStatus.FAILED
    assert (
        world.state.tasks[second].reason == f"it depends on {first}, which ended without a result"
    )


def test_cancelling_a_plan_ends_what_waits_and_tells_what_runs_to_stop() -> None:
    world = World()
    world.team(1)
    root, ((running, queued), (later,)) = world.plan([{}, {}], [{}])
    cancel(world, root)
    assert world.status(root) is TaskStatus.CANCELLED
    assert world.status(queued) is world.status(later) is TaskStatus.CANCELLED
    assert world.state.tasks[running].cancelling == "its plan was cancelled: enough"
    world.fail(running)
    assert world.status(running) is TaskStatus.CANCELLED
    assert world.audit() == [] and world.state.live == 0


def test_an_attempt_told_to_stop_that_dies_with_its_worker_is_not_given_out_again() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    cancel(world, task)
    world.lose("w1")
    assert world.status(task) is TaskStatus.CANCELLED


# Deadlines and limits ------------------------------------------------------------------------


def test_a_queued_task_whose_deadline_passes_has_failed() -> None:
    world = World()
    task = world.submit(deadline_ms=world.now_ms + 1_000)
    world.tick(999)
    assert world.status(task) is TaskStatus.QUEUED
    world.tick(1)
    assert world.status(task) is TaskStatus.FAILED
    assert world.last(e.TaskFailed).kind is FailureKind.TIMEOUT


def test_an_attempt_that_runs_when_the_deadline_passes_ends_with_it() -> None:
    world = World()
    world.team(1)
    task = world.submit(deadline_ms=world.now_ms + 1_000)
    world.tick(1_000)
    assert world.status(task) is TaskStatus.FAILED
    assert world.last(e.AttemptFailed).kind is FailureKind.TIMEOUT
    world.complete(task)
    assert world.status(task) is TaskStatus.FAILED


def test_no_attempt_is_planned_for_after_the_deadline() -> None:
    world = World()
    world.team(1)
    task = world.submit(deadline_ms=world.now_ms + 500)
    world.fail(task)
    assert world.status(task) is TaskStatus.FAILED
    assert world.state.tasks[task].reason == "its deadline passes before another attempt: it broke"


def test_a_plan_ends_with_its_deadline() -> None:
    world = World()
    world.team(1)
    root, _ = world.plan([{}, {}], deadline_ms=world.now_ms + 1_000)
    world.tick(1_000)
    assert world.status(root) is TaskStatus.CANCELLED
    assert world.state.tasks[root].reason == "its deadline passed"


def test_a_completed_task_is_not_touched_by_its_deadline() -> None:
    world = World()
    world.team(1)
    task = world.submit(deadline_ms=world.now_ms + 1_000)
    world.complete(task)
    world.tick(2_000)
    assert world.status(task) is TaskStatus.COMPLETED


def test_an_attempt_over_its_wall_clock_limit_ends_though_its_worker_is_silent() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=10_000)
    world.tick(10_000 + TIMEOUT_GRACE_MS - 1)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.tick(1)
    assert world.last(e.AttemptFailed).kind is FailureKind.TIMEOUT
    assert world.status(task) is TaskStatus.PENDING


def test_time_that_was_slept_through_counts_for_no_attempt() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=10_000)
    world.tick(4_000)
    world.now_ms += 3_600_000
    world.send(c.Tick(now_ms=world.now_ms, gap_ms=3_600_000))
    assert world.status(task) is TaskStatus.ASSIGNED
    world.tick(6_000 + TIMEOUT_GRACE_MS - 1)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.tick(1)
    assert world.last(e.AttemptFailed).kind is FailureKind.TIMEOUT


def test_a_gap_that_is_told_in_a_record_from_before_it_counts_for_no_attempt_either() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=10_000)
    world.tick(4_000)
    opened_ms = world.now_ms
    world.now_ms += 3_600_000
    events, _ = handle(world.state, c.Tick(now_ms=world.now_ms, gap_ms=3_600_000))
    open_record(world.state, opened_ms)
    for event in events:
        evolve(world.state, event)
    world.tick(1)
    assert world.status(task) is TaskStatus.ASSIGNED


def test_the_limit_of_the_swarm_holds_for_tasks_that_state_none() -> None:
    world = World(limits=Limits(attempt_timeout_ms=2_000))
    world.team(1)
    task = world.submit(retry=ONCE)
    world.tick(2_000 + TIMEOUT_GRACE_MS)
    assert world.status(task) is TaskStatus.FAILED


def test_the_wall_clock_of_an_attempt_starts_anew_when_it_begins_to_run() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=10_000)
    world.tick(9_000)
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    world.tick(10_000)
    assert world.status(task) is TaskStatus.RUNNING


def test_one_that_is_told_to_stop_and_never_answers_is_cancelled_when_its_time_is_up() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=10_000)
    cancel(world, task)
    world.tick(10_000 + TIMEOUT_GRACE_MS)
    assert world.status(task) is TaskStatus.CANCELLED


def test_deadline_and_wall_clock_that_pass_in_one_tick_end_a_task_once() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=1_000, deadline_ms=world.now_ms + 1_000)
    world.tick(60_000)
    assert len(world.of(e.AttemptFailed)) == len(world.of(e.TaskFailed)) == 1
    assert world.status(task) is TaskStatus.FAILED


# Blocked -------------------------------------------------------------------------------------


def test_a_blocked_task_says_what_is_missing_and_is_given_to_nobody() -> None:
    world = World()
    task = world.submit()
    world.send(c.BlockTask(now_ms=world.now_ms, task=task, missing="a budget"))
    world.team(1)
    assert world.status(task) is TaskStatus.BLOCKED
    assert world.state.tasks[task].reason == "a budget"
    world.send(c.UnblockTask(now_ms=world.now_ms, task=task))
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.tasks[task].reason is None


def test_only_a_queued_task_is_blocked_and_only_a_blocked_one_unblocked() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    blocked = world.send(c.BlockTask(now_ms=world.now_ms, task=task, missing="x"))
    unblocked = world.send(c.UnblockTask(now_ms=world.now_ms, task=task))
    assert (blocked.code, unblocked.code) == ("not_queued", "not_blocked")


def test_blocking_and_unblocking_over_and_over_runs_the_task_once() -> None:
    world = World()
    task, other = world.submit(), world.submit()
    for _ in range(5):
        world.send(c.BlockTask(now_ms=world.now_ms, task=other, missing="x"))
        world.send(c.UnblockTask(now_ms=world.now_ms, task=other))
    world.team(3)
    assert [event.task for event in world.of(e.TaskAssigned)] == [task, other]
    deliveries = [x for x in outstanding(world.state) if isinstance(x, Deliver)]
    assert len(deliveries) == 2 and len(world.state.matching) == 0
