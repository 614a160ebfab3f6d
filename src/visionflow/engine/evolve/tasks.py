"""Folds of what happens to tasks, their attempts, and the plans they are parts of."""

from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.events import Event
from visionflow.domain.limits import FINISHED_IDS_MAX, TERMINAL_TASKS_MAX
from visionflow.domain.tasks import TERMINAL, WENT_AWAY, FailureKind, TaskStatus, is_failure
from visionflow.engine.evolve import teams
from visionflow.engine.evolve.outside import task_ended
from visionflow.engine.evolve.pipelines import root_ended
from visionflow.engine.evolve.table import ABLE, answer, folds, refresh, refresh_bidders
from visionflow.engine.evolve.waiting import let_go
from visionflow.engine.lifecycles import next_agent_status, next_task_status
from visionflow.engine.matching import order_of
from visionflow.engine.places import places_taken
from visionflow.engine.state import (
    AgentState,
    Answer,
    PhaseState,
    PlanState,
    StepState,
    SwarmState,
    TaskState,
)
from visionflow.engine.topology.rules import topology_in_force

PENDING, QUEUED, COMPLETED = TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.COMPLETED
PROCESSING = AgentStatus.PROCESSING


def _move(state: SwarmState, task: str, event: type[Event]) -> TaskState:
    found = state.tasks[task]
    found.status = next_task_status(found.status, event, task)
    found.changed_ms = state.now_ms
    return found


def enqueue(state: SwarmState, task: TaskState) -> None:
    """A task that is queued stands in line."""
    if state.teams.teams:
        teams.enqueue(state, task)
        return
    spec = task.spec
    key = (spec.capabilities, spec.agent_type, spec.agent)
    state.matching.enqueue(spec.id, key, order_of(task.since_ms, spec.priority))


def _limit_ms(state: SwarmState, task: TaskState) -> int:
    grown = state.supervised.timeouts
    if grown and task.spec.id in grown:
        return grown[task.spec.id]
    own = task.spec.timeout_ms
    if own is not None or state.spec is None:
        return own or 0
    return state.spec.limits.attempt_timeout_ms


def _leave_line(state: SwarmState, task: str) -> None:
    """A task is not queued any more, nor does anybody bid for it."""
    if task in state.matching:
        state.matching.dequeue(task)
        if state.seating.due or state.seating.led:
            teams.out_of_line(state, task)
    elif state.mesh.auctions:
        over = state.mesh.auctions.pop(task, None)
        if over is not None:
            state.mesh.ended += 1
            refresh_bidders(state, over.seats)


@folds(e.TaskSubmitted)
def _(state: SwarmState, event: e.TaskSubmitted) -> None:
    spec = event.spec
    status = PENDING if event.waits else QUEUED
    task = TaskState(spec, status, state.now_ms, changed_ms=state.now_ms)
    state.tasks[spec.id] = task
    state.live += 1
    state.counters.submitted += 1
    for name in spec.depends_on:
        needed = state.tasks[name]
        if needed.status not in TERMINAL:
            task.waiting += 1
            if needed.dependents is None:
                needed.dependents = []
            needed.dependents.append(spec.id)
    if spec.parent is not None:
        _join_plan(state, task, spec.parent)
    if spec.deadline_ms is not None:
        state.deadlines.set(spec.deadline_ms, spec.id)
    if not event.waits:
        enqueue(state, task)
    if state.teams.teams:
        teams.came_to(state, task)
    if event.delegated_by is not None:
        state.supervised.delegated[spec.id] = event.delegated_by
    if event.command is not None:
        answer(state, event.command, Answer(state.now_ms, spec.id))


def _join_plan(state: SwarmState, task: TaskState, root: str) -> None:
    plan = state.tasks[root].plan
    if plan is not None:
        for index, phase in enumerate(plan.phases):
            if phase.name == task.spec.phase:
                task.phase = index


@folds(e.PlanSubmitted)
def _(state: SwarmState, event: e.PlanSubmitted) -> None:
    phases = [
        PhaseState(
            name,
            ids,
            one,
            len(ids),
            [],
            tuple(event.uses.get(name, ())),
            event.widths.get(name, 0),
            event.stages.get(name, ()),
        )
        for name, ids, one in event.phases
    ]
    task = TaskState(event.spec, TaskStatus.ORCHESTRATING, state.now_ms, changed_ms=state.now_ms)
    task.plan = PlanState(phases, event.failure_threshold_bp)
    state.tasks[event.spec.id] = task
    state.live += 1
    state.counters.submitted += 1
    if event.spec.deadline_ms is not None:
        state.deadlines.set(event.spec.deadline_ms, event.spec.id)
    if event.consensus is not None:
        state.polls.gated[event.spec.id] = event.consensus
        state.polls.authors[event.spec.id] = {}
    answer(state, event.command, Answer(state.now_ms, event.spec.id))


@folds(e.TaskQueued)
def _(state: SwarmState, event: e.TaskQueued) -> None:
    task = state.tasks[event.task]
    if task.status in TERMINAL:
        state.revived[task.status] = state.revived.get(task.status, 0) + 1
        task.failures = task.crashes = task.kills = 0
        state.live += 1
        del state.ended[event.task]
        if task.spec.deadline_ms is not None:
            state.deadlines.set(task.spec.deadline_ms, event.task)
        if state.teams.teams:
            teams.came_to(state, task)
    _move(state, event.task, e.TaskQueued)
    task.retry_at_ms = task.reason = None
    enqueue(state, task)
    _trim_retries(state)
    answer(state, event.command, Answer(state.now_ms, event.task))


def _trim_retries(state: SwarmState) -> None:
    def counts(at_ms: int, name: str) -> bool:
        task = state.tasks.get(name)
        return task is not None and task.retry_at_ms == at_ms

    state.retries.trim(counts)


@folds(e.TaskBlocked)
def _(state: SwarmState, event: e.TaskBlocked) -> None:
    _leave_line(state, event.task)
    _move(state, event.task, e.TaskBlocked).reason = event.missing
    answer(state, event.command, Answer(state.now_ms, event.task))


@folds(e.PlanUnblocked)
def _(state: SwarmState, event: e.PlanUnblocked) -> None:
    _move(state, event.task, e.PlanUnblocked).reason = None
    answer(state, event.command, Answer(state.now_ms, event.task))


def _delayed(state: SwarmState, task: TaskState, agent: str) -> None:
    """A task that is given out now waited; as long as its agent could have been given it under the
    topology in force, that is the topology's doing."""
    if (state.matching.room(agent) or 0) < 0:
        return  # Who leads takes no place for it.
    totals, topology = state.totals, topology_in_force(state)
    able_ms = max(totals.room.get(agent, state.now_ms), state.shape.since_ms)
    waited_ms = state.now_ms - max(task.changed_ms, able_ms)
    totals.delays[topology] = totals.delays.get(topology, 0) + waited_ms


@folds(e.TaskAssigned)
def _(state: SwarmState, event: e.TaskAssigned) -> None:
    totals, now_ms = state.totals, state.now_ms
    if not totals.open:
        totals.since_ms = now_ms
    totals.open += 1
    task = state.tasks[event.task]
    if task.changed_ms != now_ms:
        since_ms = max(task.changed_ms, totals.idle.get(event.agent, 0))
        totals.delayed_ms += now_ms - since_ms
        _delayed(state, task, event.agent)
    task.status = next_task_status(task.status, e.TaskAssigned, event.task)
    task.changed_ms = now_ms
    task.attempt = event.attempt
    task.agent = event.agent
    state.counters.attempts += 1
    if state.assigning.chosen is not None:
        state.assigning.chosen = None
    state.matching.dequeue(event.task)
    if state.seating.due or state.seating.led:
        teams.out_of_line(state, event.task)
    agent = state.agents[event.agent]
    agent.status = next_agent_status(agent.status, "busy", event.agent)
    agent.open[event.task] = event.attempt
    # One that was given out ahead waits behind others in its worker: its time has not begun.
    if places_taken(state, agent) <= agent.spec.tasks_max:
        state.clocks.start(event.task, _limit_ms(state, task), now_ms)
    refresh(state, agent)


@folds(e.TaskStarted)
def _(state: SwarmState, event: e.TaskStarted) -> None:
    task = _move(state, event.task, e.TaskStarted)
    if state.supervised.recalling:
        state.supervised.recalling.pop(event.task, None)
    state.clocks.start(event.task, _limit_ms(state, task), state.now_ms)


@folds(e.StepFinished)
def _(state: SwarmState, event: e.StepFinished) -> None:
    task = state.tasks[event.task]
    task.status = next_task_status(task.status, e.StepFinished, event.task)
    if task.steps is None:
        task.steps = {}
    task.steps[event.key] = StepState(event.name, event.value, event.tree)
    if state.supervised.stalled:
        state.supervised.stalled.pop(event.task, None)
    state.throttles.pop(event.task, None)
    task.crashes = task.kills = 0


def _release(state: SwarmState, task: TaskState) -> AgentState | None:
    """The open attempt of a task has ended; its agent has room again."""
    state.clocks.stop(task.spec.id, _limit_ms(state, task))
    if state.supervised.stalled:
        state.supervised.stalled.pop(task.spec.id, None)
    if state.supervised.recalling:
        state.supervised.recalling.pop(task.spec.id, None)
    if state.lockers or state.supervised.waits:
        let_go(state, task.spec.id)
    agent = None if task.agent is None else state.agents.get(task.agent)
    task.agent = None
    totals, now_ms = state.totals, state.now_ms
    totals.open -= 1
    totals.busy_ms += now_ms - totals.since_ms
    totals.since_ms = now_ms
    if agent is None:
        return None
    totals.idle[agent.spec.id] = now_ms
    agent.open.pop(task.spec.id, None)
    if not agent.open and agent.status is PROCESSING:
        agent.status = next_agent_status(agent.status, "idle", agent.spec.id)
    return agent


def _end(state: SwarmState, task: TaskState) -> None:
    """A task has reached a terminal status: its steps go, and in time all of it."""
    name = task.spec.id
    state.live -= 1
    task.steps = task.cancelling = task.retry_at_ms = None
    state.throttles.pop(name, None)
    state.supervised.timeouts.pop(name, None)
    if task.dependents is not None:
        for dependent in task.dependents:
            waiting = state.tasks.get(dependent)
            if waiting is not None and waiting.waiting:
                waiting.waiting -= 1
    root = None if task.spec.parent is None else state.tasks.get(task.spec.parent)
    if root is not None and root.plan is not None:
        phase = root.plan.phases[task.phase]
        phase.open -= 1
        if task.status is not COMPLETED:
            phase.failed.append(name)
        while root.plan.current < len(root.plan.phases) - 1 and not (
            root.plan.phases[root.plan.current].open
        ):
            root.plan.current += 1
    if root is None or root.status in TERMINAL:
        state.ended[name] = None
    if task.plan is not None:
        _release_parts(state, task.plan)
        root_ended(state, name)
    if state.deadlines:
        state.deadlines.trim(lambda _, other: _alive(state, other))
    if state.outside.tasks:
        task_ended(state, name)
    if state.teams.teams:
        teams.ended(state, name)
    polls = state.polls
    if polls.asked or polls.gated:
        polls.asked.pop(name, None)
        polls.gated.pop(name, None)
        polls.authors.pop(name, None)
    if len(state.ended) > 2 * TERMINAL_TASKS_MAX:
        _forget(state)


def _alive(state: SwarmState, name: str) -> bool:
    task = state.tasks.get(name)
    return task is not None and task.status not in TERMINAL


def _release_parts(state: SwarmState, plan: PlanState) -> None:
    """The plan has ended: its parts, kept for their results until now, may leave in time."""
    for phase in plan.phases:
        for name in phase.tasks:
            part = state.tasks.get(name)
            if part is not None and part.status in TERMINAL:
                state.ended[name] = None


def _forget(state: SwarmState) -> None:
    """Let the older half of the ended tasks leave, but for those whose result is still needed."""
    for name in list(state.ended)[:TERMINAL_TASKS_MAX]:
        task = state.tasks[name]
        if task.dependents and any(_alive(state, other) for other in task.dependents):
            continue
        by = state.supervised.delegated.get(name)
        if name in state.awaiters or (by is not None and _alive(state, by)):
            continue
        if name in state.pipelines.tasks:
            continue
        del state.ended[name]
        del state.tasks[name]
        state.records.forget_task(name)
        if by is not None:
            del state.supervised.delegated[name]
        state.finished[name] = task.attempt
    surplus = len(state.finished) - FINISHED_IDS_MAX
    if surplus > 0:
        for name in list(state.finished)[:surplus]:
            del state.finished[name]


@folds(e.TaskCompleted)
def _(state: SwarmState, event: e.TaskCompleted) -> None:
    task = _move(state, event.task, e.TaskCompleted)
    task.result = event.result
    state.counters.completed += 1
    state.completion_ms += state.now_ms - task.since_ms
    agent = _release(state, task) if task.plan is None else None
    if agent is not None:
        took_us, totals, before_us = event.duration_us, state.totals, agent.mean_us
        agent.completed += 1
        totals.done += 1
        totals.work_us += took_us
        agent.mean_us = before_us + (took_us - before_us) // 8 if agent.completed > 1 else took_us
        state.records.completed(agent.spec.id, task.spec, took_us)
        if state.polls.authors and task.spec.parent in state.polls.authors:
            state.polls.authors[task.spec.parent][agent.spec.id] = None
        if state.teams.teams:
            teams.attempt_ended(state, agent.spec.id, None)
            teams.took(state, task.spec.type, event.duration_us)
        if agent.status in ABLE:
            refresh(state, agent)
    _end(state, task)


@folds(e.AttemptFailed)
def _(state: SwarmState, event: e.AttemptFailed) -> None:
    task = _move(state, event.task, e.AttemptFailed)
    task.reason = event.reason
    agent = _release(state, task)
    if event.timeout_ms is not None:
        state.supervised.timeouts[event.task] = event.timeout_ms
    if event.kind is FailureKind.THROTTLED:
        state.throttles[event.task] = state.throttles.get(event.task, 0) + 1
    elif is_failure(event.kind, event.excused):
        state.counters.attempts_failed += 1
        if not event.excused:
            _count(state, task, agent, event.kind)
    if event.retry_at_ms is not None:
        task.retry_at_ms = event.retry_at_ms
        state.retries.set(event.retry_at_ms, event.task)
    if agent is not None and state.teams.teams:
        teams.attempt_ended(state, agent.spec.id, event.kind, event.excused)
    if agent is not None and agent.status in ABLE:
        refresh(state, agent)


def _count(state: SwarmState, task: TaskState, agent: AgentState | None, kind: FailureKind) -> None:
    """An attempt failed: it counts against the task, and against its agent where that did it."""
    if kind is FailureKind.CRASH:
        task.crashes += 1
    elif kind in WENT_AWAY or kind is FailureKind.DEADLOCK:
        task.kills += 1
    else:
        task.failures += 1
        if agent is not None and task.cancelling is None:
            agent.failed += 1
            state.records.failed(agent.spec.id, task.spec)


def _stop(state: SwarmState, task: str, event: type[Event], reason: str) -> None:
    _leave_line(state, task)
    found = _move(state, task, event)
    found.reason = reason
    _end(state, found)
    _trim_retries(state)


@folds(e.TaskFailed)
def _(state: SwarmState, event: e.TaskFailed) -> None:
    state.counters.failed += 1
    _stop(state, event.task, e.TaskFailed, event.reason)


@folds(e.TaskDeadLettered)
def _(state: SwarmState, event: e.TaskDeadLettered) -> None:
    state.counters.dead_letter += 1
    _stop(state, event.task, e.TaskDeadLettered, event.reason)


@folds(e.TaskCancelling)
def _(state: SwarmState, event: e.TaskCancelling) -> None:
    task = state.tasks[event.task]
    task.status = next_task_status(task.status, e.TaskCancelling, event.task)
    task.cancelling = event.reason
    answer(state, event.command, Answer(state.now_ms, event.task))


@folds(e.TaskCancelled)
def _(state: SwarmState, event: e.TaskCancelled) -> None:
    state.counters.cancelled += 1
    _stop(state, event.task, e.TaskCancelled, event.reason)
    answer(state, event.command, Answer(state.now_ms, event.task))


@folds(e.LateResultRefused)
def _(state: SwarmState, event: e.LateResultRefused) -> None:
    state.counters.late_results += 1
