"""Decisions about tasks: acceptance, plans, attempts and their ends, cancellation, time."""

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.commands import Command
from visionflow.domain.errors import LimitReached, Refused, UnknownId, UnknownTask
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    CAPABILITIES_MAX,
    INLINE_BYTES_MAX,
    PLAN_TASKS_MAX,
    STEPS_PER_TASK_MAX,
    TERMINAL_TASKS_MAX,
    THROTTLES_PER_TASK_MAX,
    TIMEOUT_GRACE_MS,
    WORD_CHARS_MAX,
)
from visionflow.domain.tasks import (
    DEFAULT_RETRY,
    TERMINAL,
    FailureKind,
    Phase,
    Priority,
    TaskSpec,
    TaskStatus,
)
from visionflow.domain.votes import CAST_BALLOT
from visionflow.engine.decide import balloting
from visionflow.engine.decide.adopting import is_awaited
from visionflow.engine.decide.attempts import Ending, end_at_deadline, end_attempt
from visionflow.engine.decide.auctions import lapse_due
from visionflow.engine.decide.balancing import steal
from visionflow.engine.decide.circuits import due_circuits
from visionflow.engine.decide.closing import RUNNING, Closing
from visionflow.engine.decide.deadlocks import break_all
from visionflow.engine.decide.draining import end_drained
from visionflow.engine.decide.exhausting import end_exhausted
from visionflow.engine.decide.mail import end_due
from visionflow.engine.decide.outside import park
from visionflow.engine.decide.recycling import replace_due
from visionflow.engine.decide.shape import reshape
from visionflow.engine.decide.table import decides
from visionflow.engine.decide.teams import escalate_overdue
from visionflow.engine.state import SwarmState, TaskState
from visionflow.engine.topology.leading import check_led
from visionflow.engine.topology.staging import in_stages

Events = list[AnyEvent]
MS_MAX = 2**53
"""More milliseconds than anybody means, and few enough to be added up and written down."""
PRIORITY_MIN, PRIORITY_MAX = int(Priority.CRITICAL), int(Priority.LOW)


def _limits_allow(state: SwarmState, tasks: int) -> None:
    if state.spec is None or state.closed is not None:
        why = "it was never created" if state.spec is None else state.closed
        raise Refused(f"The swarm takes no tasks: {why}.", code="swarm_closed")
    if state.live + tasks > state.spec.limits.queue_max:
        raise LimitReached(
            f"{state.live} tasks are not finished; the limit is {state.spec.limits.queue_max}.",
            hint="Wait for some to finish, or cancel some.",
            retry_after_ms=1_000,
        )


def _acceptable(state: SwarmState, spec: TaskSpec, known: dict[str, None]) -> None:
    if spec.id in state.tasks or spec.id in state.finished or spec.id in known:
        raise Refused(f"There is a task {spec.id} already.", code="duplicate_id")
    for payload in (spec.input, spec.config):
        if payload.inline is not None and len(payload.inline) > INLINE_BYTES_MAX:
            raise Refused(
                f"The payload of {spec.id} has {len(payload.inline)} bytes; above "
                f"{INLINE_BYTES_MAX} it must travel by blob.",
                code="payload_too_large",
            )
    _well_formed(spec)
    for name in spec.depends_on:
        needed = state.tasks.get(name)
        if needed is None and (name not in known or name == spec.parent):
            raise UnknownTask(
                f"{spec.id} depends on {name}, of which nothing is known (any more).",
                hint=f"Of tasks that ended the last {TERMINAL_TASKS_MAX} are; pass their results "
                "as input.",
            )
        if needed is not None and needed.status in TERMINAL:
            if needed.status is not TaskStatus.COMPLETED:
                raise Refused(
                    f"{spec.id} depends on {name}, which is {needed.status}.",
                    code="dependency_failed",
                )


def _well_formed(spec: TaskSpec) -> None:
    short = (spec.id, spec.type, *spec.capabilities, *spec.depends_on)
    if len(spec.description) > INLINE_BYTES_MAX or max(map(len, short)) > WORD_CHARS_MAX:
        raise Refused(
            f"{spec.id[:WORD_CHARS_MAX]} says too much: a description has at most "
            f"{INLINE_BYTES_MAX} characters; ids, types and capabilities {WORD_CHARS_MAX}.",
            code="payload_too_large",
            hint="Put the rest into `input`.",
        )
    if len(spec.capabilities) > CAPABILITIES_MAX or len(spec.depends_on) > PLAN_TASKS_MAX:
        raise LimitReached(
            f"{spec.id} asks for {len(spec.capabilities)} capabilities and depends on "
            f"{len(spec.depends_on)} tasks; {CAPABILITIES_MAX} and {PLAN_TASKS_MAX} are the most."
        )
    if not PRIORITY_MIN <= spec.priority <= PRIORITY_MAX:
        raise Refused(
            f"The priority of {spec.id} is {spec.priority}; it is between {PRIORITY_MIN} "
            f"(critical) and {PRIORITY_MAX} (low).",
            code="usage",
        )
    retry = spec.retry
    if retry is not DEFAULT_RETRY:
        if retry.attempts_max < 1:
            raise Refused(f"{spec.id} allows no attempt; attempts_max is at least 1.", code="usage")
        for wait in (retry.base_ms, retry.wait_max_ms, retry.jitter_bp):
            if not 0 <= wait <= MS_MAX:
                raise Refused(
                    f"The retry of {spec.id} waits {wait}; base_ms, wait_max_ms and jitter_bp are "
                    f"between 0 and {MS_MAX}.",
                    code="usage",
                )
    for limit in (spec.timeout_ms, spec.deadline_ms):
        if limit is not None and not 0 < limit <= MS_MAX:
            raise Refused(
                f"{spec.id} has a limit of {limit} ms; timeout_ms and deadline_ms are between 1 "
                f"and {MS_MAX}.",
                code="usage",
            )


def _waits(state: SwarmState, spec: TaskSpec) -> bool:
    for name in spec.depends_on:
        needed = state.tasks.get(name)
        if needed is None or needed.status not in TERMINAL:
            return True
    return False


def submitted(
    state: SwarmState, spec: TaskSpec, command: str | None, delegated_by: str | None = None
) -> Events:
    """What the submission of one task makes happen.

    Raises:
        Refused: it is not taken.
    """
    _limits_allow(state, 1)
    _acceptable(state, spec, {})
    if spec.parent is not None:
        raise Refused("A part of a plan is submitted with its plan.", code="usage")
    waits = bool(spec.depends_on) and _waits(state, spec)
    return [e.TaskSubmitted(spec=spec, waits=waits, delegated_by=delegated_by, command=command)]


@decides(c.SubmitTask)
def _(state: SwarmState, command: c.SubmitTask) -> Events:
    spec = command.spec
    events = submitted(state, spec, command.command)
    check_led(state, (spec,))
    if command.blocked is None:
        return events
    if spec.depends_on and _waits(state, spec):
        raise Refused(
            f"{spec.id} waits for other tasks; only one that could run is submitted blocked.",
            code="usage",
        )
    return [*events, e.TaskBlocked(task=spec.id, missing=command.blocked)]


@decides(c.SubmitPlan)
def _(state: SwarmState, command: c.SubmitPlan) -> Events:
    root = command.spec
    phases, stages = in_stages(state, command.phases)
    parts = [part for phase in phases for part in phase.tasks]
    names = {phase.name: None for phase in phases}
    _limits_allow(state, 1 + len(parts))
    _acceptable(state, root, {})
    check_led(state, parts)
    if root.depends_on or root.parent is not None:
        raise Refused(
            f"Plan {root.id} is a root: it depends on nothing and has no parent.",
            code="usage",
            hint="Let the tasks of its first phase depend on others.",
        )
    if not parts or any(not phase.tasks for phase in phases) or len(names) < len(phases):
        raise Refused("A plan has phases of different names, each with a task.", code="usage")
    if len(parts) > PLAN_TASKS_MAX:
        raise LimitReached(f"A plan has at most {PLAN_TASKS_MAX} tasks; this has {len(parts)}.")
    known: dict[str, None] = {root.id: None}
    events: Events = [
        e.PlanSubmitted(
            spec=root,
            phases=tuple(
                (phase.name, tuple(part.id for part in phase.tasks), phase.sequential)
                for phase in phases
            ),
            uses=_uses(phases),
            widths=_widths(phases),
            stages=stages,
            failure_threshold_bp=command.failure_threshold_bp,
            command=command.command,
            consensus=balloting.consented(command.consensus),
        )
    ]
    blocked = command.blocked is not None
    if command.blocked is not None:
        events.append(e.TaskBlocked(task=root.id, missing=command.blocked))
    for index, phase in enumerate(phases):
        turns = 1 if phase.sequential else phase.width
        first = stages[phase.name][0] if phase.name in stages else len(phase.tasks)
        for place, part in enumerate(phase.tasks):
            if part.parent != root.id or part.phase != phase.name:
                raise Refused(f"{part.id} does not name its plan and phase.", code="usage")
            _acceptable(state, part, known)
            known[part.id] = None
            closed = blocked or index > 0 or 0 < turns <= place or place >= first
            waits = closed or _waits(state, part)
            events.append(e.TaskSubmitted(spec=part, waits=waits))
    return events


def _widths(phases: tuple[Phase, ...]) -> dict[str, int]:
    """Of each phase that bounds it, how many of its tasks may be under way at once."""
    for phase in phases:
        if phase.width < 0 or (phase.sequential and phase.width > 1):
            raise Refused(
                f"Phase {phase.name} has width {phase.width}; that is 1 or more, 0 for all at "
                "once, and nothing else where its tasks run one after the other.",
                code="usage",
            )
    return {phase.name: phase.width for phase in phases if phase.width}


def _uses(phases: tuple[Phase, ...]) -> dict[str, tuple[int, ...]]:
    """Of each phase that uses others, their places.

    Raises:
        UnknownId: one of them is no earlier phase.
    """
    places: dict[str, int] = {}
    found: dict[str, tuple[int, ...]] = {}
    for place, phase in enumerate(phases):
        for name in phase.uses:
            if name not in places:
                raise UnknownId(f"Phase {phase.name} uses {name}, which is no earlier phase.")
        if phase.uses:
            found[phase.name] = tuple(places[name] for name in phase.uses)
        places[phase.name] = place
    return found


# Attempts ------------------------------------------------------------------------------------


def _stale(state: SwarmState, name: str, attempt: int) -> Events | None:
    """`None` when this is the open attempt; else what to record of the late report."""
    task = state.tasks.get(name)
    if task is not None and task.attempt == attempt and task.status in RUNNING:
        return None
    current = state.finished.get(name, 0) if task is None else task.attempt
    ended = task is None or task.status in TERMINAL
    if current == attempt and ended:
        return []
    return [e.LateResultRefused(task=name, attempt=attempt, current=current)]


@decides(c.ReportStarted)
def _(state: SwarmState, command: c.ReportStarted) -> Events:
    task = state.tasks.get(command.task)
    if task is None or task.attempt != command.attempt or task.status is not TaskStatus.ASSIGNED:
        return []
    return [e.TaskStarted(task=command.task, attempt=command.attempt)]


@decides(c.ReportStep)
def _(state: SwarmState, command: c.ReportStep) -> Events:
    if _stale(state, command.task, command.attempt) is not None:
        raise Refused(
            f"Attempt {command.attempt} of {command.task} is not the open one; its step "
            f"{command.name} is not kept.",
            code="stale_attempt",
        )
    task = state.tasks[command.task]
    steps = task.steps or {}
    if command.key in steps:
        return []
    if len(steps) >= STEPS_PER_TASK_MAX:
        reason = f"it has more than {STEPS_PER_TASK_MAX} steps"
        return _attempt_failed(state, task, command, FailureKind.PERMANENT, reason, 0)
    return [
        e.StepFinished(
            task=command.task,
            attempt=command.attempt,
            key=command.key,
            name=command.name,
            value=command.value,
            tree=command.tree,
        )
    ]


@decides(c.ReportResult)
def _(state: SwarmState, command: c.ReportResult) -> Events:
    name, attempt = command.task, command.attempt
    task = state.tasks.get(name)
    if task is None or task.attempt != attempt or task.status not in RUNNING:
        return _stale(state, name, attempt) or []
    event = e.TaskCompleted(
        task=name, attempt=attempt, result=command.result, duration_us=command.duration_us
    )
    followed = task.spec.parent is not None or task.dependents is not None
    if not followed and not state.supervised.circuits and not state.polls.asked:
        return [event]
    closing = Closing(state)
    closing.complete(event)
    if task.spec.type != CAST_BALLOT:
        closing.praise(task.agent)
    return closing.events


@decides(c.ReportFailure)
def _(state: SwarmState, command: c.ReportFailure) -> Events:
    late = _stale(state, command.task, command.attempt)
    if late is not None:
        return late
    task, kind, reason = state.tasks[command.task], command.kind, command.reason
    if kind is FailureKind.IN_DOUBT:
        return park(state, task, command)
    throttled = state.throttles.get(command.task, 0)
    if kind is FailureKind.THROTTLED and throttled >= THROTTLES_PER_TASK_MAX:
        kind = FailureKind.ERROR
        reason = f"it was asked to wait {throttled} times without a step in between: {reason}"
    unasked = kind is FailureKind.RECALLED and command.task not in state.supervised.recalling
    if unasked or kind is FailureKind.REASSIGNED:
        kind, reason = FailureKind.KILLED, f"its worker gave it back unasked: {reason}"
    if kind is FailureKind.RESOURCES:
        closing = Closing(state)
        end_exhausted(state, closing, task, command)
        return closing.events
    closing = Closing(state)
    if (command.circuit or command.shared) and task.agent is not None:
        closing.excuse(task.agent)
    ending = Ending(kind, reason, command.entropy, command.wait_ms)
    end_attempt(closing, task, command.now_ms, ending, command.advice)
    return closing.events


@decides(c.ExpireLease)
def _(state: SwarmState, command: c.ExpireLease) -> Events:
    if _stale(state, command.task, command.attempt) is not None:
        return []
    task = state.tasks[command.task]
    return _attempt_failed(
        state, task, command, FailureKind.LOST, command.evidence, command.entropy
    )


def _attempt_failed(
    state: SwarmState,
    task: TaskState,
    command: Command,
    kind: FailureKind,
    reason: str,
    entropy: int,
) -> Events:
    closing = Closing(state)
    end_attempt(closing, task, command.now_ms, Ending(kind, reason, entropy))
    return closing.events


# Requests and time ---------------------------------------------------------------------------


def _known(state: SwarmState, name: str) -> TaskState:
    task = state.tasks.get(name)
    if task is None:
        left = "it ended long ago" if name in state.finished else "no task has this id"
        raise UnknownTask(f"Task {name}: {left}.")
    return task


@decides(c.CancelTask)
def _(state: SwarmState, command: c.CancelTask) -> Events:
    task = _known(state, command.task)
    if task.status in TERMINAL:
        raise Refused(f"Task {command.task} is {task.status} already.", code="already_ended")
    if task.cancelling is not None:
        raise Refused(f"Task {command.task} is being cancelled already.", code="already_ended")
    closing = Closing(state)
    closing.cancel(command.task, command.reason, command.command)
    return closing.events


@decides(c.RetryTask)
def _(state: SwarmState, command: c.RetryTask) -> Events:
    task = _known(state, command.task)
    _limits_allow(state, 1)
    if task.status not in TERMINAL or task.status is TaskStatus.COMPLETED:
        raise Refused(f"Task {command.task} is {task.status}.", code="not_failed")
    if task.plan is not None or task.spec.parent is not None:
        raise Refused("A plan is submitted anew, as a whole.", code="part_of_plan")
    deadline_ms = task.spec.deadline_ms
    if deadline_ms is not None and deadline_ms <= command.now_ms:
        raise Refused(f"The deadline of {command.task} has passed.", code="deadline_passed")
    for name in task.spec.depends_on:
        needed = state.tasks.get(name)
        if needed is not None and needed.status is not TaskStatus.COMPLETED:
            raise Refused(
                f"{command.task} depends on {name}, which is {needed.status}.",
                code="dependency_failed",
                hint=f"Have {name} complete first.",
            )
    queued = e.TaskQueued(task=command.task, command=command.command)
    if command.blocked is None:
        return [queued]
    return [queued, e.TaskBlocked(task=command.task, missing=command.blocked)]


@decides(c.BlockTask)
def _(state: SwarmState, command: c.BlockTask) -> Events:
    task = _known(state, command.task)
    if task.status is not TaskStatus.QUEUED:
        raise Refused(f"Task {command.task} is {task.status}.", code="not_queued")
    return [e.TaskBlocked(task=command.task, missing=command.missing, command=command.command)]


@decides(c.UnblockTask)
def _(state: SwarmState, command: c.UnblockTask) -> Events:
    task = _known(state, command.task)
    if task.status is not TaskStatus.BLOCKED:
        raise Refused(f"Task {command.task} is {task.status}.", code="not_blocked")
    if task.plan is not None:
        closing = Closing(state)
        closing.unblock(task, task.plan, command.command)
        return closing.events
    return [e.TaskQueued(task=command.task, command=command.command)]


@decides(c.Tick)
def _(state: SwarmState, command: c.Tick) -> Events:
    now_ms, closing = command.now_ms, Closing(state)
    if command.gap_ms:
        closing.events.append(e.TimeSkipped(gap_ms=command.gap_ms, until_ms=now_ms))
    if state.mesh.auctions:
        closing.events.extend(lapse_due(state, now_ms - command.gap_ms))
    closing.events.extend(end_due(state, now_ms))
    end_drained(closing)
    closing.events.extend(replace_due(state, now_ms))
    for at_ms, name in state.deadlines.due(now_ms):
        task = state.tasks.get(name)
        if task is None or closing.has_ended(name) or task.spec.deadline_ms != at_ms:
            continue
        if task.status in RUNNING:
            end_at_deadline(closing, task, now_ms, at_ms)
        elif task.plan is not None:
            closing.cancel(name, "its deadline passed")
        else:
            closing.fail(name, "its deadline passed", FailureKind.TIMEOUT)
    for name in state.clocks.overdue(now_ms, TIMEOUT_GRACE_MS + command.gap_ms):
        if closing.has_ended(name) or closing.is_released(name):
            continue
        if not is_awaited(state, name):
            task = state.tasks[name]
            reason = "its wall-clock limit passed and its worker did not end it"
            ending = Ending(FailureKind.TIMEOUT, reason, command.entropy, by_worker=False)
            end_attempt(closing, task, now_ms, ending)
    if state.vote_ends:
        balloting.expire(closing, now_ms)
    if state.closed is None:
        for at_ms, name in state.retries.due(now_ms):
            task = state.tasks.get(name)
            if task is not None and task.retry_at_ms == at_ms and not closing.has_ended(name):
                closing.events.append(e.TaskQueued(task=name))
        if command.waits:
            break_all(state, closing, now_ms, command.entropy)
        closing.events.extend(due_circuits(state, now_ms))
        steal(state, now_ms, closing)
        reshape(closing, now_ms)
        if state.teams.teams and not command.gap_ms:
            escalate_overdue(state, closing, now_ms)
    return closing.events
