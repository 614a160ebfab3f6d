"""What ended leaves the fold in time, and enough of it stays to refuse what comes late."""

from collections.abc import Iterator

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.tasks import TaskStatus

KEPT = 10


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("visionflow.engine.evolve.tasks.TERMINAL_TASKS_MAX", KEPT)
    monkeypatch.setattr("visionflow.engine.evolve.tasks.FINISHED_IDS_MAX", 30)
    yield


def run(world: World, count: int) -> list[str]:
    names = [world.submit() for _ in range(count)]
    for name in names:
        world.complete(name)
    return names


def test_ended_tasks_leave_with_their_id_and_last_attempt_kept() -> None:
    world = World()
    world.team(1)
    first = world.submit()
    world.fail(first)
    world.tick(5_000)
    world.complete(first)
    run(world, 2 * KEPT)
    assert first not in world.state.tasks
    assert world.state.finished[first] == 2
    assert len(world.state.tasks) <= 2 * KEPT
    assert world.audit() == []


def test_reports_about_a_task_that_left_are_still_told_apart() -> None:
    world = World()
    world.team(1)
    first = run(world, 2 * KEPT + 1)[0]
    length = len(world.log)
    report = {"now_ms": world.now_ms, "task": first}
    world.send(c.ReportResult(attempt=1, **report))
    assert len(world.log) == length, "the committed result again is not an error"
    world.send(c.ReportResult(attempt=2, **report))
    assert world.last(e.LateResultRefused).current == 1


def test_the_id_of_a_task_that_left_is_not_given_again() -> None:
    world = World()
    world.team(1)
    first = run(world, 2 * KEPT + 1)[0]
    world.submit(id=first)
    assert world.last(e.CommandRefused).code == "duplicate_id"
    answer = world.send(c.RetryTask(now_ms=world.now_ms, task=first))
    assert answer.message == f"Task {first}: it ended long ago."


def test_the_ids_kept_have_a_bound_too() -> None:
    world = World()
    world.team(1)
    run(world, 100)
    assert len(world.state.finished) == 30


def test_a_result_leaves_when_all_that_depended_on_it_have_ended() -> None:
    world = World()
    world.team(1)
    first = world.submit()
    slow = world.submit()
    last = world.submit(depends_on=(first, slow), priority=0)
    world.complete(first)
    world.send(c.CancelTask(now_ms=world.now_ms, task=slow))
    world.fail(slow)
    assert world.status(last) is TaskStatus.FAILED
    run(world, 3 * KEPT)
    assert first not in world.state.tasks, "nobody needs it any more"


def test_a_result_that_is_needed_outlives_many_others() -> None:
    world = World()
    world.team(2)
    first, slow = world.submit(), world.submit()
    last = world.submit(depends_on=(first, slow))
    world.complete(first)
    run(world, 5 * KEPT)
    assert first in world.state.tasks
    world.complete(slow)
    assert world.status(last) is TaskStatus.ASSIGNED


def test_the_parts_of_a_plan_stay_until_it_has_ended() -> None:
    world = World()
    world.team(2)
    root, (first, (last,)) = world.plan([{} for _ in range(3 * KEPT)], [{}])
    for name in first:
        world.complete(name)
    run(world, 3 * KEPT)
    assert set(first) <= world.state.tasks.keys()
    world.complete(last)
    assert world.status(root) is TaskStatus.COMPLETED
    run(world, 3 * KEPT)
    assert not set(first) & world.state.tasks.keys()


def test_a_part_told_to_stop_may_end_after_its_root_has_left() -> None:
    world = World()
    world.team(2)
    root, ((part,),) = world.plan([{}])
    world.send(c.CancelTask(now_ms=world.now_ms, task=root))
    run(world, 3 * KEPT)
    assert root not in world.state.tasks
    world.fail(part)
    assert world.status(part) is TaskStatus.CANCELLED
    assert world.audit() == []


@pytest.mark.parametrize("seed", range(6))
def test_the_auditor_finds_nothing_and_a_replay_is_the_same_while_tasks_leave(seed: int) -> None:
    world = World(seed)
    for _ in range(800):
        world.step()
        assert world.audit() == []
    assert world.state.finished
    assert world.replay().digest() == world.state.digest()
