"""Decisions about recovery by cause: what is done about a failure, by the strategy of its agent.

A timeout gives the next attempt more time, a reached memory ceiling gives the agent more memory
where it may have more, a crash starts the worker again after a growing wait. What was mended counts
against no task. Each choice is an event, with the name of the strategy that made it.
"""

from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.limits import RESTART_PERIOD_MS, RESTARTS_MAX
from visionflow.domain.supervision import Advice, Cause, RecoverySpec
from visionflow.domain.tasks import FailureKind
from visionflow.engine.evolve.supervising import NOT_ITS_OWN
from visionflow.engine.state import SwarmState, TaskState, WorkerState

_CAUSES = {
    FailureKind.TIMEOUT: Cause.TIMEOUT,
    FailureKind.RESOURCES: Cause.RESOURCES,
    FailureKind.NETWORK: Cause.NETWORK,
    FailureKind.DEADLOCK: Cause.DEADLOCK,
}
_USUAL = RecoverySpec()
CEILING_TIMES_MAX = 4
"""So many times its first ceiling an agent gets where its strategy says no other bound."""


def owner(state: SwarmState, worker: WorkerState) -> AgentSpec | None:
    """The agent whose own process a worker is, where it is one's."""
    if not worker.dedicated:
        return None
    return next((state.agents[name].spec for name in worker.agents), None)


def strategy_of(state: SwarmState, worker: WorkerState) -> RecoverySpec:
    """How a worker is recovered: as the agent says that has it for itself, else as usual."""
    spec = owner(state, worker)
    return _USUAL if spec is None else spec.recovery


def restart_at(
    worker: WorkerState, kind: FailureKind, now_ms: int, strategy: RecoverySpec = _USUAL
) -> int | None:
    """When a worker may start again: at once, then after the strategy's wait, doubled each time;
    `None` when it died by itself, with no attempt to blame, more often than the strategy bears."""
    recent = [death for death in worker.deaths if death[0] > now_ms - RESTART_PERIOD_MS]
    by_itself = sum(1 for death in recent if death[1] not in NOT_ITS_OWN)
    if kind not in NOT_ITS_OWN and by_itself >= strategy.restarts_max:
        return None
    if not recent:
        return now_ms
    return now_ms + (strategy.backoff_ms << min(len(recent) - 1, RESTARTS_MAX))


def higher_ceiling(
    state: SwarmState,
    worker: WorkerState,
    machine_bytes: int | None,
    advice: Advice | None = None,
) -> s.CeilingRaised | None:
    """The ceiling that a process of its own comes back with, if it may have a higher one: as much
    as the strategy says, or the advice, up to the strategy's most and the machine's memory."""
    spec = owner(state, worker)
    if spec is None or state.closed is not None or spec.id in state.moving:
        return None
    if state.agents[spec.id].status in (AgentStatus.TERMINATING, AgentStatus.FAILED):
        return None
    before, recovery = spec.limits.memory_bytes, spec.recovery
    if before is None:
        return None
    wanted = None if advice is None else advice.memory_bytes
    after = wanted or before * recovery.memory_factor_bp // 10_000
    if recovery.memory_max_bytes is not None:
        after = min(after, recovery.memory_max_bytes)
    elif wanted is None:
        after = min(after, CEILING_TIMES_MAX * state.supervised.ceilings.get(spec.id, before))
        after = after if machine_bytes is None else min(after, machine_bytes // 2)
    if machine_bytes is not None:
        after = min(after, machine_bytes)
    if after <= before:
        return None
    return s.CeilingRaised(
        agent=spec.id,
        memory_bytes=after,
        before_bytes=before,
        worker=worker.id,
        incarnation=worker.incarnation,
    )


def worker_recovery(
    state: SwarmState,
    worker: WorkerState,
    kind: FailureKind,
    wait_ms: int | None,
    ceiling: s.CeilingRaised | None,
    mended: e.AgentUpdated | None = None,
    advice: Advice | None = None,
) -> s.RecoveryChosen:
    """What is done about a worker that died. `wait_ms`: until it starts again, if it does.
    `mended`: its agent as it is built then, where it is another."""
    spec = owner(state, worker)
    if wait_ms is None:
        action = "it is not started again"
    else:
        action = f"it is started again {f'in {wait_ms} ms' if wait_ms else 'at once'}"
        if ceiling is not None:
            action = f"{action}, with {ceiling.memory_bytes} bytes, not {ceiling.before_bytes}"
        elif kind is FailureKind.RESOURCES and was_raised(state, worker):
            action = f"{action}, with the ceiling that it was given meanwhile"
        elif kind is FailureKind.RESOURCES:
            action = f"{action}, with no more memory: it may have no more"
        if mended is not None:
            action = f"{action}; {mended.reason}"
    action += said_of(advice)
    return s.RecoveryChosen(
        cause=_CAUSES.get(kind, Cause.CRASH),
        strategy=strategy_of(state, worker).name,
        action=action,
        agent=None if spec is None else spec.id,
        worker=worker.id,
    )


def was_raised(state: SwarmState, worker: WorkerState) -> bool:
    return state.supervised.raised.get(worker.id) == worker.incarnation


def exhausted_before(state: SwarmState, worker: WorkerState) -> bool:
    """Whether an attempt of this process was judged already because its memory ran out."""
    return state.supervised.exhausted.get(worker.id) == worker.incarnation


def said_of(advice: Advice | None) -> str:
    """The end of an action: what became of asking the user's own strategy."""
    if advice is None or advice == Advice():
        return ""
    return f"; its own choice failed: {advice.fault}" if advice.fault else "; its own choice"


def longer_ms(state: SwarmState, task: TaskState, advice: Advice | None = None) -> int | None:
    """How much time the next attempt of a task gets after a timeout, if it gets more."""
    if state.spec is None:
        return None
    recovery, first_ms = _of_holder(state, task), time_given_ms(state, task)
    now_ms = state.supervised.timeouts.get(task.spec.id, first_ms)
    if advice is not None and advice.timeout_ms is not None:
        return advice.timeout_ms if advice.timeout_ms != now_ms else None
    most_ms = 10 * first_ms if recovery.timeout_max_ms is None else recovery.timeout_max_ms
    next_ms = min(now_ms * recovery.timeout_factor_bp // 10_000, most_ms)
    return next_ms if next_ms > now_ms else None


def time_given_ms(state: SwarmState, task: TaskState) -> int:
    """The wall-clock limit that an attempt of a task had at first."""
    usual_ms = 0 if state.spec is None else state.spec.limits.attempt_timeout_ms
    return task.spec.timeout_ms or usual_ms


def timeout_recovery(
    state: SwarmState,
    task: TaskState,
    next_ms: int | None,
    advice: Advice | None = None,
    ended: bool = True,
) -> s.RecoveryChosen:
    """What is done about an attempt that took too long. `ended`: by its worker, or with it."""
    now_ms = state.supervised.timeouts.get(task.spec.id, time_given_ms(state, task))
    if next_ms is None and advice is not None and advice.timeout_ms is not None:
        given = f"gets {now_ms} ms again"
    elif next_ms is None:
        given = f"gets {now_ms} ms again, the most that it may have"
    else:
        given = f"gets {next_ms} ms, not {now_ms}"
    given += said_of(advice)
    what = "what it started is ended" if ended else "it is given up"
    agent = None if task.agent is None else state.agents.get(task.agent)
    return s.RecoveryChosen(
        cause=Cause.TIMEOUT,
        strategy=_of_holder(state, task).name,
        action=f"{what}, and attempt {task.attempt + 1} {given}",
        agent=task.agent,
        worker=None if agent is None else agent.worker,
        task=task.spec.id,
    )


def _of_holder(state: SwarmState, task: TaskState) -> RecoverySpec:
    agent = None if task.agent is None else state.agents.get(task.agent)
    return _USUAL if agent is None else agent.spec.recovery
