"""Each cause of a failure, provoked on live processes: its strategy is seen in the log, and every
task completes once."""

import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.api.faltering import Hog, Leaking, Picky, Slow, SlowAsync, poison
from tests.api.rogues import events_of
from visionflow import AgentOrchestrator, BaseAgent, Limits, Task, TaskFailed
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent
from visionflow.domain.supervision import Cause, RecoverySpec, RecyclingSpec, Upkeep
from visionflow.domain.tasks import FailureKind

WAIT_S = 120.0
MIB = 1 << 20
LIMITS = Limits(attempt_timeout_ms=600_000)

pytestmark = pytest.mark.acceptance("recover")


def chosen(events: list[AnyEvent], cause: Cause) -> list[s.RecoveryChosen]:
    return [x for x in events if isinstance(x, s.RecoveryChosen) and x.cause is cause]


def completed_once(events: list[AnyEvent], *tasks: str) -> bool:
    counts = Counter(x.task for x in events if isinstance(x, e.TaskCompleted))
    return counts == Counter(tasks)


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT_S
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("agent", [Slow, SlowAsync])
def test_after_a_timeout_what_the_attempt_started_is_ended_and_the_next_has_more_time(
    tmp_path: Path, agent: type[BaseAgent]
) -> None:
    upkeep = Upkeep(RecoverySpec(name="patient", timeout_factor_bp=40_000))
    with AgentOrchestrator(tmp_path / "store", limits=LIMITS) as fleet:
        fleet.spawn(agent, upkeep=upkeep)
        handle = fleet.submit(Task(input=str(tmp_path)), timeout_ms=3_000)
        assert handle.result(WAIT_S) == "in time"
        assert is_gone(int((tmp_path / "pid").read_text()))
    events = events_of(tmp_path / "store")
    (found,) = chosen(events, Cause.TIMEOUT)
    assert (found.strategy, found.task) == ("patient", handle.id)
    assert "gets 12000 ms, not 3000" in found.action
    (failed,) = [x for x in events if isinstance(x, e.AttemptFailed)]
    assert (failed.kind, failed.timeout_ms) == (FailureKind.TIMEOUT, 12_000)
    assert completed_once(events, handle.id)
    if agent is Slow:
        first, second = map(int, (tmp_path / "limits").read_text().split())
        assert first <= 3 < second <= 12


def test_an_agent_that_runs_out_of_memory_gets_more_and_its_task_another_attempt(
    tmp_path: Path,
) -> None:
    upkeep = Upkeep(RecoverySpec(name="roomy", memory_factor_bp=20_000, memory_max_bytes=400 * MIB))
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        (agent,) = fleet.spawn(Hog, memory_bytes=96 * MIB, upkeep=upkeep)
        handle = fleet.submit(Task(input=180))
        assert handle.result(WAIT_S) == 180
    events = events_of(tmp_path)
    raised = [x for x in events if isinstance(x, s.CeilingRaised)]
    assert [(x.agent, x.before_bytes // MIB, x.memory_bytes // MIB) for x in raised] == [
        (agent.id, 96, 192),
        (agent.id, 192, 384),
    ]
    found = chosen(events, Cause.RESOURCES)
    assert found
    assert {x.strategy for x in found} == {"roomy"}
    failed = [x for x in events if isinstance(x, e.AttemptFailed)]
    # One that had not been announced yet is not blamed for the end of its process either.
    assert len(failed) == 2
    assert all(x.excused for x in failed)
    assert completed_once(events, handle.id)


def test_at_the_most_memory_a_task_fails_for_good_and_its_agent_goes_on(tmp_path: Path) -> None:
    upkeep = Upkeep(RecoverySpec(memory_max_bytes=96 * MIB))
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        fleet.spawn(Hog, memory_bytes=96 * MIB, upkeep=upkeep)
        with pytest.raises(TaskFailed, match="3 attempts failed"):
            fleet.submit(Task(input=200)).result(WAIT_S)
        small = fleet.submit(Task(input=1))
        assert small.result(WAIT_S) == 1
    events = events_of(tmp_path)
    said = [x.action for x in chosen(events, Cause.RESOURCES)]
    assert any("the most that its agent may have" in x or "it may have no more" in x for x in said)
    assert not [x for x in events if isinstance(x, s.CeilingRaised)]
    assert completed_once(events, small.id)


def test_a_faulty_configuration_that_a_crash_names_is_mended_and_the_task_is_done(
    tmp_path: Path,
) -> None:
    upkeep = Upkeep(RecoverySpec(name="mending", mends_config=True))
    config = {"max_depth": -1, "style": "baroque", "kept": True}
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        fleet.spawn(Picky, memory_bytes=400 * MIB, config=config, upkeep=upkeep)
        handle = fleet.submit(Task())
        assert handle.result(WAIT_S) == {"kept": True}
    events = events_of(tmp_path)
    reasons = [x.reason for x in events if isinstance(x, e.AgentUpdated)]
    assert [reason.partition(" was taken out")[0] for reason in reasons] == [
        "'max_depth'",
        "'style'",
    ]
    lost = next(x for x in events if isinstance(x, e.WorkerLost))
    assert lost.reason.endswith("code 3; its last words: KeyError: 'baroque'")
    found = chosen(events, Cause.CRASH)
    assert {x.strategy for x in found} == {"mending"}
    assert any("'style' was taken out" in x.action for x in found)
    assert completed_once(events, handle.id)


def test_where_the_strategy_mends_nothing_a_faulty_configuration_is_named(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        (agent,) = fleet.spawn(Picky, config={"max_depth": -1})
        deadline = time.monotonic() + WAIT_S
        while fleet.agents() and time.monotonic() < deadline:
            time.sleep(0.02)
    events = events_of(tmp_path)
    (found,) = chosen(events, Cause.CRASH)
    assert found.agent == agent.id
    assert found.action.startswith(
        "its configuration is wrong at 'max_depth': it is not built again"
    )
    assert not [x for x in events if isinstance(x, e.AgentUpdated)]


@pytest.mark.parametrize("memory_bytes", [None, 400 * MIB])
def test_a_task_that_crashes_its_process_three_times_is_set_aside_and_the_agent_goes_on(
    tmp_path: Path, memory_bytes: int | None
) -> None:
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        fleet.spawn(poison, memory_bytes=memory_bytes)
        bad = fleet.submit(Task(input="poison"))
        with pytest.raises(TaskFailed, match="crashed 3 times under it"):
            bad.result(WAIT_S)
        good = fleet.submit(Task(input="food"))
        assert good.result(WAIT_S) == "fine"
    events = events_of(tmp_path)
    lost = [x for x in events if isinstance(x, e.WorkerLost)]
    # The first attempt may end the process before anybody knows that it has begun.
    assert len(lost) in (3, 4)
    assert all("its last words: RuntimeError: it was poison" in x.reason for x in lost)
    assert len(chosen(events, Cause.CRASH)) == len(lost)
    assert [x.task for x in events if isinstance(x, e.TaskDeadLettered)] == [bad.id]
    assert completed_once(events, good.id)
    told = (tmp_path / "visionflow.log").read_text()
    assert told.count(" worker_lost ") == told.count(" recovery_chosen ") == len(lost)
    assert f"{bad.id} " in told and "its last words: RuntimeError: it was poison" in told


@pytest.mark.acceptance("recycle")
def test_a_process_that_leaks_is_replaced_before_its_ceiling_ends_it_and_no_task_is_lost(
    tmp_path: Path,
) -> None:
    upkeep = Upkeep(recycling=RecyclingSpec(memory_bp=3_000))
    with AgentOrchestrator(tmp_path, limits=LIMITS) as fleet:
        fleet.spawn(Leaking, memory_bytes=640 * MIB, upkeep=upkeep)
        pids: set[int] = set()
        handles = []
        for _ in range(20):
            handles.append(fleet.submit(Task()))
            pid, held = handles[-1].result(WAIT_S)
            assert held < 640
            pids.add(pid)
            time.sleep(0.15)
    events = events_of(tmp_path)
    assert len(pids) > 1
    recycled = [x for x in events if isinstance(x, s.WorkerRecycling | s.WorkerRestarting)]
    assert "it is replaced at 30 %" in recycled[0].reason
    assert not [x for x in events if isinstance(x, e.AttemptFailed | e.WorkerLost)]
    assert completed_once(events, *(handle.id for handle in handles))


def test_a_strategy_of_the_users_is_asked_first_and_what_it_says_is_done(tmp_path: Path) -> None:
    upkeep = Upkeep(RecoverySpec(name="mine", call="tests.api.faltering:choose"))
    with AgentOrchestrator(tmp_path / "store", limits=LIMITS) as fleet:
        fleet.spawn(SlowAsync, upkeep=upkeep, config={"told": str(tmp_path / "told")})
        handle = fleet.submit(Task(input=str(tmp_path)), timeout_ms=2_000)
        assert handle.result(WAIT_S) == "in time"
    events = events_of(tmp_path / "store")
    (found,) = chosen(events, Cause.TIMEOUT)
    assert found.strategy == "mine"
    assert found.action.endswith("gets 6000 ms, not 2000; its own choice")
    asked = "agent attempt cause config memory reason strategy task timeout type".split()
    assert (tmp_path / "told").read_text() == repr(asked)
    assert completed_once(events, handle.id)
