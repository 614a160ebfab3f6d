"""Workers that outlive their orchestrator: what a recovery keeps, and what a hello settles."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.limits import TIMEOUT_GRACE_MS
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.effects import Cancel, Deliver, Host, StartWorker, StopWorker, outstanding

GRACE_MS = 60_000


def recover(world: World, *kept: str) -> None:
    until_ms = world.now_ms + GRACE_MS
    world.send(c.Recover(now_ms=world.now_ms, kept=kept, kept_until_ms=until_ms))


def come_back(world: World, worker: str, *attempts: tuple[str, int]) -> None:
    incarnation = world.state.workers[worker].incarnation
    world.send(
        sc.ReportWorkerAdopted(
            now_ms=world.now_ms, worker=worker, incarnation=incarnation, attempts=attempts
        )
    )


def begun(world: World, agents: int = 1, tasks: int = 1) -> list[str]:
    """Tasks that run in one worker."""
    world.team(agents)
    names = [world.submit() for _ in range(tasks)]
    for name in names:
        world.send(c.ReportStarted(now_ms=world.now_ms, task=name, attempt=1))
    return names


@pytest.mark.acceptance("durable")
def test_an_attempt_goes_on_in_a_worker_that_is_kept_and_ends_in_one_that_is_not() -> None:
    world = World()
    world.team(2)  # On a worker each.
    kept, lost = begun(world, 0, 2)
    homes = {t: world.state.agents[world.state.tasks[t].agent or ""].worker for t in (kept, lost)}
    recover(world, homes[kept])
    assert world.last(e.Recovered).kept == (homes[kept],)
    assert world.status(kept) is TaskStatus.RUNNING
    assert [(x.task, x.attempt) for x in world.of(e.AttemptFailed)] == [(lost, 1)]
    come_back(world, homes[kept], (kept, 1))
    world.complete(kept)
    assert world.last(e.TaskCompleted).attempt == 1
    assert world.replay().digest() == world.state.digest()


def test_a_process_without_a_secret_on_record_is_not_kept() -> None:
    world = World()
    world.secret_hash = ""
    (task,) = begun(world)
    recover(world, "w1", "nobody")
    recovered = world.last(e.Recovered)
    assert (recovered.kept, recovered.kept_until_ms) == ((), 0)
    assert world.last(e.AttemptFailed).task == task
    assert world.state.supervised.awaited == {}


def test_an_awaited_worker_gets_nothing_and_its_agents_are_offered_nothing() -> None:
    world = World()
    (task,) = begun(world)
    recover(world, "w1")
    later = world.submit()
    assert world.status(later) is TaskStatus.QUEUED
    assert list(outstanding(world.state)) == []
    come_back(world, "w1", (task, 1))
    world.complete(task)
    assert world.status(later) is TaskStatus.ASSIGNED


def test_what_ran_and_is_not_there_any_more_is_lost_and_what_was_assigned_is_delivered() -> None:
    world = World()
    world.team(1, tasks_max=3)
    held, gone, never_came = (world.submit() for _ in range(3))
    for name in (held, gone):
        world.send(c.ReportStarted(now_ms=world.now_ms, task=name, attempt=1))
    recover(world, "w1")
    come_back(world, "w1", (held, 1))
    lost = world.last(e.AttemptFailed)
    assert (lost.task, lost.kind, world.status(held)) == (
        gone,
        FailureKind.LOST,
        TaskStatus.RUNNING,
    )
    assert world.state.tasks[never_came].attempt == 1
    assert Deliver("w1", 1, never_came, 1) in list(outstanding(world.state))
    assert world.state.tasks[gone].attempt == 2


def test_a_result_from_before_counts_although_it_was_only_assigned_then() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    recover(world, "w1")
    come_back(world, "w1", (task, 1))
    world.complete(task, 1)
    world.complete(task, 1)
    assert len(world.of(e.TaskCompleted)) == 1
    assert world.of(e.LateResultRefused) == []


def test_a_hello_that_is_said_twice_or_by_another_incarnation_changes_nothing() -> None:
    world = World()
    (task,) = begun(world)
    recover(world, "w1")
    world.send(sc.ReportWorkerAdopted(now_ms=world.now_ms, worker="w1", incarnation=0))
    assert world.of(s.WorkerAdopted) == []
    come_back(world, "w1", (task, 1))
    come_back(world, "w1")
    assert len(world.of(s.WorkerAdopted)) == 1
    assert world.status(task) is TaskStatus.RUNNING


def test_a_process_that_was_kept_before_it_ever_said_hello_joins_by_its_adoption() -> None:
    world = World()
    agent = world.spawn()
    who = {"now_ms": world.now_ms, "worker": "w1", "incarnation": 1}
    world.send(c.ReportWorkerStarted(pid=1, started="1", secret_hash="5e", **who))
    recover(world, "w1")
    assert list(outstanding(world.state)) == []
    come_back(world, "w1")
    assert list(outstanding(world.state)) == [Host("w1", 1, agent, 0)]


def test_one_that_does_not_come_back_is_lost_and_its_task_queued_again() -> None:
    world = World()
    (task,) = begun(world)
    recover(world, "w1")
    world.lose("w1", FailureKind.NETWORK)
    assert world.state.supervised.awaited == {} == world.state.supervised.secrets
    assert world.last(e.AttemptFailed).kind is FailureKind.NETWORK
    assert world.status(task) is TaskStatus.QUEUED
    starts = [x for x in outstanding(world.state) if isinstance(x, StartWorker)]
    assert [(x.worker, x.incarnation) for x in starts] == [("w1", 2)]
    # Its hello comes too late.
    come_back(world, "w1", (task, 1))
    assert world.of(s.WorkerAdopted) == []


def test_the_clock_of_an_attempt_stands_still_until_its_worker_is_back() -> None:
    world = World()
    world.team(1)
    task = world.submit(timeout_ms=1_000)
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    recover(world, "w1")
    world.tick(1_000 + TIMEOUT_GRACE_MS + 1)
    assert world.status(task) is TaskStatus.RUNNING
    come_back(world, "w1", (task, 1))
    world.tick(1_000)
    assert world.status(task) is TaskStatus.RUNNING
    world.tick(TIMEOUT_GRACE_MS)
    assert world.last(e.AttemptFailed).kind is FailureKind.TIMEOUT


def test_a_cancelled_task_is_told_to_stop_when_its_worker_is_back() -> None:
    world = World()
    (task,) = begun(world)
    recover(world, "w1")
    world.send(c.CancelTask(now_ms=world.now_ms, task=task, reason="enough"))
    assert list(outstanding(world.state)) == []
    come_back(world, "w1", (task, 1))
    assert list(outstanding(world.state)) == [Cancel("w1", 1, task, 1, "enough")]


def test_a_swarm_that_is_closed_ends_a_worker_that_is_not_back() -> None:
    world = World()
    begun(world)
    recover(world, "w1")
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
    assert list(outstanding(world.state)) == [StopWorker("w1", 1)]


def test_a_second_recovery_counts_anew_who_lives() -> None:
    world = World()
    (task,) = begun(world)
    recover(world, "w1")
    world.now_ms += 1_000
    recover(world, "w1")
    assert world.state.supervised.awaited == {"w1": world.now_ms + GRACE_MS}
    recover(world)
    assert world.state.supervised.awaited == {}
    assert world.status(task) is TaskStatus.QUEUED
    assert world.audit() == []
