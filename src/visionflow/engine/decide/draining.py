"""Agents that were told to finish what they hold, and then to end."""

from visionflow.domain import events as e
from visionflow.domain.agents import WorkerStatus
from visionflow.engine.decide import balloting
from visionflow.engine.decide.closing import Closing
from visionflow.engine.state import SwarmState

LIVE = (WorkerStatus.STARTING, WorkerStatus.JOINED, WorkerStatus.STOPPING)


def drained(state: SwarmState) -> list[str]:
    """Those that hold nothing any more, in the order in which they were told."""
    return [name for name in state.draining if not state.agents[name].open]


def end_drained(closing: Closing) -> None:
    """Their end. It is no part of what released them, so that no other rule has to know."""
    state, events = closing.state, closing.events
    for name in drained(state):
        events.append(e.AgentTerminating(agent=name))
        balloting.leaves(closing, name, f"agent {name} was terminated")
        if state.workers[state.agents[name].worker].status not in LIVE:
            events.append(e.AgentTerminated(agent=name))
