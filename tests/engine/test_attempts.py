"""Attempts and the fence: whatever comes late is refused, and what comes twice does no harm."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import mesh_events as me
from visionflow.domain.tasks import FailureKind, Payload, TaskStatus
from visionflow.engine.effects import dispatch


def second_attempt(world: World) -> str:
    """A task whose first attempt was lost and whose second is out."""
    world.team(2)
    task = world.submit()
    world.send(c.ExpireLease(now_ms=world.now_ms, task=task, attempt=1, evidence="silence"))
    assert world.state.tasks[task].attempt == 2
    return task


def step(world: World, task: str, attempt: int, key: str = "k") -> None:
    world.answer = world.send(
        c.ReportStep(
            now_ms=world.now_ms,
            task=task,
            attempt=attempt,
            key=key,
            name="build",
            value=Payload(inline=b"\x07"),
            tree="abc",
        )
    )


def test_a_late_result_of_attempt_1_is_refused_once_attempt_2_is_out() -> None:
    world = World()
    task = second_attempt(world)
    world.complete(task, attempt=1)
    assert world.last(e.LateResultRefused) == e.LateResultRefused(task=task, attempt=1, current=2)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.complete(task, attempt=2, result=b"\x02")
    assert world.state.tasks[task].result == Payload(inline=b"\x02")
    assert world.state.counters.late_results == 1


def test_a_result_that_comes_while_the_task_waits_for_its_retry_is_refused() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.fail(task)
    world.complete(task, attempt=1)
    assert world.last(e.LateResultRefused).task == task
    assert world.status(task) is TaskStatus.PENDING


def test_the_committed_result_may_come_again_and_nothing_happens() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.complete(task)
    length = len(world.log)
    answer = world.complete(task, attempt=1, result=b"\x09")
    assert len(world.log) == length and answer.code is None
    assert world.state.tasks[task].result == Payload(inline=b"\x01")


def test_a_result_of_an_attempt_that_was_never_given_out_is_refused() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.complete(task, attempt=2)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.send(c.ReportResult(now_ms=world.now_ms, task="task_unknown", attempt=1))
    assert [event.task for event in world.of(e.LateResultRefused)] == [task, "task_unknown"]


def test_a_late_failure_of_attempt_1_does_not_end_attempt_2() -> None:
    world = World()
    task = second_attempt(world)
    for kind in FailureKind:
        world.send(
            c.ReportFailure(now_ms=world.now_ms, task=task, attempt=1, kind=kind, reason="late")
        )
    world.send(c.ExpireLease(now_ms=world.now_ms, task=task, attempt=1, evidence="late"))
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.tasks[task].attempt == 2


def test_a_step_that_quotes_a_stale_attempt_is_refused_by_name() -> None:
    world = World()
    task = second_attempt(world)
    step(world, task, 1)
    assert world.answer.code == "stale_attempt"
    assert world.state.tasks[task].steps is None


def test_steps_of_an_earlier_attempt_are_given_to_the_next_one() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    step(world, task, 1, "k1")
    step(world, task, 1, "k1")
    step(world, task, 1, "k2")
    world.lose("w1")
    world.settle()
    message = dispatch(world.state, world.state.tasks[task])
    assert message.attempt == 2
    assert [(each.key, each.tree) for each in message.steps] == [("k1", "abc"), ("k2", "abc")]
    assert len(world.of(e.StepFinished)) == 2


def test_started_is_recorded_once_an_attempt() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    for _ in range(3):
        world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    assert len(world.of(e.TaskStarted)) == 1
    assert world.status(task) is TaskStatus.RUNNING


def test_attempts_are_numbered_without_a_gap_and_never_twice() -> None:
    world = World(11)
    for _ in range(600):
        world.step()
    seen: dict[str, int] = {}
    settled: dict[str, int] = {}
    for event in world.events():
        if isinstance(event, me.AuctionOpened | e.TaskAssigned):
            # What peers bid for has its number from then on, whoever wins it, or nobody.
            won = isinstance(event, e.TaskAssigned) and event.attempt == settled.get(event.task)
            assert event.attempt == seen.get(event.task, 0) + (not won)
            seen[event.task] = event.attempt
        elif isinstance(event, me.AuctionSettled):
            settled[event.task] = event.attempt
    assert max(seen.values()) >= 3


@pytest.mark.parametrize("seed", range(5))
def test_every_completion_is_of_the_attempt_given_out_last(seed: int) -> None:
    world = World(seed)
    for _ in range(400):
        world.step()
    given: dict[str, int] = {}
    for event in world.events():
        if isinstance(event, e.TaskAssigned):
            given[event.task] = event.attempt
        elif isinstance(event, e.TaskCompleted) and event.attempt:
            assert given[event.task] == event.attempt
