"""Decisions about keeping an agent's lines of level debug."""

from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.errors import Refused, UnknownAgent
from visionflow.domain.events import AnyEvent
from visionflow.engine.decide.table import decides
from visionflow.engine.state import SwarmState


@decides(sc.EnableDebug)
def _(state: SwarmState, command: sc.EnableDebug) -> list[AnyEvent]:
    if state.closed is not None:
        raise Refused("The swarm's agents do nothing more: it is closed.", code="swarm_closed")
    if command.agent not in state.agents:
        raise UnknownAgent(f"No agent {command.agent} is alive.")
    return [
        s.DebugEnabled(
            agent=command.agent,
            # An end that has passed already means: no more from now on.
            until_ms=max(command.until_ms, command.now_ms),
            command=command.command,
        )
    ]
