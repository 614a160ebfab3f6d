"""Where a task stands, as every face tells it: its status, why it waits, how far it is.

The facts are a row of the views, or the live state while no attempt was made yet; beside them
stands what only the living swarm knows: signals, who holds it in which process, what it waits for.
"""

from typing import Annotated

from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.state import PlanState, SwarmState, TaskState
from visionflow.interfaces.tools.able import kept_waiting, nobody_takes
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.held_up import awaited, turned_away, waits_in_words
from visionflow.interfaces.tools.moments import iso, iso_or_none, seconds
from visionflow.interfaces.tools.voted import voted_on
from visionflow.interfaces.tools.waiting import progress_of
from visionflow.ports.views import AttemptRow, TaskRow
from visionflow.runtime.ended import AnySwarm

WAITS_FOR_MAX = 20
"""Tasks that another waits for and that are named."""


class Attempt(Result, frozen=True, kw_only=True):
    attempt: int
    agent_id: str
    score: float
    """How well the agent suits the task, 0 to 1."""
    outcome: str | None
    """`completed`, or the kind of failure; `None` while it is open."""
    reason: str | None
    cancelled: bool
    """It was told to stop."""
    assigned_at: str
    started_at: str | None
    ended_at: str | None
    duration: float | None
    """Seconds: as the agent measured them, or from start to end, where it did not complete."""


class Progress(Result, frozen=True, kw_only=True):
    fraction: float | None
    note: str
    at: str | None


class PhaseStanding(Result, frozen=True, kw_only=True):
    name: str
    tasks: int
    open: int
    failed: int


class TaskStanding(Result, frozen=True, kw_only=True):
    task_id: str
    swarm_id: str
    status: str
    reason: Annotated[
        str | None,
        about(
            "Why it failed, is blocked, waits until retryAt or for others, or is queued (of a "
            "plan, a part) and nobody can take it."
        ),
    ]
    waits_for: list[str]
    retry_at: str | None
    cancelling: bool
    type: str
    description: str
    priority: int
    required_capabilities: list[str]
    agent_id: str | None
    pid: Annotated[int | None, about("Of the worker process that has it.")]
    parent: str | None
    phase: str | None
    progress: Progress | None
    phases: Annotated[list[PhaseStanding], about("Of a plan.")]
    attempts: list[Attempt]
    created_at: str
    updated_at: str
    ended_at: str | None
    deadline: str | None
    duration: Annotated[
        float | None, about("Seconds that the successful attempt, or a pipeline, took.")
    ]


def row_of(task: TaskState) -> TaskRow:
    """A task that no attempt was made at yet, as the views would show it."""
    spec = task.spec
    plan = task.plan
    return TaskRow(
        id=spec.id,
        type=spec.type,
        description=spec.description,
        status=task.status,
        priority=spec.priority,
        agent=task.agent,
        attempt=task.attempt,
        parent=spec.parent,
        phase=spec.phase,
        reason=task.reason,
        submitted_ms=task.since_ms,
        changed_ms=task.changed_ms,
        result=task.result.inline,
        result_blob=task.result.blob,
        capabilities=spec.capabilities,
        agent_type=spec.agent_type,
        wanted_agent=spec.agent,
        timeout_ms=spec.timeout_ms,
        deadline_ms=spec.deadline_ms,
        ended_ms=task.changed_ms if task.status in TERMINAL else None,
        phases=() if plan is None else tuple((each.name, each.tasks) for each in plan.phases),
    )


def standing(
    swarm: AnySwarm,
    row: TaskRow,
    attempts: list[AttemptRow],
    parts: list[TaskRow] | None = None,
    full: str | None = None,
    duration: float | None = None,
) -> TaskStanding:
    """Where it stands. `parts`: of a plan that has left the state, its tasks; `full`: what
    `crowded` says of the server; `duration`: what it took."""
    state = swarm.state
    live = state.tasks.get(row.id)
    if live is not None and live.status != row.status:
        live = None  # It has moved on since; what follows would be of another moment.
    worker = None
    if row.agent is not None and row.status not in TERMINAL:
        agent = state.agents.get(row.agent)
        worker = None if agent is None else state.workers.get(agent.worker)
    plan = None if live is None else live.plan
    phases = _phases(plan) if plan is not None else _phases_of(row, parts or [])
    return TaskStanding(
        task_id=row.id,
        swarm_id=swarm.id,
        status=row.status,
        reason=row.reason if live is None else why(state, live, full),
        waits_for=[] if live is None else waits_for(state, live),
        retry_at=None if live is None else iso_or_none(live.retry_at_ms),
        cancelling=live is not None and live.cancelling is not None,
        type=row.type,
        description=row.description,
        priority=row.priority,
        required_capabilities=list(row.capabilities),
        agent_id=row.agent,
        pid=None if worker is None else worker.pid,
        parent=row.parent,
        phase=row.phase,
        progress=_progress(swarm, row, live),
        phases=phases,
        attempts=[_attempt(each) for each in attempts],
        created_at=iso(row.submitted_ms),
        updated_at=iso(row.changed_ms),
        ended_at=iso_or_none(row.ended_ms),
        deadline=iso_or_none(row.deadline_ms),
        duration=duration,
    )


def _attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        attempt=row.attempt,
        agent_id=row.agent,
        score=row.score_bp / 10_000,
        outcome=row.outcome,
        reason=row.reason,
        cancelled=row.cancelled_ms is not None,
        assigned_at=iso(row.assigned_ms),
        started_at=iso_or_none(row.started_ms),
        ended_at=iso_or_none(row.ended_ms),
        duration=_took(row),
    )


def _took(row: AttemptRow) -> float | None:
    if row.duration_us is not None or row.started_ms is None or row.ended_ms is None:
        return seconds(row.duration_us)
    return (row.ended_ms - row.started_ms) / 1_000


def _phases(plan: PlanState) -> list[PhaseStanding]:
    return [
        PhaseStanding(
            name=each.name, tasks=len(each.tasks), open=each.open, failed=len(each.failed)
        )
        for each in plan.phases
    ]


def _phases_of(row: TaskRow, parts: list[TaskRow]) -> list[PhaseStanding]:
    statuses = {part.id: part.status for part in parts}
    found: list[PhaseStanding] = []
    for name, tasks in row.phases:
        ended = [statuses[task] for task in tasks if statuses.get(task) in TERMINAL]
        failed = sum(1 for status in ended if status != TaskStatus.COMPLETED)
        found.append(
            PhaseStanding(name=name, tasks=len(tasks), open=len(tasks) - len(ended), failed=failed)
        )
    return found


def _progress(swarm: AnySwarm, row: TaskRow, live: TaskState | None) -> Progress | None:
    """How far an open attempt is; of a plan, all of its tasks."""
    if live is not None and live.retry_at_ms is not None:
        return None  # No attempt is open: what was said last was of one that has ended.
    found = progress_of(swarm, row.id) if live is not None and row.status not in TERMINAL else None
    signal = swarm.signals.get(row.id)
    piped = row.id in swarm.state.pipelines.open
    if found is None or (signal is None and not row.phases and not piped):
        return None
    at = None if signal is None else iso(signal.at_ms)
    return Progress(fraction=found[0], note=found[1], at=at)


def why(state: SwarmState, task: TaskState, full: str | None = None) -> str | None:
    """Why a task is where it is, when that needs saying."""
    if task.status is TaskStatus.QUEUED:
        return nobody_takes(state, task, full) or turned_away(state, task)
    piped = state.pipelines.open.get(task.spec.id)
    if piped is not None:
        return None if piped.task is None else why(state, state.tasks[piped.task], full)
    if task.status is TaskStatus.ORCHESTRATING and task.plan is not None:
        told = kept_waiting(state, task.plan, full)
        vote = voted_on(state, task.spec.id)
        return " ".join(told if vote is None else [*told, vote]) or None
    return waits_in_words(state, task) or task.reason


def waits_for(state: SwarmState, task: TaskState) -> list[str]:
    """Tasks that have to end before a pending one is queued, or that an attempt waits for; at most
    `WAITS_FOR_MAX`."""
    if task.status not in (TaskStatus.PENDING, *TERMINAL):
        return awaited(state, task)[:WAITS_FOR_MAX]
    if task.status is not TaskStatus.PENDING or task.retry_at_ms is not None:
        return []
    names = list(task.spec.depends_on)
    root = None if task.spec.parent is None else state.tasks.get(task.spec.parent)
    if root is not None and root.plan is not None:
        plan = root.plan
        if plan.current < task.phase:
            names += plan.phases[plan.current].tasks
        elif plan.phases[task.phase].turns:
            own = plan.phases[task.phase].tasks
            names += own[: own.index(task.spec.id)]
    found: list[str] = []
    for name in names:
        needed = state.tasks.get(name)
        if needed is not None and needed.status not in TERMINAL and name not in found:
            found.append(name)
        if len(found) == WAITS_FOR_MAX:
            break
    return found
