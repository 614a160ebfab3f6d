"""The auditor's part for locks, waits and circuits: what must always hold of them."""

from collections.abc import Iterator

from visionflow.domain.supervision import CircuitStatus
from visionflow.engine.circuits import AGENT
from visionflow.engine.state import SwarmState
from visionflow.engine.waits import OPEN


def waiting_faults(state: SwarmState) -> Iterator[str]:
    """Every invariant that does not hold, one sentence each."""
    yield from _locks(state)
    yield from _waits(state)
    yield from _circuits(state)


def _is_open(state: SwarmState, task: str, attempt: int | None = None) -> bool:
    found = state.tasks.get(task)
    if found is None or found.status not in OPEN:
        return False
    return attempt is None or found.attempt == attempt


def _locks(state: SwarmState) -> Iterator[str]:
    lockers: dict[str, dict[str, None]] = {}
    for name, lock in state.supervised.locks.items():
        entries = [*([] if lock.holder is None else [lock.holder]), *lock.queue]
        if lock.holder is None:
            yield f"lock {name} has no holder and {len(lock.queue)} that wait for it"
        tasks = [task for task, _, _ in entries]
        if len(tasks) != len(dict.fromkeys(tasks)):
            yield f"lock {name} has a task twice: {tasks}"
        for task, attempt, _ in entries:
            lockers.setdefault(task, {})[name] = None
            if not _is_open(state, task, attempt):
                yield f"lock {name} is of attempt {attempt} of {task}, which is not the open one"
    if {task: sorted(held) for task, held in lockers.items()} != {
        task: sorted(held) for task, held in state.lockers.items()
    }:
        yield f"the index of locks by task says {state.lockers}, the locks say {lockers}"


def _waits(state: SwarmState) -> Iterator[str]:
    awaiters: dict[str, dict[str, None]] = {}
    for task, awaited in state.supervised.waits.items():
        if not _is_open(state, task):
            yield f"task {task} waits and has no open attempt"
        if not awaited:
            yield f"task {task} is listed as waiting and waits for nothing"
        for on in awaited:
            awaiters.setdefault(on, {})[task] = None
            if on not in state.tasks:
                yield f"task {task} waits for {on}, which is forgotten"
    if awaiters != state.awaiters:
        yield f"the index of awaited tasks says {state.awaiters}, the waits say {awaiters}"


def _circuits(state: SwarmState) -> Iterator[str]:
    for name, circuit in state.supervised.circuits.items():
        if circuit.failures < 1:
            yield f"circuit {name} is kept and has counted nothing"
        agent = name.removeprefix(AGENT)
        if not name.startswith(AGENT):
            continue
        if agent not in state.agents:
            yield f"circuit {name} is of an agent that is not there"
        elif circuit.status is CircuitStatus.OPEN and (state.matching.room(agent) or -1) >= 0:
            yield f"agent {agent} is offered tasks and its circuit is open"
