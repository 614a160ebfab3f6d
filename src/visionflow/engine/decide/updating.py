"""Decisions about changes of what is there: what an agent is, and how many there may be.

An update holds from the agent's next task on. Until then it gets none: not before its worker has
confirmed that it built the new version, and where the memory ceiling changes, not before the agent
has moved, idle, to a process of its own that was started with the new ceiling.
"""

from msgspec.structs import replace

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus, ResourceLimits
from visionflow.domain.errors import Refused, UnknownAgent
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import INLINE_BYTES_MAX
from visionflow.engine.decide.table import decides
from visionflow.engine.state import AgentState, SwarmState

Events = list[AnyEvent]


@decides(c.ChangeLimits)
def _(state: SwarmState, command: c.ChangeLimits) -> Events:
    if state.spec is None or state.closed is not None:
        raise Refused("The swarm has no limits to change: it is closed.", code="swarm_closed")
    if command.agents_max < 1:
        raise Refused(
            f"A swarm has at least 1 agent, not {command.agents_max}.",
            code="usage",
            hint="End a swarm that is not needed any more.",
        )
    return [e.LimitsChanged(agents_max=command.agents_max, command=command.command)]


@decides(c.UpdateAgent)
def _(state: SwarmState, command: c.UpdateAgent) -> Events:
    name, agent = command.agent, state.agents.get(command.agent)
    if agent is None:
        raise UnknownAgent(f"No agent {name} is alive.")
    _may_change(state, agent)
    _sound(command)
    spec = agent.spec
    if command.config is not None:
        spec = replace(spec, config=command.config)
    if command.tasks_max is not None:
        spec = replace(spec, tasks_max=command.tasks_max)
    if command.memory_bytes is not None:
        spec = replace(spec, limits=ResourceLimits(memory_bytes=command.memory_bytes))
    updated = e.AgentUpdated(
        spec=spec,
        revision=state.revisions.get(name, 0) + 1,
        moves=name in state.moving or spec.limits != agent.spec.limits,
        command=command.command,
    )
    # What it failed for may be just what is changed: it is built again, as it is now.
    failed = agent.status is AgentStatus.FAILED
    return [e.AgentRecovering(agent=name), updated] if failed else [updated]


def _may_change(state: SwarmState, agent: AgentState) -> None:
    name = agent.spec.id
    if state.closed is not None:
        raise Refused("The swarm's agents do not change: it is closed.", code="swarm_closed")
    if agent.status is AgentStatus.TERMINATING or name in state.draining:
        raise Refused(f"Agent {name} is terminating.", code="already_ended")


def _sound(command: c.UpdateAgent) -> None:
    asked = (command.config, command.tasks_max, command.memory_bytes)
    if all(each is None for each in asked):
        raise Refused("Nothing is to be changed.", code="usage")
    for number, what in (
        (command.tasks_max, "An agent works on at least one task at once."),
        (command.memory_bytes, "A memory ceiling is at least 1 byte."),
    ):
        if number is not None and number < 1:
            raise Refused(what, code="usage")
    if command.config is not None and len(command.config.inline or b"") > INLINE_BYTES_MAX:
        raise Refused(
            f"A configuration above {INLINE_BYTES_MAX} bytes must travel by blob.",
            code="payload_too_large",
        )


def next_move(state: SwarmState) -> e.AgentMoved | None:
    """The next agent that was to move and may do so now. Fold it before asking again."""
    for name in state.moving:
        agent = state.agents[name]
        if agent.status is AgentStatus.READY and name not in state.draining:
            return e.AgentMoved(agent=name, worker=own_place(state, name, state.revisions[name]))
    return None


def own_place(state: SwarmState, agent: str, revision: int) -> str:
    """A name for a worker of an agent's own that no worker has, nor one that another agent may be
    spawned on, which is `own-<id>`."""
    number = revision
    while f"own{number}-{agent}" in state.workers:
        number += 1
    return f"own{number}-{agent}"
