"""Real processes that hang, are stopped, lie, flood, and leave children: each is contained and
named, its task ends as it should, and whoever works beside it notices nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.api.agents import Gated, wait_for_line
from tests.api.rogues import (
    Forger,
    Forker,
    Liar,
    Spinner,
    children,
    events_of,
    flood_of_output,
)
from visionflow import AgentOrchestrator, Limits, Task, TaskFailed
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.tasks import FailureKind

WAIT_S = 120.0
BEAT_MS = 1_000
LIMITS = Limits(workers_max=2, heartbeat_ms=BEAT_MS, attempt_timeout_ms=600_000)

pytestmark = pytest.mark.acceptance("detect")


def completions(folder: Path, task: str) -> list[int]:
    """The attempts in which a task completed, by the log of a closed fleet."""
    return [
        event.attempt
        for event in events_of(folder)
        if isinstance(event, e.TaskCompleted) and event.task == task
    ]


def gone(pid: int) -> bool:
    """Whether no process has this pid, or only one that waits to be reaped."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(*pids: int) -> None:
    end = time.monotonic() + WAIT_S
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < end, f"of {pids} some are alive"
        time.sleep(0.02)


def test_a_stopped_worker_is_suspected_then_lost_and_what_it_held_is_done_once_by_another(
    tmp_path: Path,
) -> None:
    store, gates = tmp_path / "store", tmp_path / "gates"
    gates.mkdir()
    with AgentOrchestrator(store, limits=LIMITS) as fleet:
        fleet.spawn(Gated, count=2)
        handle = fleet.submit(Task(input=str(gates)))
        stopped = wait_for_line(gates / "pids", 1)
        os.kill(stopped, signal.SIGSTOP)
        other = wait_for_line(gates / "pids", 2)
        assert other != stopped
        until_gone(stopped)
        (gates / "open").touch()
        assert handle.result(WAIT_S) == 2
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, signal.SIGCONT)
    assert completions(store, handle.id) == [2]
    told = events_of(store)
    lost = next(event for event in told if isinstance(event, e.WorkerLost))
    assert lost.kind is FailureKind.KILLED and "somebody stopped it" in lost.reason
    assert dict(lost.probes) == {"heartbeat": False, "ping": False, "process": False}
    before = told[: told.index(lost)]
    suspected = [event for event in before if isinstance(event, s.WorkerSuspected)]
    assert suspected[-1].worker == lost.worker and "stopped" in suspected[-1].evidence
    assert "worker_silent" in (store / "visionflow.log").read_text()


def test_one_that_computes_without_end_in_c_code_is_found_out_and_its_neighbour_goes_on(
    tmp_path: Path,
) -> None:
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        fleet.spawn(Spinner, capabilities=["spin"])
        fleet.spawn(Spinner, capabilities=["calm"])
        bad = fleet.submit(Task(input="spin", required_capabilities=["spin"]))
        good = [fleet.submit(Task(required_capabilities=["calm"])) for _ in range(20)]
        assert [handle.result(WAIT_S) for handle in good] == ["done"] * 20
        assert bad.result(WAIT_S) == "done", "its agent goes on"
    assert completions(tmp_path, bad.id) == [2]
    lost = [event for event in events_of(tmp_path) if isinstance(event, e.WorkerLost)]
    assert [(event.worker, event.kind) for event in lost] == [("w1", FailureKind.CRASH)]
    assert "it hangs" in lost[0].reason
    assert dict(lost[0].probes) == {"heartbeat": False, "ping": False, "process": True}


def test_one_that_lies_and_floods_is_not_believed_and_named_and_its_neighbour_goes_on(
    tmp_path: Path,
) -> None:
    store, gates = tmp_path / "store", tmp_path / "gates"
    gates.mkdir()
    with AgentOrchestrator(store, limits=LIMITS) as fleet:
        fleet.spawn(Liar, capabilities=["lie"])
        fleet.spawn(Gated, capabilities=["work"])
        fleet.spawn(Forger, capabilities=["forge"])
        victim = fleet.submit(Task(input=str(gates), required_capabilities=["work"]))
        worker = wait_for_line(gates / "pids", 1)
        liar = fleet.submit(Task(input=victim.id, required_capabilities=["lie"]))
        assert liar.result(WAIT_S) == "mine"
        forger = fleet.submit(Task(required_capabilities=["forge"]))
        assert forger.result(WAIT_S) == "honest", "it was ended, and its next attempt behaves"
        assert not victim.done
        (gates / "open").touch()
        assert victim.result(WAIT_S) == 1
        again = fleet.submit(Task(input=str(gates), required_capabilities=["work"]))
        assert again.result(WAIT_S) == 1
        assert wait_for_line(gates / "pids", 2) == worker, "it was never disturbed"
    lines = (store / "visionflow.log").read_text()
    for told in (
        f"attempt 1 of {victim.id}, which is in w2",
        f"attempt 7 of {liar.id}, which was never given out",
        "it says that it is w2.1",
        "it beats for w2.1",
        "worker_floods",
    ):
        assert told in lines
    assert completions(store, victim.id) == [1]


def test_children_that_ignore_being_told_to_end_go_with_the_worker_that_left_them(
    tmp_path: Path,
) -> None:
    with AgentOrchestrator(limits=LIMITS) as fleet:
        fleet.spawn(Forker)
        bad = fleet.submit(Task(input=str(tmp_path)))
        with pytest.raises(TaskFailed, match=r"crashed 3 times under it"):
            bad.result(WAIT_S)
        left = children(tmp_path)
        assert len(left) >= 3
        until_gone(*left)


@pytest.mark.parametrize("hangs", [False, True])
def test_what_it_started_ends_with_it_where_the_orchestrator_was_killed(
    tmp_path: Path, hangs: bool
) -> None:
    code = f"""
    import time
    from tests.api.rogues import Leaver
    from visionflow import AgentOrchestrator, Task
    with AgentOrchestrator({str(tmp_path / "store")!r}) as fleet:
        fleet.spawn(Leaver)
        fleet.submit(Task(input=[{str(tmp_path)!r}, {hangs}]))
        time.sleep(600)
    """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    orchestrator = subprocess.Popen(argv, cwd=Path(__file__).parents[2])
    try:
        child = wait_for_line(tmp_path / "children", 1)
    finally:
        orchestrator.kill()
        orchestrator.wait()
    try:
        until_gone(child)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_one_that_prints_without_end_disturbs_nobody(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        fleet.spawn(flood_of_output, count=2)
        loud = fleet.submit(Task(input=400))
        quiet = [fleet.submit(Task(input=0)) for _ in range(20)]
        assert [handle.result(WAIT_S) for handle in (loud, *quiet)] == ["printed"] * 21
