"""Which task comes next: priorities, and waiting that weighs as much as priority."""

import pytest

from tests.engine.world import World
from visionflow.domain import events as e
from visionflow.domain.limits import AGING_MS_PER_POINT
from visionflow.domain.tasks import Priority, TaskStatus

BOUND_MS = (Priority.LOW - Priority.CRITICAL) * AGING_MS_PER_POINT


def run_all(world: World) -> list[str]:
    """Complete what is assigned, one after another; the order in which tasks were assigned."""
    for _ in range(len(world.state.tasks)):
        world.complete(world.running()[0])
    return [event.task for event in world.of(e.TaskAssigned)]


@pytest.mark.acceptance("task-priority")
def test_a_critical_task_overtakes_a_low_one_that_came_before_it() -> None:
    world = World()
    world.submit(id="low", priority=Priority.LOW)
    world.now_ms += 1
    world.submit(id="critical", priority=Priority.CRITICAL)
    world.team(1)
    assert run_all(world) == ["critical", "low"]


def test_all_four_words_of_priority_are_in_order() -> None:
    world = World()
    for word in ("LOW", "CRITICAL", "MEDIUM", "HIGH"):
        world.submit(id=word, priority=Priority[word])
    world.team(1)
    assert run_all(world) == ["CRITICAL", "HIGH", "MEDIUM", "LOW"]


def test_tasks_of_one_priority_run_in_the_order_they_came() -> None:
    world = World()
    names = [world.submit() for _ in range(6)]
    world.team(1)
    assert run_all(world) == names


def test_order_holds_across_tasks_that_ask_for_different_capabilities() -> None:
    world = World()
    world.submit(id="a", capabilities=("python",), priority=20)
    world.submit(id="b", capabilities=("review",), priority=10)
    world.submit(id="c", capabilities=("python", "review"), priority=0)
    world.submit(id="d", priority=15)
    world.team(1, "python", "review")
    assert run_all(world) == ["c", "b", "d", "a"]


@pytest.mark.acceptance("task-priority")
def test_under_a_flood_of_critical_tasks_a_low_one_runs_within_its_bound() -> None:
    world = World()
    world.team(1)
    world.submit(id="first")
    world.submit(id="low", priority=Priority.LOW)
    since_ms = world.now_ms
    for _ in range(500):
        if world.status("low") is not TaskStatus.QUEUED:
            break
        world.now_ms += 1_000
        world.submit(priority=Priority.CRITICAL)
        world.complete(world.running()[0])
        assert world.now_ms - since_ms <= BOUND_MS + 1_000
    assert world.now_ms - since_ms >= BOUND_MS, "the flood was none: it did not hold the task up"


def test_nothing_that_came_later_than_the_bound_overtakes_however_long_the_queue() -> None:
    world = World()
    world.team(1)
    world.submit(id="first")
    world.submit(id="low", priority=Priority.LOW)
    since_ms = world.now_ms
    for _ in range(500):
        if world.status("low") is not TaskStatus.QUEUED:
            break
        world.now_ms += 1_000
        world.submit(priority=Priority.CRITICAL)
        world.submit(priority=Priority.CRITICAL)
        world.complete(world.running()[0])
    ran = [event.task for event in world.of(e.TaskAssigned)]
    came = max(world.state.tasks[name].since_ms for name in ran)
    assert came <= since_ms + BOUND_MS
    assert len(ran) > 300


def test_a_task_that_waited_longer_than_the_bonus_comes_first() -> None:
    world = World()
    world.submit(id="old", priority=Priority.LOW)
    world.now_ms += BOUND_MS + 1
    world.submit(id="urgent", priority=Priority.CRITICAL)
    world.team(1)
    assert run_all(world) == ["old", "urgent"]


def test_a_retried_task_keeps_the_place_its_waiting_earned() -> None:
    world = World()
    world.submit(id="old")
    world.team(1)
    world.now_ms += 10
    world.submit(id="young")
    world.fail("old")
    world.tick(5_000)
    world.submit(id="younger")
    world.complete("young")
    assert world.status("old") is TaskStatus.ASSIGNED


def test_a_priority_outside_the_range_is_refused_because_no_waiting_could_make_up_for_it() -> None:
    world = World()
    for priority in (-1, 31):
        world.submit(id="odd", priority=priority)
        assert world.last(e.CommandRefused).code == "usage"
    assert "odd" not in world.state.tasks
