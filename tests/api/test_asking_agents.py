"""Locks, deadlocks, delegated tasks and circuits, with agents in live worker processes."""

from collections import Counter
from pathlib import Path
from typing import TypeVar

import pytest

from tests.api.asking_agents import Caller, Halving, Moody, Opposite, Steady, Threaded
from tests.api.rogues import events_of
from visionflow import AgentOrchestrator, Limits, RetryPolicy, Task, TaskFailed
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.errors import UnknownId
from visionflow.domain.event import Event
from visionflow.domain.tasks import FailureKind

E = TypeVar("E", bound=Event)
WAIT_S = 120.0
ONCE = RetryPolicy(attempts_max=1)


def of(folder: Path, kind: type[E]) -> list[E]:
    """Events of a kind, by the log of a closed fleet."""
    return [event for event in events_of(folder) if isinstance(event, kind)]


@pytest.mark.acceptance("recover")
def test_two_agents_with_locks_in_opposite_order_deadlock_and_both_tasks_complete_once(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    with AgentOrchestrator(store, limits=Limits(workers_max=2)) as fleet:
        fleet.spawn(Opposite, count=2)
        orders = (["a", "b"], ["b", "a"])
        tasks = [
            fleet.submit(Task(input={"folder": str(tmp_path), "locks": locks})) for locks in orders
        ]
        assert [task.result(WAIT_S) for task in tasks] == list(orders)
    found = of(store, s.DeadlockFound)
    assert [set(each.ring) for each in found] == [{task.id for task in tasks}]
    failed = of(store, e.AttemptFailed)
    assert [(each.task, each.kind) for each in failed] == [(found[0].broken, FailureKind.DEADLOCK)]
    chosen = of(store, s.RecoveryChosen)
    assert [(each.cause, each.task) for each in chosen] == [("deadlock", found[0].broken)]
    done = Counter(each.task for each in of(store, e.TaskCompleted))
    assert done == {task.id: 1 for task in tasks}
    assert of(store, s.CircuitCounted) == []


def test_under_a_lock_threads_of_several_processes_are_alone(tmp_path: Path) -> None:
    with AgentOrchestrator(limits=Limits(workers_max=2)) as fleet:
        fleet.spawn(Threaded, count=4)
        tasks = [fleet.submit(Task(input=str(tmp_path / "file"))) for _ in range(40)]
        for task in tasks:
            task.result(WAIT_S)
    lines = [line.split() for line in (tmp_path / "file").read_text().splitlines()]
    assert sorted(lines) == sorted([task.id, task.id] for task in tasks)


def test_agents_have_tasks_done_by_each_other_even_where_all_of_them_wait() -> None:
    with AgentOrchestrator(limits=Limits(workers_max=2)) as fleet:
        fleet.spawn(Halving, count=3)
        assert fleet.submit(Task(input=list(range(16)))).result(WAIT_S) == sum(range(16))


@pytest.mark.acceptance("circuit")
def test_five_failures_open_an_agents_circuit_others_work_on_and_a_probe_closes_it(
    tmp_path: Path,
) -> None:
    bad_day, store = tmp_path / "bad-day", tmp_path / "store"
    bad_day.touch()
    # Long enough for the task below to be given out while the circuit is open.
    limits = Limits(workers_max=2, circuit_open_ms=3_000)
    with AgentOrchestrator(store, limits=limits) as fleet:
        (moody,) = fleet.spawn(Moody, capabilities=["work"])
        (steady,) = fleet.spawn(Steady, capabilities=["work"])
        assert fleet.submit(Task(), agent=steady).result(WAIT_S) == steady.id
        for _ in range(5):
            with pytest.raises(TaskFailed, match="a bad day"):
                fleet.submit(Task(input=str(bad_day)), retry=ONCE, agent=moody).result(WAIT_S)
        told = fleet.circuits()[f"agent:{moody.id}"]
        assert (told.failures, "a bad day" in told.reason) == (5, True)
        while_open = fleet.submit(Task(input=str(bad_day), required_capabilities=["work"]))
        assert while_open.result(WAIT_S) == steady.id
        bad_day.unlink()
        probe = fleet.submit(Task(input=str(bad_day)), agent=moody)
        assert probe.result(WAIT_S) == moody.id
    circuit = f"agent:{moody.id}"
    kinds = s.CircuitOpened | s.CircuitHalfOpened | s.CircuitClosed
    story = [each for each in events_of(store) if isinstance(each, kinds)]
    assert [type(each) for each in story] == [
        s.CircuitOpened,
        s.CircuitHalfOpened,
        s.CircuitClosed,
    ]
    assert {each.circuit for each in story} == {circuit}
    assert isinstance(story[0], s.CircuitOpened) and story[0].failures == 5


@pytest.mark.acceptance("circuit")
def test_a_provider_that_is_down_is_not_called_by_any_agent_and_no_task_is_lost_to_it(
    tmp_path: Path,
) -> None:
    down, store = tmp_path / "down", tmp_path / "store"
    down.touch()
    limits = Limits(workers_max=2, circuit_open_ms=500, circuit_failures=3)
    with AgentOrchestrator(store, limits=limits) as fleet:
        fleet.spawn(Caller, count=2)
        for _ in range(3):
            with pytest.raises(TaskFailed, match="503"):
                fleet.submit(Task(input=str(down)), retry=ONCE).result(WAIT_S)
        calls = len((tmp_path / "calls").read_text().splitlines())
        assert calls == 3
        turned_away = fleet.submit(Task(input=str(down)), retry=ONCE)
        down.unlink()
        later = [fleet.submit(Task(input=str(down)), retry=ONCE) for _ in range(3)]
        for task in (turned_away, *later):
            assert task.result(WAIT_S) == "called"
    circuits = of(store, s.CircuitOpened) + of(store, s.CircuitClosed) + of(store, s.CircuitCounted)
    assert {each.circuit for each in circuits} == {"provider:acme"}, "no agent is to blame"
    assert len(of(store, s.CircuitClosed)) == 1
    kinds = Counter(each.kind for each in of(store, e.AttemptFailed))
    assert kinds[FailureKind.ERROR] == 3 and kinds.keys() <= {"error", "throttled"}


@pytest.mark.acceptance("circuit")
def test_somebody_may_close_a_circuit_before_its_time(tmp_path: Path) -> None:
    bad_day = tmp_path / "bad-day"
    bad_day.touch()
    with AgentOrchestrator(limits=Limits(circuit_open_ms=3_600_000)) as fleet:
        (moody,) = fleet.spawn(Moody)
        for _ in range(5):
            with pytest.raises(TaskFailed):
                fleet.submit(Task(input=str(bad_day)), retry=ONCE).result(WAIT_S)
        waiting = fleet.submit(Task(input=str(tmp_path / "none")))
        assert fleet.circuits()[f"agent:{moody.id}"].status == "open" and not waiting.done
        fleet.reset_circuit(f"agent:{moody.id}")
        assert waiting.result(WAIT_S) == moody.id and fleet.circuits() == {}
        with pytest.raises(UnknownId, match="has counted no failure"):
            fleet.reset_circuit("provider:acme")
