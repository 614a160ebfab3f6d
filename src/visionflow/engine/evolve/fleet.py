"""Folds of what happens to the swarm, its agents, and the workers that host them."""

from msgspec.structs import replace

from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.events import Event
from visionflow.domain.limits import RESTART_PERIOD_MS
from visionflow.domain.tasks import FailureKind
from visionflow.engine.evolve import teams
from visionflow.engine.evolve.adopting import forget_process
from visionflow.engine.evolve.circuits import forget_agent
from visionflow.engine.evolve.mail import agent_gone
from visionflow.engine.evolve.supervising import (
    agent_left,
    ceiling_set,
    count_death,
    life_begins,
    process_ended,
    worker_left,
)
from visionflow.engine.evolve.table import answer, folds, not_measured, refresh
from visionflow.engine.lifecycles import next_agent_status
from visionflow.engine.state import AgentState, Answer, SwarmState, WorkerState
from visionflow.engine.topology.rules import follow
from visionflow.engine.topology.seats import offers_of


@folds(e.SwarmCreated)
def _(state: SwarmState, event: e.SwarmCreated) -> None:
    state.spec = event.spec
    follow(state)
    answer(state, event.command, Answer(state.now_ms, event.spec.id))


@folds(e.SwarmClosed)
def _(state: SwarmState, event: e.SwarmClosed) -> None:
    state.closed = event.reason
    answer(state, event.command, Answer(state.now_ms))


@folds(e.LimitsChanged)
def _(state: SwarmState, event: e.LimitsChanged) -> None:
    if state.spec is not None:
        limits = replace(state.spec.limits, agents_max=event.agents_max)
        state.spec = replace(state.spec, limits=limits)
    answer(state, event.command, Answer(state.now_ms))


@folds(e.TimeSkipped)
def _(state: SwarmState, event: e.TimeSkipped) -> None:
    until_ms = event.until_ms or state.now_ms
    state.clocks.shift(event.gap_ms, until_ms)
    not_measured(state, event.gap_ms)
    for auction in state.mesh.auctions.values():
        auction.since_ms = min(auction.since_ms + event.gap_ms, until_ms)


@folds(e.CommandRefused)
def _(state: SwarmState, event: e.CommandRefused) -> None:
    state.counters.refusals += 1
    answer(state, event.command, Answer(state.now_ms, None, event.code, event.message))


# Workers -------------------------------------------------------------------------------------


@folds(e.WorkerStarted)
def _(state: SwarmState, event: e.WorkerStarted) -> None:
    worker = state.workers[event.worker]
    worker.status = WorkerStatus.STARTING
    worker.incarnation = event.incarnation
    worker.pid = event.pid
    worker.started = event.started
    if event.secret_hash:
        state.supervised.secrets[event.worker] = event.secret_hash


@folds(e.WorkerJoined)
def _(state: SwarmState, event: e.WorkerJoined) -> None:
    worker = state.workers[event.worker]
    worker.status = WorkerStatus.JOINED
    life_begins(state, worker, worker.agents)


@folds(e.WorkerLost)
def _(state: SwarmState, event: e.WorkerLost) -> None:
    worker = state.workers[event.worker]
    worker.incarnation = max(worker.incarnation, event.incarnation)
    worker.pid = worker.started = None
    since = state.now_ms - RESTART_PERIOD_MS
    worker.deaths = [death for death in worker.deaths if death[0] > since]
    judged = event.judged or (FailureKind.KILLED if event.busy else event.kind)
    worker.deaths.append((state.now_ms, judged))
    count_death(state, event.judged or event.kind)
    if event.restart_at_ms is None:
        worker.status = WorkerStatus.FAILED
    else:
        worker.status = WorkerStatus.WANTED
        worker.restart_at_ms = event.restart_at_ms
    _departed(state, event.worker)
    _forget_unused(state, worker)


@folds(e.WorkerStopped)
def _(state: SwarmState, event: e.WorkerStopped) -> None:
    worker = state.workers[event.worker]
    worker.status = WorkerStatus.WANTED
    worker.pid = worker.started = None
    _departed(state, event.worker)
    _forget_unused(state, worker)


def _departed(state: SwarmState, worker: str) -> None:
    """Its process is gone, and with it what was to be ended in it."""
    forget_process(state, worker)
    process_ended(state, worker)
    if state.departing:
        for agent in [name for name, place in state.departing.items() if place == worker]:
            del state.departing[agent]


def _forget_unused(state: SwarmState, worker: WorkerState) -> None:
    """A worker without agent and process leaves. Its incarnations are not used again."""
    if not worker.agents and worker.status in (WorkerStatus.WANTED, WorkerStatus.FAILED):
        state.retired = max(state.retired, worker.incarnation)
        del state.workers[worker.id]
        worker_left(state, worker.id)


# Agents --------------------------------------------------------------------------------------


def _move_agent(state: SwarmState, agent: str, event: type[Event]) -> AgentState:
    found = state.agents[agent]
    found.status = next_agent_status(found.status, event, agent)
    return found


@folds(e.AgentSpawned)
def _(state: SwarmState, event: e.AgentSpawned) -> None:
    spec = event.spec
    state.agents[spec.id] = AgentState(spec, AgentStatus.CREATED, event.worker, {})
    worker = state.workers.get(event.worker)
    if worker is None:
        dedicated = spec.limits.memory_bytes is not None
        worker = WorkerState(event.worker, WorkerStatus.WANTED, dedicated, {}, state.retired)
        state.workers[event.worker] = worker
    worker.agents[spec.id] = None
    life_begins(state, worker, (spec.id,))
    state.matching.join(spec.id, offers_of(state, spec))
    state.roster.join(spec.id, spec.type)
    teams.came(state, spec.id)
    answer(state, event.command, Answer(state.now_ms, spec.id))


@folds(e.AgentInitialising)
def _(state: SwarmState, event: e.AgentInitialising) -> None:
    _move_agent(state, event.agent, e.AgentInitialising)


@folds(e.AgentReady)
def _(state: SwarmState, event: e.AgentReady) -> None:
    state.updating.pop(event.agent, None)
    state.supervised.batches.pop(event.agent, None)
    state.totals.idle[event.agent] = state.now_ms
    state.lives.began(event.agent)
    refresh(state, _move_agent(state, event.agent, e.AgentReady))


@folds(e.AgentErrored)
def _(state: SwarmState, event: e.AgentErrored) -> None:
    agent = _move_agent(state, event.agent, e.AgentErrored)
    state.totals.failed_agents[event.agent] = None
    agent.reason = event.reason
    refresh(state, agent)


@folds(e.AgentRecovering)
def _(state: SwarmState, event: e.AgentRecovering) -> None:
    had_failed = state.agents[event.agent].status is AgentStatus.FAILED
    agent = _move_agent(state, event.agent, e.AgentRecovering)
    if had_failed:
        state.matching.join(event.agent, offers_of(state, agent.spec))
        teams.came(state, event.agent)
        state.supervised.given_up.pop(event.agent, None)
        worker = state.workers[agent.worker]
        if worker.status is WorkerStatus.FAILED:
            worker.status = WorkerStatus.WANTED
            worker.restart_at_ms = 0
            worker.deaths = []
    refresh(state, agent)
    answer(state, event.command, Answer(state.now_ms, event.agent))


@folds(e.AgentFailed)
def _(state: SwarmState, event: e.AgentFailed) -> None:
    agent = _move_agent(state, event.agent, e.AgentFailed)
    agent.reason = event.reason
    state.matching.leave(event.agent)
    _forget_update(state, event.agent)
    teams.leaves(state, event.agent)


@folds(e.AgentDraining)
def _(state: SwarmState, event: e.AgentDraining) -> None:
    agent = _move_agent(state, event.agent, e.AgentDraining)
    state.draining[event.agent] = None
    refresh(state, agent)
    teams.leaves(state, event.agent)
    answer(state, event.command, Answer(state.now_ms, event.agent))


def _forget_update(state: SwarmState, agent: str) -> None:
    state.updating.pop(agent, None)
    state.moving.pop(agent, None)
    state.supervised.batches.pop(agent, None)


@folds(e.AgentUpdated)
def _(state: SwarmState, event: e.AgentUpdated) -> None:
    name = event.spec.id
    agent = _move_agent(state, name, e.AgentUpdated)
    if event.spec.limits != agent.spec.limits:
        ceiling_set(state, name)
    if event.moves:
        state.moving.setdefault(name, agent.spec.limits.memory_bytes)
    agent.spec = event.spec
    state.revisions[name] = event.revision
    state.updating[name] = None
    refresh(state, agent)
    answer(state, event.command, Answer(state.now_ms, name))


@folds(e.AgentRebuilt)
def _(state: SwarmState, event: e.AgentRebuilt) -> None:
    state.updating.pop(event.agent, None)
    state.supervised.batches.pop(event.agent, None)
    refresh(state, _move_agent(state, event.agent, e.AgentRebuilt))


@folds(e.AgentMoved)
def _(state: SwarmState, event: e.AgentMoved) -> None:
    agent = _move_agent(state, event.agent, e.AgentMoved)
    del state.moving[event.agent]
    agent_left(state, agent)
    del state.workers[agent.worker].agents[event.agent]
    state.departing[event.agent] = agent.worker
    agent.worker = event.worker
    worker = WorkerState(event.worker, WorkerStatus.WANTED, True, {}, state.retired)
    worker.agents[event.agent] = None
    state.workers[event.worker] = worker
    refresh(state, agent)


@folds(e.AgentDeparted)
def _(state: SwarmState, event: e.AgentDeparted) -> None:
    state.departing.pop(event.agent, None)


@folds(e.AgentTerminating)
def _(state: SwarmState, event: e.AgentTerminating) -> None:
    agent = state.agents[event.agent]
    was_failed = agent.status is AgentStatus.FAILED
    state.draining.pop(event.agent, None)
    _move_agent(state, event.agent, e.AgentTerminating)
    state.supervised.given_up.pop(event.agent, None)
    if not was_failed:
        state.matching.leave(event.agent)
    _forget_update(state, event.agent)
    teams.leaves(state, event.agent)
    answer(state, event.command, Answer(state.now_ms, event.agent))


@folds(e.AgentTerminated)
def _(state: SwarmState, event: e.AgentTerminated) -> None:
    agent = _move_agent(state, event.agent, e.AgentTerminated)
    del state.agents[event.agent]
    state.lives.ended(event.agent)
    state.totals.idle.pop(event.agent, None)
    state.totals.room.pop(event.agent, None)
    state.roster.leave(event.agent)
    if state.mail.number or state.mail.handling or state.mail.subscriptions:
        agent_gone(state, event.agent)
    state.records.forget(event.agent)
    ceiling_set(state, event.agent)
    if state.supervised.circuits:
        forget_agent(state, event.agent)
    state.revisions.pop(event.agent, None)
    state.supervised.debugging.pop(event.agent, None)
    worker = state.workers[agent.worker]
    agent_left(state, agent)
    del worker.agents[event.agent]
    _forget_unused(state, worker)
