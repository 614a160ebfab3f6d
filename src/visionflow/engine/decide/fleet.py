"""Decisions about the swarm, its agents, and the workers that host them."""

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentSpec, AgentStatus, WorkerStatus
from visionflow.domain.errors import LimitReached, Refused, UnknownAgent
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    CAPABILITIES_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.tasks import FailureKind
from visionflow.engine.decide import balloting
from visionflow.engine.decide.adopting import is_heard, recovered
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.building import cannot_be_built
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.draining import LIVE
from visionflow.engine.decide.table import decides
from visionflow.engine.decide.upkeep import check_upkeep
from visionflow.engine.decide.workers import is_current, lose_to_recovery
from visionflow.engine.state import SwarmState

Events = list[AnyEvent]
ABLE = (AgentStatus.READY, AgentStatus.PROCESSING)


@decides(c.CreateSwarm)
def _(state: SwarmState, command: c.CreateSwarm) -> Events:
    if state.spec is not None:
        raise Refused(f"This log belongs to swarm {state.spec.id}.", code="swarm_exists")
    return [e.SwarmCreated(spec=command.spec, command=command.command)]


@decides(c.CloseSwarm)
def _(state: SwarmState, command: c.CloseSwarm) -> Events:
    if state.closed is not None:
        raise Refused(f"The swarm is closed already: {state.closed}.", code="swarm_closed")
    closing = Closing(state)
    closing.events.append(e.SwarmClosed(reason=command.reason, command=command.command))
    for name in state.agents:
        _end_agent(state, closing, name, command.now_ms)
    return closing.events


@decides(c.Recover)
def _(state: SwarmState, command: c.Recover) -> Events:
    closing = Closing(state)
    taken_up = recovered(state, command.kept, command.kept_until_ms)
    closing.events.append(taken_up)
    for worker in state.workers.values():
        if worker.status in LIVE and worker.id not in taken_up.kept:
            lose_to_recovery(state, closing, worker, command.now_ms)
    return closing.events


# Agents --------------------------------------------------------------------------------------


def _place(state: SwarmState, spec: AgentSpec) -> str:
    """The worker for a new agent: one of its own if it has limits, else the emptiest shared.

    A shared one that failed for good is passed over, for the next number.
    """
    if state.spec is None or spec.limits.memory_bytes is not None:
        return f"own-{spec.id}"
    loads: dict[str, int] = {}
    number = 0
    while len(loads) < state.spec.limits.workers_max:
        number += 1
        worker = state.workers.get(f"w{number}")
        if worker is None or worker.status is not WorkerStatus.FAILED:
            loads[f"w{number}"] = 0 if worker is None else len(worker.agents)
    return min(loads, key=lambda name: loads[name])


@decides(c.SpawnAgent)
def _(state: SwarmState, command: c.SpawnAgent) -> Events:
    spec = command.spec
    if state.spec is None or state.closed is not None:
        raise Refused("The swarm takes no agents: it is closed.", code="swarm_closed")
    if spec.id in state.agents:
        raise Refused(f"There is an agent {spec.id} already.", code="duplicate_id")
    if spec.tasks_max < 1:
        raise Refused("An agent works on at least one task at once.", code="usage")
    texts = (spec.id, spec.type, spec.name, *spec.capabilities)
    if max(map(len, texts)) > WORD_CHARS_MAX or len(spec.capabilities) > CAPABILITIES_MAX:
        raise Refused(
            f"An agent has at most {CAPABILITIES_MAX} capabilities; they, its type and its name "
            f"have at most {WORD_CHARS_MAX} characters.",
            code="usage",
        )
    if spec.limits.memory_bytes is not None and spec.limits.memory_bytes < 1:
        raise Refused("A memory ceiling is at least 1 byte.", code="usage")
    check_upkeep(spec)
    count = len(state.agents)
    if count >= state.spec.limits.agents_max:
        raise LimitReached(
            f"The swarm has {count} agent{'' if count == 1 else 's'}; its limit is "
            f"{state.spec.limits.agents_max}.",
            hint="Terminate one, or raise the limit.",
        )
    worker = _place(state, spec)
    events: Events = [e.AgentSpawned(spec=spec, worker=worker, command=command.command)]
    host = state.workers.get(worker)
    if host is not None and host.status in (WorkerStatus.STARTING, WorkerStatus.JOINED):
        events.append(e.AgentInitialising(agent=spec.id))
    return events


@decides(c.TerminateAgent)
def _(state: SwarmState, command: c.TerminateAgent) -> Events:
    agent = state.agents.get(command.agent)
    if agent is None:
        raise UnknownAgent(f"No agent {command.agent} is alive.")
    if agent.status is AgentStatus.TERMINATING:
        raise Refused(f"Agent {command.agent} is terminating already.", code="already_ended")
    if command.drain and agent.open:
        if command.agent in state.draining:
            raise Refused(f"Agent {command.agent} is draining already.", code="already_ended")
        return [e.AgentDraining(agent=command.agent, command=command.command)]
    closing = Closing(state)
    _end_agent(state, closing, command.agent, command.now_ms, command.command)
    return closing.events


def _end_agent(
    state: SwarmState, closing: Closing, name: str, now_ms: int, command: str | None = None
) -> None:
    agent = state.agents[name]
    if agent.status is not AgentStatus.TERMINATING:
        closing.events.append(e.AgentTerminating(agent=name, command=command))
        balloting.leaves(closing, name, f"agent {name} was terminated")
        for task in agent.open:
            reason = f"agent {name} is terminating"
            end_attempt(closing, state.tasks[task], now_ms, Ending(FailureKind.AGENT_GONE, reason))
    if state.workers[agent.worker].status not in LIVE:
        closing.events.append(e.AgentTerminated(agent=name))


@decides(c.ReportAgentUp)
def _(state: SwarmState, command: c.ReportAgentUp) -> Events:
    name, agent = command.agent, state.agents.get(command.agent)
    if agent is None or not is_current(state, command.worker, command.incarnation):
        return []
    if not is_heard(state, command.worker):
        return []
    # What came from the worker before, or of a version before, says nothing of it now.
    if agent.worker != command.worker or command.revision != state.revisions.get(name, 0):
        return []
    if agent.status in (AgentStatus.INITIALISING, AgentStatus.RECOVERING):
        return [e.AgentReady(agent=name)]
    if agent.status in ABLE and name in state.updating and name not in state.moving:
        return [e.AgentRebuilt(agent=name, revision=command.revision)]
    return []


@decides(c.ReportAgentDown)
def _(state: SwarmState, command: c.ReportAgentDown) -> Events:
    name, agent = command.agent, state.agents.get(command.agent)
    if not is_current(state, command.worker, command.incarnation):
        return []
    if state.departing.get(name) == command.worker:
        if not command.ended:
            return []
        events: Events = [e.AgentDeparted(agent=name, worker=command.worker)]
        # Another of the same id may have been spawned there since, and ended too.
        if agent is not None and agent.worker == command.worker:
            if agent.status is AgentStatus.TERMINATING:
                events.append(e.AgentTerminated(agent=name))
        return events
    if agent is None or agent.worker != command.worker:
        return []
    if agent.status is AgentStatus.TERMINATING:
        return [e.AgentTerminated(agent=name)]
    if command.revision != state.revisions.get(name, 0):
        return []
    return cannot_be_built(state, agent, command)
