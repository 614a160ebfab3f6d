"""To whom an agent may delegate a task: to those it may speak to. Pure.

A task that names nobody is matched as any other: by the swarm, not by the agent.
"""

from visionflow.domain.tasks import TaskSpec
from visionflow.domain.teams import MANAGER, is_leading, lead_word, team_word
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import manager_of, may_speak

WAY_OUT = "Or name no agent: then the swarm gives it to whoever can do it."


def may_delegate(state: SwarmState, agent: str, spec: TaskSpec) -> str | None:
    """`None`: the agent may have this task done as it says. Else why not, and what to do."""
    named = [] if spec.agent is None else [spec.agent]
    # What a manager sends back to the lead that had it goes on when the topology has changed since.
    sent_down = is_leading(spec.type) and agent == state.teams.manager
    for word in () if sent_down else spec.capabilities:
        named.extend(_seated(state, word))
    for name in named:
        why = may_speak(state, agent, name)
        if why is not None:
            return f"{agent} may not delegate to {name}. {why} {WAY_OUT}"
    return None


def _seated(state: SwarmState, word: str) -> list[str]:
    """Of a word for a seat: whom one has to be allowed to speak to for using it."""
    if word == MANAGER:
        manager = manager_of(state)
        return [] if manager is None else [manager]
    name = word.partition(":")[2]
    team = state.teams.teams.get(name)
    if team is None:
        return []
    if word in (lead_word(name), team_word(name)):
        return [] if team.lead is None else [team.lead]
    return []
