"""What each event changes in the views. Pure: an event and its time in, rows out."""

from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from visionflow.domain import events as e
from visionflow.domain import outside_events as o
from visionflow.domain.agents import AgentStatus
from visionflow.domain.events import Event, Record
from visionflow.domain.outside import EffectStatus
from visionflow.domain.tasks import Payload, TaskSpec, TaskStatus
from visionflow.ports.views import OPEN_ATTEMPTS, Change, Scalar

E = TypeVar("E", bound=Event)
_TABLE: dict[type[Event], Callable[[Event, int], list[Change]]] = {}


def changes(record: Record) -> list[Change]:
    """All that a record changes, in order."""
    found: list[Change] = []
    for event in record.events:
        view = _TABLE.get(type(event))
        if view is not None:
            found.extend(view(event, record.at_ms))
    return found


def _views(*kinds: type[E]) -> Callable[[Callable[[E, int], list[Change]]], None]:
    def register(function: Callable[[E, int], list[Change]]) -> None:
        for kind in kinds:
            _TABLE[kind] = cast("Callable[[Event, int], list[Change]]", function)

    return register


def _task(task: str, at_ms: int, **columns: Scalar) -> Change:
    return Change("tasks", (task,), {"changed_ms": at_ms, **columns})


def _submitted(spec: TaskSpec, status: TaskStatus, at_ms: int) -> list[Change]:
    found = _task(
        spec.id,
        at_ms,
        submitted_ms=at_ms,
        type=spec.type,
        description=spec.description,
        status=status,
        priority=spec.priority,
        parent=spec.parent,
        phase=spec.phase,
    )
    # What most tasks do not have is not written: it costs as much as what they have.
    rest: tuple[tuple[str, Scalar], ...] = (
        ("capabilities", "\n".join(spec.capabilities) or None),
        ("agent_type", spec.agent_type),
        ("wanted_agent", spec.agent),
        ("timeout_ms", spec.timeout_ms),
        ("deadline_ms", spec.deadline_ms),
    )
    for name, value in rest:
        if value is not None:
            found.columns[name] = value
    return [found]


@_views(e.TaskSubmitted)
def _(event: e.TaskSubmitted, at_ms: int) -> list[Change]:
    return _submitted(event.spec, TaskStatus.PENDING if event.waits else TaskStatus.QUEUED, at_ms)


@_views(e.PlanSubmitted)
def _(event: e.PlanSubmitted, at_ms: int) -> list[Change]:
    found = _submitted(event.spec, TaskStatus.ORCHESTRATING, at_ms)
    phases = [phase[:2] for phase in event.phases]
    found[0].columns["phases"] = msgspec.json.encode(phases).decode()
    return found


@_views(e.TaskQueued)
def _(event: e.TaskQueued, at_ms: int) -> list[Change]:
    return [
        _task(
            event.task,
            at_ms,
            status=TaskStatus.QUEUED,
            agent=None,
            reason=None,
            ended_ms=None,
            kind=None,
        )
    ]


@_views(e.TaskBlocked)
def _(event: e.TaskBlocked, at_ms: int) -> list[Change]:
    return [_task(event.task, at_ms, status=TaskStatus.BLOCKED, reason=event.missing)]


@_views(e.PlanUnblocked)
def _(event: e.PlanUnblocked, at_ms: int) -> list[Change]:
    return [_task(event.task, at_ms, status=TaskStatus.ORCHESTRATING, reason=None)]


@_views(e.TaskAssigned)
def _(event: e.TaskAssigned, at_ms: int) -> list[Change]:
    attempt = {"agent": event.agent, "score_bp": event.score_bp, "assigned_ms": at_ms}
    return [
        _task(
            event.task,
            at_ms,
            status=TaskStatus.ASSIGNED,
            agent=event.agent,
            attempt=event.attempt,
        ),
        Change("attempts", (event.task, event.attempt), {**attempt}),
    ]


@_views(e.TaskStarted)
def _(event: e.TaskStarted, at_ms: int) -> list[Change]:
    return [
        _task(event.task, at_ms, status=TaskStatus.RUNNING),
        Change("attempts", (event.task, event.attempt), {"started_ms": at_ms}),
    ]


@_views(e.StepFinished)
def _(event: e.StepFinished, at_ms: int) -> list[Change]:
    return [Change("tasks", (event.task,), {"stepped_ms": at_ms})]


def _ended(task: str, attempt: int, at_ms: int, outcome: str, **columns: Scalar) -> Change:
    return Change("attempts", (task, attempt), {"ended_ms": at_ms, "outcome": outcome, **columns})


@_views(e.TaskCompleted)
def _(event: e.TaskCompleted, at_ms: int) -> list[Change]:
    result: Payload = event.result
    task = _task(
        event.task,
        at_ms,
        status=TaskStatus.COMPLETED,
        ended_ms=at_ms,
        result=result.inline,
        result_blob=result.blob,
    )
    if not event.attempt:
        return [task]
    took_us = event.duration_us
    task.columns["duration_us"] = took_us
    return [task, _ended(event.task, event.attempt, at_ms, "completed", duration_us=took_us)]


@_views(e.AttemptFailed)
def _(event: e.AttemptFailed, at_ms: int) -> list[Change]:
    return [
        _task(event.task, at_ms, status=TaskStatus.PENDING, agent=None, reason=event.reason),
        _ended(
            event.task,
            event.attempt,
            at_ms,
            event.kind,
            reason=event.reason,
            excused=int(event.excused),
        ),
    ]


@_views(e.TaskFailed)
def _(event: e.TaskFailed, at_ms: int) -> list[Change]:
    return [_failed(event, at_ms, TaskStatus.FAILED)]


@_views(e.TaskDeadLettered)
def _(event: e.TaskDeadLettered, at_ms: int) -> list[Change]:
    return [_failed(event, at_ms, TaskStatus.DEAD_LETTER)]


def _failed(event: e.TaskFailed | e.TaskDeadLettered, at_ms: int, status: TaskStatus) -> Change:
    return _task(
        event.task, at_ms, status=status, ended_ms=at_ms, reason=event.reason, kind=event.kind
    )


@_views(e.TaskCancelling)
def _(event: e.TaskCancelling, at_ms: int) -> list[Change]:
    return [Change(OPEN_ATTEMPTS, (event.task,), {"cancelled_ms": at_ms})]


@_views(e.TaskCancelled)
def _(event: e.TaskCancelled, at_ms: int) -> list[Change]:
    return [
        _task(
            event.task,
            at_ms,
            status=TaskStatus.CANCELLED,
            ended_ms=at_ms,
            reason=event.reason,
        )
    ]


_UNSAID: dict[str, Scalar] = {"resolution": None, "by": None, "note": None}
"""What a person said of an effect before it was known."""


@_views(o.EffectReserved)
def _(event: o.EffectReserved, at_ms: int) -> list[Change]:
    return [
        _effect(
            event,
            at_ms,
            EffectStatus.RESERVED,
            name=event.name,
            kind=event.kind,
            task=event.task,
            attempt=event.attempt,
            request=event.request,
            digest=event.digest,
            reserved_ms=at_ms,
            **_UNSAID,
        )
    ]


@_views(o.EffectSettled)
def _(event: o.EffectSettled, at_ms: int) -> list[Change]:
    kept = {"result": event.result.inline, "result_blob": event.result.blob}
    return [_effect(event, at_ms, EffectStatus.SETTLED, attempt=event.attempt, **kept, **_UNSAID)]


@_views(o.EffectFailed)
def _(event: o.EffectFailed, at_ms: int) -> list[Change]:
    return [_effect(event, at_ms, EffectStatus.FAILED, **_UNSAID, reason=event.reason)]


@_views(o.EffectDoubted)
def _(event: o.EffectDoubted, at_ms: int) -> list[Change]:
    return [_effect(event, at_ms, EffectStatus.IN_DOUBT, reason=event.why)]


@_views(o.EffectResolved)
def _(event: o.EffectResolved, at_ms: int) -> list[Change]:
    columns: dict[str, Scalar] = {
        "status": EffectStatus.RESOLVED,
        "changed_ms": at_ms,
        "resolution": event.resolution,
        "by": event.by,
        "note": event.note,
        "result": event.result.inline,
        "result_blob": event.result.blob,
    }
    return [Change("effects", (event.key,), columns)]


def _effect(
    event: o.EffectReserved | o.EffectSettled | o.EffectFailed | o.EffectDoubted,
    at_ms: int,
    status: EffectStatus,
    **columns: Scalar,
) -> Change:
    found: dict[str, Scalar] = {"status": status, "changed_ms": at_ms, "reason": None, **columns}
    return Change("effects", (event.key,), found)


@_views(e.AgentSpawned)
def _(event: e.AgentSpawned, at_ms: int) -> list[Change]:
    spec = event.spec
    return [
        Change(
            "agents",
            (spec.id,),
            {
                "type": spec.type,
                "name": spec.name,
                "status": AgentStatus.CREATED,
                "worker": event.worker,
                "capabilities": "\n".join(spec.capabilities),
                "spawned_ms": at_ms,
                "changed_ms": at_ms,
            },
        )
    ]


_AGENT_STATUS: dict[type[Event], AgentStatus] = {
    e.AgentInitialising: AgentStatus.INITIALISING,
    e.AgentReady: AgentStatus.READY,
    e.AgentErrored: AgentStatus.ERROR,
    e.AgentRecovering: AgentStatus.RECOVERING,
    e.AgentMoved: AgentStatus.RECOVERING,
    e.AgentFailed: AgentStatus.FAILED,
    e.AgentTerminating: AgentStatus.TERMINATING,
    e.AgentTerminated: AgentStatus.TERMINATED,
}
_Agent = (
    e.AgentInitialising
    | e.AgentReady
    | e.AgentErrored
    | e.AgentRecovering
    | e.AgentMoved
    | e.AgentFailed
    | e.AgentTerminating
    | e.AgentTerminated
)


def _agent(event: Event, at_ms: int) -> list[Change]:
    moved = cast("_Agent", event)
    columns: dict[str, Scalar] = {"status": _AGENT_STATUS[type(event)], "changed_ms": at_ms}
    if isinstance(event, (e.AgentErrored, e.AgentFailed)):
        columns["reason"] = event.reason
    elif isinstance(event, e.AgentMoved):
        columns["worker"] = event.worker
    if isinstance(event, e.AgentReady):
        columns |= {"ready_ms": at_ms, "reason": None}
    elif isinstance(event, (e.AgentFailed, e.AgentTerminated)):
        columns["ended_ms"] = at_ms
    return [Change("agents", (moved.agent,), columns)]


_TABLE.update(dict.fromkeys(_AGENT_STATUS, _agent))
