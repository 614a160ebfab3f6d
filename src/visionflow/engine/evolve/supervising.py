"""Folds of restarts that were wanted, of recycling, of ceilings, and of a swarm's degradation."""

from collections.abc import Iterable

from msgspec.structs import replace

from visionflow.domain import supervision_events as s
from visionflow.domain.agents import ResourceLimits, WorkerStatus
from visionflow.domain.supervision import Cause
from visionflow.domain.tasks import FailureKind
from visionflow.engine.evolve.table import answer, folds, refresh_worker
from visionflow.engine.state import AgentState, Answer, SwarmState, WorkerState
from visionflow.engine.supervised import LifeState

NOT_ITS_OWN = (FailureKind.KILLED, FailureKind.NETWORK)
"""Ends of a worker that say nothing of it: somebody else killed it, or could not reach it."""


@folds(s.WorkerRestarting)
def _(state: SwarmState, event: s.WorkerRestarting) -> None:
    state.supervised.recycling.pop(event.worker, None)
    state.supervised.restarting[event.worker] = event.reason
    refresh_worker(state, event.worker)
    _answer(state, event)


@folds(s.WorkerRecycling)
def _(state: SwarmState, event: s.WorkerRecycling) -> None:
    state.supervised.recycling[event.worker] = event.reason
    refresh_worker(state, event.worker)
    _answer(state, event)


def _answer(state: SwarmState, event: s.WorkerRestarting | s.WorkerRecycling) -> None:
    # Only of one with a process of its own: it is the one whose restart was asked for.
    subject = next(iter(state.workers[event.worker].agents), None)
    answer(state, event.command, Answer(state.now_ms, subject))


def process_ended(state: SwarmState, worker: str) -> None:
    """The process of a worker is gone, and with it what was to become of it."""
    sup = state.supervised
    sup.suspects.pop(worker, None)
    sup.recycling.pop(worker, None)
    sup.restarting.pop(worker, None)
    sup.lives.pop(worker, None)


def count_death(state: SwarmState, kind: FailureKind) -> None:
    """A worker died, in a swarm that bears only so many deaths."""
    spec = state.spec
    if spec is None or spec.supervision.restarts_max is None or kind in NOT_ITS_OWN:
        return
    since_ms = state.now_ms - spec.supervision.period_ms
    deaths = state.supervised.deaths
    state.supervised.deaths = [*(at for at in deaths if at > since_ms), state.now_ms]


def ceiling_set(state: SwarmState, agent: str) -> None:
    """Its ceiling is what somebody said, or it is gone: what was raised before counts no more."""
    state.supervised.ceilings.pop(agent, None)


def worker_left(state: SwarmState, worker: str) -> None:
    """There is no such worker any more."""
    state.supervised.exhausted.pop(worker, None)
    state.supervised.raised.pop(worker, None)
    state.left_behind.pop(worker, None)


def life_begins(state: SwarmState, worker: WorkerState, agents: Iterable[str]) -> None:
    """Count the age and the work of a process from now on, where one of these agents, which it has
    now, wants that."""
    sup = state.supervised
    if worker.status is not WorkerStatus.JOINED or worker.id in sup.lives:
        return
    for name in agents:
        recycling = state.agents[name].spec.recycling
        if recycling.tasks_max is not None or recycling.age_ms is not None:
            state.left_behind.pop(worker.id, None)
            sup.lives[worker.id] = LifeState(state.now_ms, attempts_ended(state, worker))
            return


def attempts_ended(state: SwarmState, worker: WorkerState) -> int:
    """Attempts that the agents of a worker have ended by their records, and those that left since
    its life began."""
    members = [state.agents[name] for name in worker.agents]
    left = state.left_behind.get(worker.id, 0)
    return left + sum(member.completed + member.failed for member in members)


def agent_left(state: SwarmState, agent: AgentState) -> None:
    """An agent leaves its worker; what it did there stays the work of that process."""
    if agent.worker in state.supervised.lives:
        before = state.left_behind.get(agent.worker, 0)
        state.left_behind[agent.worker] = before + agent.completed + agent.failed


@folds(s.CeilingRaised)
def _(state: SwarmState, event: s.CeilingRaised) -> None:
    agent = state.agents[event.agent]
    state.supervised.ceilings.setdefault(event.agent, event.before_bytes)
    agent.spec = replace(agent.spec, limits=ResourceLimits(memory_bytes=event.memory_bytes))
    state.supervised.raised[event.worker] = event.incarnation


@folds(s.RecoveryChosen)
def _(state: SwarmState, event: s.RecoveryChosen) -> None:
    exhausted = event.cause is Cause.RESOURCES and event.task is not None
    if exhausted and event.worker is not None and event.worker in state.workers:
        state.supervised.exhausted[event.worker] = state.workers[event.worker].incarnation


@folds(s.SwarmDegraded)
def _(state: SwarmState, event: s.SwarmDegraded) -> None:
    state.supervised.degraded = event.reason
    state.supervised.given_up.update(dict.fromkeys(event.agents))


@folds(s.SwarmRestored)
def _(state: SwarmState, event: s.SwarmRestored) -> None:
    state.supervised.degraded = None
    state.supervised.given_up.clear()
