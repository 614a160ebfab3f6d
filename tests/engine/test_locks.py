"""Locks of the swarm: one holder, first come first served, gone with the attempt."""

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import supervision_events as s
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.decide.deadlocks import is_deadlocked


def working(count: int) -> tuple[World, list[str]]:
    """So many tasks, each under way with an agent of its own."""
    world = World()
    world.team(count)
    return world, [world.submit() for _ in range(count)]


def test_a_lock_has_one_holder_and_the_others_get_it_in_the_order_in_which_they_came() -> None:
    world, (a, b, d) = working(3)
    for task in (a, b, d):
        assert world.lock(task, "deploy") is None
    assert world.holder("deploy") == a
    world.unlock(a, "deploy")
    assert world.holder("deploy") == b
    world.unlock(b, "deploy")
    world.unlock(d, "deploy")
    assert world.holder("deploy") is None and world.state.supervised.locks == {}
    granted = [each.task for each in world.of(s.LockGranted)]
    assert granted == [a, b, d] and world.audit() == []


def test_a_request_that_comes_again_changes_nothing_and_what_was_given_back_stays_so() -> None:
    world, (a, b) = working(2)
    world.lock(a, "x", number=1)
    world.lock(b, "x", number=1)
    records = len(world.log)
    assert world.lock(a, "x", number=1) is None and world.lock(b, "x", number=1) is None
    assert len(world.log) == records
    world.unlock(a, "x", number=1)
    world.unlock(b, "x", number=1)
    world.lock(a, "x", number=2)
    world.unlock(a, "x", number=1)
    assert world.holder("x") == a, "the frame of before came again and gave back what is held now"
    assert world.lock(a, "x", number=3) == "usage"


def test_who_waits_no_more_is_passed_over() -> None:
    world, (a, b, d) = working(3)
    for task in (a, b, d):
        world.lock(task, "x")
    world.unlock(b, "x")
    world.unlock(a, "x")
    assert world.holder("x") == d


def test_an_attempt_that_ends_in_any_way_lets_go_of_all_it_held_and_waited_for() -> None:
    for end in ("complete", "fail", "cancel", "lose", "terminate"):
        world, (a, b) = working(2)
        world.lock(a, "x")
        world.lock(a, "y", number=2)
        world.lock(b, "z")
        world.lock(a, "z", number=3)
        agent = world.state.tasks[a].agent
        assert agent is not None
        match end:
            case "complete":
                world.complete(a)
            case "fail":
                world.fail(a)
            case "cancel":
                world.send(c.CancelTask(now_ms=world.now_ms, task=a))
                world.fail(a, FailureKind.KILLED)
            case "lose":
                world.lose(world.state.agents[agent].worker)
            case _:
                world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
        assert world.holder("x") is None and world.holder("y") is None, end
        left = world.state.supervised.locks
        assert all(entry[0] != a for lock in left.values() for entry in lock.queue), end
        assert world.audit() == [] and world.replay().digest() == world.state.digest()


def test_a_stale_attempt_gets_no_lock_and_gives_none_back() -> None:
    world, (a, b) = working(2)
    world.lock(a, "x")
    world.fail(a)
    world.tick(20_000)
    assert world.attempt(a) == 2
    assert world.lock(a, "x", attempt=1) == "stale_attempt"
    assert world.lock(a, "x", number=5) is None and world.holder("x") == a
    assert world.lock(b, "x") is None
    world.lock(a, "y", attempt=1)
    assert "y" not in world.state.supervised.locks


def test_two_with_locks_in_opposite_order_are_a_deadlock_and_the_younger_one_is_ended() -> None:
    world = World()
    world.team(2)
    older = world.submit()
    world.now_ms += 10
    younger = world.submit()
    world.lock(older, "x")
    world.lock(younger, "y")
    world.lock(older, "y", number=2)
    assert world.of(s.DeadlockFound) == [] and not is_deadlocked(world.state)
    world.lock(younger, "x", number=2)
    found = world.last(s.DeadlockFound)
    assert set(found.ring) == {older, younger} and found.broken == younger
    assert f"{older} waits for lock y, which {younger} holds" in found.waits
    assert f"{younger} waits for lock x, which {older} holds" in found.waits
    assert world.holder("y") == older and world.status(younger) is TaskStatus.PENDING
    task = world.state.tasks[younger]
    assert task.failures == 0 and task.kills == 1 and task.retry_at_ms is not None
    assert world.now_ms + 500 <= task.retry_at_ms <= world.now_ms + 1_000
    chosen = world.last(s.RecoveryChosen)
    assert (chosen.cause, chosen.strategy, chosen.task) == ("deadlock", "default", younger)
    world.complete(older)
    world.tick(1_000)
    assert world.attempt(younger) == 2
    world.complete(younger)
    assert world.audit() == []


def test_a_ring_of_three_is_found_when_its_last_wait_begins() -> None:
    world, tasks = working(3)
    names = ("x", "y", "z")
    for task, name in zip(tasks, names, strict=True):
        world.lock(task, name)
    world.lock(tasks[0], "y", number=2)
    world.lock(tasks[1], "z", number=2)
    assert world.of(s.DeadlockFound) == []
    world.lock(tasks[2], "x", number=2)
    assert set(world.last(s.DeadlockFound).ring) == set(tasks)
    assert not is_deadlocked(world.state)


def test_a_task_that_stands_in_deadlocks_for_ever_is_given_up_and_waits_longer_each_time() -> None:
    world = World()
    world.team(2)
    older = world.submit(timeout_ms=2**40)
    world.lock(older, "x")
    world.now_ms += 10
    younger = world.submit()
    waits: list[int] = []
    for number in range(1, 20):
        if world.status(younger) is not TaskStatus.ASSIGNED:
            break
        world.lock(younger, "y")
        world.lock(older, "y", number=1 + number)
        world.lock(younger, "x", number=2)
        world.unlock(older, "y", number=1 + number)
        retry = world.state.tasks[younger].retry_at_ms
        if retry is not None:
            waits.append(retry - world.now_ms)
            world.tick(retry - world.now_ms)
    assert len(waits) == 15 and waits[0] < waits[3] < waits[6]
    assert world.status(younger) is TaskStatus.DEAD_LETTER
    assert world.state.supervised.circuits == {}
