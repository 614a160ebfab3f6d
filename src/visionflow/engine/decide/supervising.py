"""Decisions about restarts: of an agent that somebody wants anew, and of a worker's siblings.

A worker that dies is started again by its own restart intensity (`recovering.restart_at`). Above
that stands its swarm, as a supervisor of OTP does: its strategy says who is started again beside
it, its intensity how many deaths it bears. What does not come back makes the swarm degraded, until
each such agent was started again by hand, or was ended.
"""

from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import Refused, UnknownAgent
from visionflow.domain.events import AnyEvent
from visionflow.domain.supervision import RestartStrategy, SupervisionSpec
from visionflow.domain.tasks import FailureKind
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.circuits import agent_anew
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.draining import LIVE
from visionflow.engine.decide.table import decides
from visionflow.engine.evolve.supervising import NOT_ITS_OWN
from visionflow.engine.state import AgentState, SwarmState, WorkerState

Events = list[AnyEvent]
NAMED_MAX = 5
"""Agents that a reason names."""


@decides(sc.RestartAgent)
def _(state: SwarmState, command: sc.RestartAgent) -> Events:
    name, agent = command.agent, state.agents.get(command.agent)
    if agent is None:
        raise UnknownAgent(f"No agent {name} is alive.")
    if state.closed is not None:
        raise Refused("No agent of the swarm is restarted: it is closed.", code="swarm_closed")
    if agent.status is AgentStatus.TERMINATING or name in state.draining:
        raise Refused(f"Agent {name} is terminating.", code="already_ended")
    worker, forgotten = state.workers[agent.worker], agent_anew(state, name)
    if agent.status is AgentStatus.FAILED:
        # What its worker may still say of the version that failed must not count for the new one.
        return [
            e.AgentRecovering(agent=name, command=command.command),
            _anew(state, agent, command.reason),
            *forgotten,
        ]
    if worker.dedicated and worker.status in LIVE:
        fate = s.WorkerRecycling if command.drain and agent.open else s.WorkerRestarting
        return [
            fate(
                worker=worker.id,
                incarnation=worker.incarnation,
                reason=command.reason,
                command=command.command,
            ),
            *forgotten,
        ]
    closing = Closing(state)
    closing.events.append(_anew(state, agent, command.reason, command.command))
    if not command.drain:
        for task in agent.open:
            reason = f"agent {name} is built anew: {command.reason}"
            ending = Ending(FailureKind.AGENT_GONE, reason, excused=True)
            end_attempt(closing, state.tasks[task], command.now_ms, ending)
    closing.events.extend(forgotten)
    return closing.events


def _anew(
    state: SwarmState, agent: AgentState, reason: str, command: str | None = None
) -> e.AgentUpdated:
    """The next version of an agent, which is what it was."""
    name = agent.spec.id
    return e.AgentUpdated(
        spec=agent.spec,
        revision=state.revisions.get(name, 0) + 1,
        moves=name in state.moving,
        reason=reason,
        command=command,
    )


def bears_no_more(state: SwarmState, kind: FailureKind, now_ms: int) -> str | None:
    """Why the swarm does not bear this death of a worker, if it does not."""
    supervision = _supervision(state)
    if supervision.restarts_max is None or kind in NOT_ITS_OWN:
        return None
    recent = [at for at in state.supervised.deaths if at > now_ms - supervision.period_ms]
    if len(recent) < supervision.restarts_max:
        return None
    return (
        f"{len(recent) + 1} workers died by themselves within {supervision.period_ms} ms, and "
        f"the swarm bears {supervision.restarts_max}"
    )


def restart_siblings(state: SwarmState, closing: Closing, dead: WorkerState) -> None:
    """Have the processes end that are to start anew together with this one."""
    strategy = _supervision(state).strategy
    if strategy is RestartStrategy.ONE_FOR_ONE or state.closed is not None:
        return
    after = strategy is RestartStrategy.ONE_FOR_ALL
    for worker in state.workers.values():
        if worker is dead:
            after = True
        elif after and worker.status in LIVE and worker.id not in state.supervised.restarting:
            reason = f"worker {dead.id} died, and the swarm's strategy is {strategy}"
            closing.events.append(
                s.WorkerRestarting(worker=worker.id, incarnation=worker.incarnation, reason=reason)
            )


def _supervision(state: SwarmState) -> SupervisionSpec:
    return SupervisionSpec() if state.spec is None else state.spec.supervision


def degrade(closing: Closing, why: str, agents: list[str]) -> None:
    """These agents do not come back by themselves."""
    if not agents:
        return
    told = ", ".join(agents[:NAMED_MAX])
    if len(agents) > NAMED_MAX:
        told = f"{told} and {len(agents) - NAMED_MAX} more"
    closing.events.append(
        s.SwarmDegraded(reason=f"{why}; not started again: {told}", agents=tuple(agents))
    )


def restored(state: SwarmState) -> s.SwarmRestored | None:
    """That a degraded swarm is whole again, if it is."""
    sup = state.supervised
    if sup.degraded is None or sup.given_up or state.closed is not None:
        return None
    return s.SwarmRestored(reason="every agent that was given up is started again, or was ended")
