"""How many places of an agent are taken. Pure.

Leading others takes none, as long as it is not too much of it.
"""

from visionflow.domain.teams import LEADING_MAX, is_leading
from visionflow.engine.state import AgentState, SwarmState


def places_taken(state: SwarmState, agent: AgentState) -> int:
    """Of what an agent holds, how much takes a place."""
    held = len(agent.open)
    if held and state.teams.teams:
        held -= led_by(state, agent)
    return held


def led_by(state: SwarmState, agent: AgentState) -> int:
    """Of what an agent holds, how much takes no place: it only leads others there."""
    count = leading(state, agent)
    return count if count <= LEADING_MAX else 0


def leading(state: SwarmState, agent: AgentState) -> int:
    """Of what an agent holds, how much it does by leading others."""
    return sum(is_leading(state.tasks[name].spec.type) for name in agent.open)
