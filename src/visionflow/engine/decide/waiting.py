"""Decisions about locks of the swarm, tasks that agents delegate, and waiting for their results.

All of it belongs to an attempt: it ends with that, and a stale one gets nothing.
"""

from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.errors import LimitReached, Refused, StaleAttempt, UnknownTask
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    DELEGATIONS_ALIKE_MAX,
    DELEGATIONS_DEEP_MAX,
    LOCK_NAME_CHARS_MAX,
    LOCKS_MAX,
    WAITS_PER_ATTEMPT_MAX,
)
from visionflow.domain.tasks import TERMINAL, TaskSpec
from visionflow.engine.decide.closing import RUNNING, Closing
from visionflow.engine.decide.deadlocks import break_rings
from visionflow.engine.decide.table import decides
from visionflow.engine.decide.tasks import submitted
from visionflow.engine.state import SwarmState
from visionflow.engine.supervised import LockState
from visionflow.engine.topology.delegating import may_delegate
from visionflow.engine.topology.leading import check_led
from visionflow.engine.topology.rules import NOT_ALLOWED
from visionflow.engine.waits import Wait

Events = list[AnyEvent]
_BACK = (
    "An agent that delegates what only it can do gets that back: ask for what another agent offers."
)


def next_grant(state: SwarmState) -> s.LockGranted | None:
    """The next lock that nobody holds and somebody waits for goes to whoever came first."""
    name = next(iter(state.unheld), None)
    if name is None:
        return None
    task, attempt, number = state.supervised.locks[name].queue[0]
    return s.LockGranted(lock=name, task=task, attempt=attempt, number=number)


def _fresh(state: SwarmState, task: str, attempt: int) -> None:
    found = state.tasks.get(task)
    if found is None or found.attempt != attempt or found.status not in RUNNING:
        raise Refused(
            f"Attempt {attempt} of {task} is not the open one; it gets nothing.",
            code=StaleAttempt.code,
        )


def _within_limits(state: SwarmState, task: str) -> None:
    waits = len(state.lockers.get(task, ())) + len(state.supervised.waits.get(task, ()))
    if waits >= WAITS_PER_ATTEMPT_MAX:
        raise LimitReached(
            f"Task {task} holds or waits for {waits} locks and tasks, which is the most."
        )


# Locks ---------------------------------------------------------------------------------------


def _place(lock: LockState | None, task: str) -> tuple[str, int, int] | None:
    """Where a task stands with a lock: its entry as the holder, or in the queue."""
    if lock is None:
        return None
    if lock.holder is not None and lock.holder[0] == task:
        return lock.holder
    return next((entry for entry in lock.queue if entry[0] == task), None)


@decides(sc.AcquireLock)
def _(state: SwarmState, command: sc.AcquireLock) -> Events:
    name, task, attempt, number = command.lock, command.task, command.attempt, command.number
    _fresh(state, task, attempt)
    if not 0 < len(name) <= LOCK_NAME_CHARS_MAX:
        raise Refused(f"A lock's name has 1 to {LOCK_NAME_CHARS_MAX} characters.", code="usage")
    lock = state.supervised.locks.get(name)
    place = _place(lock, task)
    if place is not None and place[2] >= number:
        return []
    if place is not None:
        # A request is only followed by another once it was given back.
        raise Refused(f"Task {task} holds lock {name} or waits for it already.", code="usage")
    if lock is None:
        if len(state.supervised.locks) >= LOCKS_MAX:
            raise LimitReached(f"{LOCKS_MAX} locks of this swarm are held, which is the most.")
        _within_limits(state, task)
        return [s.LockGranted(lock=name, task=task, attempt=attempt, number=number)]
    _within_limits(state, task)
    closing = Closing(state)
    closing.events.append(s.LockQueued(lock=name, task=task, attempt=attempt, number=number))
    if lock.holder is not None:
        more = Wait(task, lock.holder[0], name)
        break_rings(state, closing, (task,), more, command.now_ms, command.entropy)
    return closing.events


@decides(sc.ReleaseLock)
def _(state: SwarmState, command: sc.ReleaseLock) -> Events:
    entry = (command.task, command.attempt, command.number)
    place = _place(state.supervised.locks.get(command.lock), command.task)
    if place != entry:
        return []
    return [
        s.LockReleased(
            lock=command.lock,
            task=command.task,
            attempt=command.attempt,
            number=command.number,
        )
    ]


# Waits and delegated tasks -------------------------------------------------------------------


@decides(sc.BeginWait)
def _(state: SwarmState, command: sc.BeginWait) -> Events:
    task, on = command.task, command.on
    _fresh(state, task, command.attempt)
    if on in state.supervised.waits.get(task, ()):
        return []
    awaited = state.tasks.get(on)
    if awaited is None:
        left = (
            "it ended long ago and its result is not kept"
            if on in state.finished
            else "no task has this id"
        )
        raise UnknownTask(f"Task {on[:200]}: {left}.")
    if on == task:
        raise Refused(f"Task {task} would wait for its own result.", code="usage")
    _within_limits(state, task)
    closing = Closing(state)
    closing.events.append(s.WaitBegan(task=task, attempt=command.attempt, on=on))
    if awaited.status not in TERMINAL:
        break_rings(state, closing, (task,), Wait(task, on), command.now_ms, command.entropy)
    return closing.events


@decides(sc.EndWait)
def _(state: SwarmState, command: sc.EndWait) -> Events:
    task = state.tasks.get(command.task)
    if task is None or task.attempt != command.attempt:
        return []
    if command.on not in state.supervised.waits.get(command.task, ()):
        return []
    return [s.WaitEnded(task=command.task, attempt=command.attempt, on=command.on)]


@decides(sc.DelegateTask)
def _(state: SwarmState, command: sc.DelegateTask) -> Events:
    spec = command.spec
    if state.supervised.delegated.get(spec.id) == command.task:
        return []
    _fresh(state, command.task, command.attempt)
    if spec.parent is not None or spec.phase is not None:
        raise Refused("A task that is delegated is no part of a plan.", code="usage")
    _not_too_deep(state, command.task, spec)
    agent = state.tasks[command.task].agent
    if agent is not None and (spec.agent is not None or spec.capabilities):
        why = may_delegate(state, agent, spec)
        if why is not None:
            raise Refused(why, code=NOT_ALLOWED)
    check_led(state, (spec,))
    return submitted(state, spec, command.command, delegated_by=command.task)


def _not_too_deep(state: SwarmState, task: str, spec: TaskSpec) -> None:
    asked, depth, alike = _asked(spec), 0, 0
    name: str | None = task
    while name is not None and name in state.tasks and state.tasks[name].status not in TERMINAL:
        depth += 1
        alike += _asked(state.tasks[name].spec) == asked
        if alike == DELEGATIONS_ALIKE_MAX:
            raise LimitReached(
                f"Task {task} was delegated for {alike} tasks that ask for the very same, each by "
                "the one before, and have not ended; it does not delegate that again.",
                hint=_BACK,
            )
        if depth > DELEGATIONS_DEEP_MAX:
            raise LimitReached(
                f"Task {task} is the last of more than {DELEGATIONS_DEEP_MAX} that delegated one "
                "another and have not ended; it delegates none.",
                hint=_BACK,
            )
        name = state.supervised.delegated.get(name)


def _asked(spec: TaskSpec) -> tuple[object, ...]:
    """What a task asks for, and of whom."""
    what = (spec.type, spec.description, spec.input, spec.config)
    return *what, spec.capabilities, spec.agent_type, spec.agent
