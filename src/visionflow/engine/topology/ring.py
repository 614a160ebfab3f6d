"""The token of a ring: the next agent after the last one that was given something, and able to do
the task, gets it. Pure."""

from collections.abc import Container

from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import is_living


def next_in_ring(state: SwarmState, able: Container[str]) -> tuple[str, int] | None:
    """The agent to which the token goes, and how many living ones are passed over on its way;
    `None`: none of those that are able is there."""
    over = 0
    token, place = state.assigning.token, state.assigning.token_place
    for agent in state.roster.onward(token, place):
        if agent in able:
            return agent, over
        over += is_living(state, agent)
    return None
