"""Decisions about agents that cannot be built, and about configurations that a crash finds fault
with: where the agent's strategy may, the key at fault is taken out and it is built again."""

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.events import AnyEvent
from visionflow.domain.supervision import Advice, Cause
from visionflow.domain.tasks import NOTHING, FailureKind, Payload
from visionflow.engine.decide import balloting
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.recovering import said_of
from visionflow.engine.decide.supervising import degrade
from visionflow.engine.diagnosis import Diagnosis, diagnose
from visionflow.engine.state import AgentState, SwarmState

Events = list[AnyEvent]
VERSIONS_MAX = 20
"""Of an agent, up to which a strategy may give it another configuration."""
NOT_AGAIN = "it is not built again until somebody restarts it"
UP = (AgentStatus.READY, AgentStatus.PROCESSING)


def cannot_be_built(state: SwarmState, agent: AgentState, command: c.ReportAgentDown) -> Events:
    """The worker of an agent could not build the version that holds."""
    if agent.status not in (*UP, AgentStatus.INITIALISING, AgentStatus.RECOVERING):
        return []
    name, closing = agent.spec.id, Closing(state)
    found = finding(agent.spec, command.reason)
    advised = reconfigured(state, agent, command.advice)
    if advised is not None:
        action = f"it is built with another configuration{said_of(command.advice)}"
        return [_chosen(agent, found, action), advised]
    mended = mend(state, agent, found)
    if mended is not None:
        return [_chosen(agent, found, "that is taken out, and it is built again"), mended]
    closing.events.append(_chosen(agent, found, NOT_AGAIN))
    if agent.status is not AgentStatus.RECOVERING:
        closing.events.append(
            e.AgentErrored(agent=name, kind=FailureKind.ERROR, reason=command.reason)
        )
    closing.events.append(e.AgentFailed(agent=name, reason=command.reason))
    balloting.leaves(closing, name, f"agent {name} failed: {command.reason}")
    for task in agent.open:
        ending = Ending(FailureKind.AGENT_GONE, command.reason)
        end_attempt(closing, state.tasks[task], command.now_ms, ending)
    if agent.status is not AgentStatus.INITIALISING:
        # One that never was there is missed by nobody.
        degrade(closing, f"it cannot be built: {command.reason}", [name])
    return closing.events


def finding(spec: AgentSpec, words: str) -> Diagnosis | None:
    """What words of a failure say of an agent."""
    return diagnose(words, _config_of(spec)) if words else None


def mend(state: SwarmState, agent: AgentState, found: Diagnosis | None) -> e.AgentUpdated | None:
    """The agent without the key of its configuration that is at fault, where its strategy may."""
    if found is None or found.key is None or not agent.spec.recovery.mends_config:
        return None
    name, config = agent.spec.id, dict(_config_of(agent.spec))
    del config[found.key]
    packed = Payload(inline=msgspec.msgpack.encode(config)) if config else NOTHING
    return e.AgentUpdated(
        spec=replace(agent.spec, config=packed),
        revision=state.revisions.get(name, 0) + 1,
        moves=name in state.moving,
        reason=f"{found.key!r} was taken out of its configuration: {found.line}",
    )


def reconfigured(
    state: SwarmState, agent: AgentState, advice: Advice | None
) -> e.AgentUpdated | None:
    """The agent with the configuration that a strategy of the user's gives it, if it is another.
    One that was changed often is not changed again: such advice might never come to an end."""
    name, config = agent.spec.id, None if advice is None else advice.config
    version = state.revisions.get(name, 0)
    if config is None or config == agent.spec.config or version >= VERSIONS_MAX:
        return None
    return e.AgentUpdated(
        spec=replace(agent.spec, config=config),
        revision=version + 1,
        moves=name in state.moving,
        reason=f"strategy {agent.spec.recovery.name} gave it another configuration",
    )


def _chosen(agent: AgentState, found: Diagnosis | None, action: str) -> s.RecoveryChosen:
    told = f"{found.told}: " if found is not None and found.told else ""
    return s.RecoveryChosen(
        cause=Cause.CRASH,
        strategy=agent.spec.recovery.name,
        action=f"{told}{action}",
        agent=agent.spec.id,
        worker=agent.worker,
    )


def _config_of(spec: AgentSpec) -> dict[str, Any]:
    """A configuration that stands in the log; of one that is kept elsewhere nothing is known."""
    if spec.config.inline is None:
        return {}
    found = msgspec.msgpack.decode(spec.config.inline)
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in cast("dict[Any, Any]", found).items() if type(key) is str}
