"""Folds of locks and waits. Beside the facts stand three indexes: `lockers`, `unheld`, `awaiters`.

An attempt that ends, however it does, lets go of all: that follows from its end, and has no
events of its own.
"""

from visionflow.domain import supervision_events as s
from visionflow.engine.evolve.table import folds, refresh
from visionflow.engine.state import SwarmState
from visionflow.engine.supervised import LockState


def _settle(state: SwarmState, name: str, lock: LockState) -> None:
    """A lock without holder is the next one's, or is forgotten."""
    if lock.holder is not None:
        return
    if lock.queue:
        state.unheld[name] = None
    else:
        state.unheld.pop(name, None)
        del state.supervised.locks[name]


def _leave(state: SwarmState, name: str, task: str) -> None:
    """A task has nothing more to do with a lock."""
    lock = state.supervised.locks[name]
    if lock.holder is not None and lock.holder[0] == task:
        lock.holder = None
    lock.queue = [entry for entry in lock.queue if entry[0] != task]
    _settle(state, name, lock)


def _refresh_holder(state: SwarmState, task: str) -> None:
    """An agent of which an attempt waits is given nothing ahead."""
    found = state.tasks[task]
    agent = None if found.agent is None else state.agents.get(found.agent)
    if agent is not None and state.matching.room(agent.spec.id) is not None:
        refresh(state, agent)


@folds(s.LockQueued)
def _(state: SwarmState, event: s.LockQueued) -> None:
    lock = state.supervised.locks.setdefault(event.lock, LockState())
    lock.queue.append((event.task, event.attempt, event.number))
    state.lockers.setdefault(event.task, {})[event.lock] = None
    _refresh_holder(state, event.task)


@folds(s.LockGranted)
def _(state: SwarmState, event: s.LockGranted) -> None:
    lock = state.supervised.locks.setdefault(event.lock, LockState())
    lock.queue = [entry for entry in lock.queue if entry[0] != event.task]
    lock.holder = (event.task, event.attempt, event.number)
    state.unheld.pop(event.lock, None)
    state.lockers.setdefault(event.task, {})[event.lock] = None
    _refresh_holder(state, event.task)


@folds(s.LockReleased)
def _(state: SwarmState, event: s.LockReleased) -> None:
    _leave(state, event.lock, event.task)
    held = state.lockers[event.task]
    held.pop(event.lock, None)
    if not held:
        del state.lockers[event.task]
    _refresh_holder(state, event.task)


@folds(s.WaitBegan)
def _(state: SwarmState, event: s.WaitBegan) -> None:
    state.supervised.waits.setdefault(event.task, {})[event.on] = None
    state.awaiters.setdefault(event.on, {})[event.task] = None
    _refresh_holder(state, event.task)


@folds(s.WaitEnded)
def _(state: SwarmState, event: s.WaitEnded) -> None:
    waits = state.supervised.waits
    waits[event.task].pop(event.on, None)
    if not waits[event.task]:
        del waits[event.task]
    _await_no_more(state, event.task, event.on)
    _refresh_holder(state, event.task)


def _await_no_more(state: SwarmState, task: str, on: str) -> None:
    awaiting = state.awaiters[on]
    awaiting.pop(task, None)
    if not awaiting:
        del state.awaiters[on]


@folds(s.DeadlockFound)
def _(state: SwarmState, event: s.DeadlockFound) -> None:
    """The end of the attempt follows in the same record."""


def let_go(state: SwarmState, task: str) -> None:
    """The open attempt of a task has ended."""
    for lock in state.lockers.pop(task, ()):
        _leave(state, lock, task)
    for on in state.supervised.waits.pop(task, ()):
        _await_no_more(state, task, on)
