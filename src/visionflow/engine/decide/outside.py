"""Decisions about outside effects: who may carry one out, and what becomes of one in doubt.

At most one attempt holds the reservation of a key. What an attempt says that certainly happened is
recorded also when the attempt is stale: the effect is in the world, whoever may go on with the
task. A stale attempt gets no reservation, so it begins nothing new.
"""

from collections.abc import Callable
from typing import Any

from visionflow.domain import outside_commands as oc
from visionflow.domain import outside_events as o
from visionflow.domain.commands import Command, ReportFailure
from visionflow.domain.errors import LimitReached, Refused, UnknownId
from visionflow.domain.events import AnyEvent, TaskBlocked, TaskQueued
from visionflow.domain.limits import (
    EFFECT_DOUBTS_MAX,
    EFFECTS_PER_TASK_MAX,
    INLINE_BYTES_MAX,
    THROTTLES_PER_TASK_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.outside import (
    REPEATABLE,
    EffectClass,
    EffectOutcome,
    EffectStatus,
    Resolution,
    Verdict,
)
from visionflow.domain.tasks import NOTHING, FailureKind, Payload, TaskStatus
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.closing import RUNNING, Closing
from visionflow.engine.decide.table import decides
from visionflow.engine.outside import EffectState
from visionflow.engine.state import Answer, SwarmState, TaskState

Events = list[AnyEvent]
RESERVED, SETTLED = EffectStatus.RESERVED, EffectStatus.SETTLED
IN_DOUBT, RESOLVED = EffectStatus.IN_DOUBT, EffectStatus.RESOLVED


class Ruling(Answer, frozen=True, gc=False):
    """The answer to a reservation or a report."""

    verdict: Verdict = Verdict.RECORDED
    key: str = ""
    """Of the effect in doubt that stands in the way, where that is another one."""
    result: Payload = NOTHING
    reason: str = ""


def missing(key: str) -> str:
    """How a blocked task says that it waits for an effect in doubt."""
    return f"effect {key} in doubt"


# May it? ---------------------------------------------------------------------------------------


def _is_current(state: SwarmState, name: str, attempt: int) -> bool:
    task = state.tasks.get(name)
    return task is not None and task.attempt == attempt and task.status in RUNNING


def _reserved(command: oc.ReserveEffect, fresh: bool) -> o.EffectReserved:
    return o.EffectReserved(
        key=command.key,
        task=command.task,
        attempt=command.attempt,
        name=command.name,
        kind=command.kind,
        place=command.place,
        request=command.request,
        digest=command.digest,
        fresh=fresh,
    )


def _doubted(key: str, found: EffectState, why: str) -> o.EffectDoubted:
    return o.EffectDoubted(key=key, task=found.task, attempt=found.attempt, why=why)


def reserve(state: SwarmState, command: oc.ReserveEffect) -> tuple[Events, Ruling]:
    """The events of a reservation, and what the attempt is told.

    Raises:
        Refused: it may not, whatever becomes of the effect.
    """
    key, found = command.key, state.outside.effects.get(command.key)
    _may_ask(state, command)
    if found is not None:
        _same_request(command, found)
    if found is None or _is_free(found):
        in_the_way = _in_its_place(state, command)
        if in_the_way is not None:
            return in_the_way
        _room(state, command)
        return [_reserved(command, True)], Ruling(verdict=Verdict.RUN)
    if found.status is SETTLED or found.resolution is Resolution.DONE:
        return [], Ruling(verdict=Verdict.SETTLED, result=found.result)
    if found.status is RESOLVED:
        return [], Ruling(verdict=Verdict.ABANDONED, reason=_said(found))
    if found.status is IN_DOUBT:
        return [], Ruling(verdict=Verdict.DOUBTED, reason=found.reason)
    if found.task != command.task:
        return [], Ruling(
            verdict=Verdict.HELD,
            reason=f"attempt {found.attempt} of {found.task} is at it since {found.reserved_ms}",
        )
    return _take_over(command, found, key)


def _may_ask(state: SwarmState, command: oc.ReserveEffect) -> None:
    current = _is_current(state, command.task, command.attempt)
    cancelling = current and state.tasks[command.task].cancelling is not None
    if not current or cancelling or state.closed is not None:
        why = "is being cancelled" if cancelling else "is not the open one"
        raise Refused(
            f"Attempt {command.attempt} of {command.task} {why}; its effect {command.name} is not "
            "carried out.",
            code="stale_attempt",
        )
    words = (command.key, command.name, command.place, command.request, command.digest)
    if not command.key or max(map(len, words)) > WORD_CHARS_MAX:
        raise Refused(
            f"The key, name and words of an effect have at most {WORD_CHARS_MAX} characters each, "
            "and its key is not empty.",
            code="payload_too_large",
        )


def _same_request(command: oc.ReserveEffect, found: EffectState) -> None:
    """A key belongs to one thing: within a task to one name, between tasks to one request."""
    own = found.task == command.task
    if command.name != found.name or (not own and command.digest != found.digest):
        raise Refused(
            f"The key {command.key} belongs to another effect: {found.name} of {found.task}.",
            code="key_reused",
            hint="Give each effect a key of its own.",
        )


def _is_free(found: EffectState) -> bool:
    """Whether it certainly did not happen, so that it may be carried out as if for the first
    time."""
    not_done = found.status is RESOLVED and found.resolution is Resolution.NOT_DONE
    return not_done or found.status is EffectStatus.FAILED


def _said(found: EffectState) -> str:
    return f"{found.by} abandoned it: {found.note}"


def _in_its_place(state: SwarmState, command: oc.ReserveEffect) -> tuple[Events, Ruling] | None:
    """An earlier attempt may have carried out something else where this one is: it asked for the
    same effect with other arguments, and did not say how that went."""
    of_task = state.outside.tasks.get(command.task)
    if of_task is None or not command.place or not of_task.unsettled:
        return None
    for key in of_task.unsettled:
        other = state.outside.effects[key]
        if other.place != command.place or key == command.key:
            continue
        if other.status is IN_DOUBT:
            return [], Ruling(verdict=Verdict.DOUBTED, key=key, reason=other.reason)
        if other.attempt != command.attempt:
            why = (
                f"attempt {command.attempt} asks for the same with other arguments, and whether "
                f"what attempt {other.attempt} asked for has happened is not known"
            )
            doubted = _doubted(key, other, why)
            return [doubted], Ruling(verdict=Verdict.DOUBTED, key=key, reason=why)
    return None


def _room(state: SwarmState, command: oc.ReserveEffect) -> None:
    outside = state.outside
    of_task = outside.tasks.get(command.task)
    if of_task is not None and len(of_task.keys) >= EFFECTS_PER_TASK_MAX:
        raise LimitReached(
            f"{command.task} has {len(of_task.keys)} effects; that is the most of one task.",
            hint="Split it up.",
        )
    if len(outside.doubts) >= EFFECT_DOUBTS_MAX:
        raise LimitReached(
            f"{len(outside.doubts)} effects of this swarm are in doubt; nothing more is begun.",
            hint="Resolve some: see `visionflow effects`.",
        )


def _take_over(command: oc.ReserveEffect, found: EffectState, key: str) -> tuple[Events, Ruling]:
    """It is reserved by this task: by this very attempt, or by one before it that is over."""
    own = found.attempt == command.attempt
    if own and found.fresh and not command.again:
        return [], Ruling(verdict=Verdict.RUN)  # The same question once more.
    certain = command.kind is EffectClass.PROBEABLE or (
        command.kind in REPEATABLE and found.kind in REPEATABLE
    )
    if not certain:
        why = f"attempt {found.attempt} began it and did not say how it went"
        return [_doubted(key, found, why)], Ruling(verdict=Verdict.DOUBTED, reason=why)
    events: Events = [] if own else [_reserved(command, False)]
    return events, Ruling(verdict=Verdict.UNSETTLED)


@decides(oc.ReserveEffect)
def _(state: SwarmState, command: oc.ReserveEffect) -> Events:
    return reserve(state, command)[0]


# How it went -----------------------------------------------------------------------------------


def report(state: SwarmState, command: oc.ReportEffect) -> tuple[Events, Ruling]:
    """The events of a report, and what the attempt is told.

    Raises:
        UnknownId: nobody reserved such an effect, or it is forgotten.
        Refused: this attempt never held it.
    """
    key, found = command.key, state.outside.effects.get(command.key)
    if found is None:
        raise UnknownId(f"No effect has the key {key}.")
    if (command.task, command.attempt) not in found.holders:
        raise Refused(
            f"Attempt {command.attempt} of {command.task} was never allowed to carry out {key}, so "
            "it cannot say how that went.",
            code="not_held",
        )
    current = _is_current(state, command.task, command.attempt)
    ruling = Ruling(verdict=Verdict.RECORDED if current else Verdict.STALE)
    own = found.task == command.task and found.attempt == command.attempt
    task, attempt = command.task, command.attempt
    if command.outcome is EffectOutcome.HAPPENED:
        if found.status is SETTLED or found.resolution is Resolution.DONE:
            verdict = Verdict.SETTLED if current else Verdict.STALE
            return [], Ruling(verdict=verdict, result=found.result)
        settled = o.EffectSettled(key=key, task=task, attempt=attempt, result=command.result)
        return [settled, *_awaken(state, key)], ruling
    if not own or found.status not in (RESERVED, IN_DOUBT):
        return [], ruling
    if command.outcome is EffectOutcome.NOT_DONE:
        reason = command.reason[:WORD_CHARS_MAX]
        failed = o.EffectFailed(key=key, task=task, attempt=attempt, reason=reason)
        return [failed, *_awaken(state, key)], ruling
    if found.status is RESERVED:
        return [_doubted(key, found, command.reason[:WORD_CHARS_MAX])], ruling
    return [], ruling


@decides(oc.ReportEffect)
def _(state: SwarmState, command: oc.ReportEffect) -> Events:
    return report(state, command)[0]


RULINGS: dict[type[Command], Callable[[SwarmState, Any], Ruling]] = {
    oc.ReserveEffect: lambda state, command: reserve(state, command)[1],
    oc.ReportEffect: lambda state, command: report(state, command)[1],
}
"""What the answer to a command is that was not refused, before its events are folded."""


# In doubt --------------------------------------------------------------------------------------


def next_doubt(state: SwarmState) -> o.EffectDoubted | None:
    """The next effect that was left behind: its task ended, or its swarm closed with no attempt
    open that could say how it went."""
    if state.closed is not None:
        for name, of_task in state.outside.tasks.items():
            for key in of_task.unsettled:
                found = state.outside.effects[key]
                if found.status is RESERVED and not _is_current(state, name, found.attempt):
                    return _doubted(
                        key, found, "its swarm was closed before it was said how it went"
                    )
    for key in state.outside.orphans:
        found = state.outside.effects[key]
        why = f"its task ended while attempt {found.attempt} had not said how it went"
        return _doubted(key, found, why)
    return None


def waiting_for(state: SwarmState, key: str) -> list[str]:
    """Tasks that are blocked by this effect. A walk over all: this is rare."""
    words = missing(key)
    blocked = TaskStatus.BLOCKED
    return [
        task.spec.id
        for task in state.tasks.values()
        if task.status is blocked and task.plan is None and task.reason == words
    ]


def _awaken(state: SwarmState, key: str) -> Events:
    if state.closed is not None or key not in state.outside.doubts:
        return []
    return [TaskQueued(task=task) for task in waiting_for(state, key)]


def park(state: SwarmState, task: TaskState, command: ReportFailure) -> Events:
    """An attempt ended because an effect is in doubt: its task waits for a person, and that is no
    failure. Where that effect is not in doubt (any more) the task is tried again."""
    closing, reason = Closing(state), command.reason
    found = state.outside.effects.get(command.effect)
    if found is None:
        kind, reason = FailureKind.ERROR, f"it names no effect that is in doubt: {reason}"
    else:
        kind = FailureKind.IN_DOUBT if found.status is IN_DOUBT else FailureKind.THROTTLED
    if state.throttles.get(task.spec.id, 0) >= THROTTLES_PER_TASK_MAX:
        kind = FailureKind.ERROR
    end_attempt(closing, task, command.now_ms, Ending(kind, reason, command.entropy))
    events = closing.events
    if kind is FailureKind.IN_DOUBT and isinstance(events[-1], TaskQueued):
        events.append(TaskBlocked(task=task.spec.id, missing=missing(command.effect)))
    return events


@decides(oc.ResolveEffect)
def _(state: SwarmState, command: oc.ResolveEffect) -> Events:
    key, found = command.key, state.outside.effects.get(command.key)
    if found is None:
        raise UnknownId(f"No effect has the key {key}.", code="unknown_effect")
    if not command.note.strip() or max(len(command.note), len(command.by)) > WORD_CHARS_MAX:
        raise Refused(
            f"Say in 1 to {WORD_CHARS_MAX} characters how it is known what became of it.",
            code="usage",
        )
    if len(command.result.inline or b"") > INLINE_BYTES_MAX:
        raise Refused(
            f"A result above {INLINE_BYTES_MAX} bytes travels by blob.", code="payload_too_large"
        )
    again = found.status is RESOLVED and found.resolution is not Resolution.DONE
    if found.status is not IN_DOUBT and not again:
        raise Refused(
            f"Effect {key} is {found.status}, not in doubt: there is nothing to resolve.",
            code="not_in_doubt",
        )
    events: Events = [
        o.EffectResolved(
            key=key,
            resolution=command.resolution,
            by=command.by,
            note=command.note,
            result=command.result,
            command=command.command,
        )
    ]
    if state.closed is not None:
        return events
    if command.resolution is not Resolution.ABANDONED:
        return [*events, *_awaken(state, key)]
    closing = Closing(state)
    for name in waiting_for(state, key):
        if not closing.has_ended(name):
            reason = f"effect {key} was abandoned by {command.by}: {command.note}"
            closing.fail(name, reason, FailureKind.PERMANENT)
    return [*events, *closing.events]
