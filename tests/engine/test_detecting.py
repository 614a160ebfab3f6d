"""What follows from a suspicion of a worker, and from an attempt that makes no progress."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.limits import Limits
from visionflow.domain.supervision import Cause
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.liveness import CUT_OFF

pytestmark = pytest.mark.acceptance("detect")


class World(Calm):
    def __init__(self) -> None:
        super().__init__(limits=Limits(workers_max=2))

    def suspect(self, worker: str, evidence: str = "silence", incarnation: int = 1) -> None:
        self.send(
            sc.ReportSuspicion(
                now_ms=self.now_ms, worker=worker, incarnation=incarnation, evidence=evidence
            )
        )

    def trust(self, worker: str, incarnation: int = 1) -> None:
        self.send(
            sc.ReportTrust(
                now_ms=self.now_ms, worker=worker, incarnation=incarnation, evidence="heard"
            )
        )

    def report(self, kind: type[sc.ReportStall] | type[sc.ReportProgress], task: str) -> None:
        attempt = self.state.tasks[task].attempt
        self.send(kind(now_ms=self.now_ms, task=task, attempt=attempt, evidence="as told"))

    def running(self) -> str:
        task = self.submit()
        self.send(c.ReportStarted(now_ms=self.now_ms, task=task, attempt=1))
        return task

    def same_again(self) -> None:
        assert self.audit() == []
        assert self.replay().digest() == self.state.digest()


def test_agents_of_a_suspected_worker_get_nothing_new_and_keep_what_they_hold() -> None:
    world = World()
    first, second = world.team(2)
    held = world.submit()
    assert world.state.tasks[held].agent == first
    world.suspect("w1")
    assert world.status(held) is TaskStatus.ASSIGNED
    tasks = [world.submit(), world.submit()]
    assert [world.state.tasks[task].agent for task in tasks] == [second, None]
    world.complete(held)
    assert world.status(tasks[1]) is TaskStatus.QUEUED
    world.trust("w1")
    assert world.state.tasks[tasks[1]].agent == first
    for task in tasks:
        world.complete(task)
    world.suspect("w1")
    late = [world.submit(), world.submit()]
    assert [world.state.tasks[task].agent for task in late] == [second, None], "idle as it is"
    world.trust("w1")
    assert [type(event) for event in world.events() if "worker" in event.__struct_fields__][
        -4:
    ] == [s.WorkerSuspected, s.WorkerTrusted] * 2
    world.same_again()


def test_an_opinion_that_is_none_any_more_or_of_an_earlier_process_is_not_recorded() -> None:
    world = World()
    world.team(1)
    world.trust("w1")
    world.suspect("w1", incarnation=2)
    world.suspect("nobody")
    world.suspect("w1")
    world.suspect("w1")
    assert len(world.of(s.WorkerSuspected)) == 1
    world.trust("w1", incarnation=2)
    assert not world.of(s.WorkerTrusted)
    world.trust("w1")
    world.trust("w1")
    assert len(world.of(s.WorkerTrusted)) == 1
    world.same_again()


def test_a_suspect_that_is_lost_is_suspected_no_more_and_its_next_process_is_trusted() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.suspect("w1")
    world.lose("w1", FailureKind.KILLED)
    assert world.state.supervised.suspects == {}
    world.now_ms += 60_000
    world.settle()
    assert (world.status(task), world.state.tasks[task].attempt) == (TaskStatus.ASSIGNED, 2)
    world.same_again()


def test_what_was_not_answered_stands_in_the_event_of_the_loss() -> None:
    world = World()
    world.team(1)
    probes = (("heartbeat", False), ("ping", False), ("process", True))
    world.send(
        c.ReportWorkerLost(
            now_ms=world.now_ms,
            worker="w1",
            incarnation=1,
            kind=FailureKind.CRASH,
            reason="it hangs",
            probes=probes,
        )
    )
    assert world.last(e.WorkerLost).probes == probes


@pytest.mark.parametrize(("evidence", "recovered"), [(f"{CUT_OFF}: so", 1), ("silence", 0)])
def test_one_that_dialled_again_has_recovered_from_a_failure_of_the_network(
    evidence: str, recovered: int
) -> None:
    world = World()
    world.team(1)
    world.suspect("w1", evidence)
    world.trust("w1")
    chosen = world.of(s.RecoveryChosen)
    assert [(event.cause, event.worker) for event in chosen] == [(Cause.NETWORK, "w1")] * recovered
    world.same_again()


def test_an_attempt_without_progress_is_stuck_until_it_finishes_a_step_or_tells_of_progress() -> (
    None
):
    world = World()
    world.team(1)
    task = world.running()
    world.report(sc.ReportProgress, task)
    for _ in range(2):
        world.report(sc.ReportStall, task)
    assert world.state.supervised.stalled == {task: 1}
    world.report(sc.ReportProgress, task)
    assert world.state.supervised.stalled == {}
    world.report(sc.ReportStall, task)
    world.send(c.ReportStep(now_ms=world.now_ms, task=task, attempt=1, key="k", name="s"))
    assert world.state.supervised.stalled == {}
    assert len(world.of(s.AttemptStalled)) == 2
    assert len(world.of(s.AttemptProgressed)) == 1
    assert world.status(task) is TaskStatus.RUNNING, "it goes on all the same"
    world.same_again()


def test_a_stuck_attempt_that_ends_is_stuck_no_more() -> None:
    world = World()
    world.team(1)
    done, failed = world.running(), None
    world.report(sc.ReportStall, done)
    world.complete(done)
    assert world.state.supervised.stalled == {}
    failed = world.running()
    world.report(sc.ReportStall, failed)
    world.fail(failed)
    assert world.state.supervised.stalled == {}
    world.same_again()


def test_only_an_attempt_that_runs_can_be_stuck() -> None:
    world = World()
    world.team(1)
    task, waiting = world.submit(), world.submit()
    for name in (task, waiting):
        world.report(sc.ReportStall, name)
    world.send(sc.ReportStall(now_ms=world.now_ms, task="nothing", attempt=1, evidence="as told"))
    assert not world.of(s.AttemptStalled)
