"""Who may talk to whom in a swarm, by the topology in force. Pure, over the state.

All of it is about the agents of one swarm. What comes from outside is no agent's and reaches
everybody, and an answer may always go back to who asked: whoever sends those does not ask here.
"""

from collections.abc import Callable

from visionflow.domain.agents import AgentStatus
from visionflow.domain.swarms import Strategy, Topology
from visionflow.engine.roster import COORDINATOR
from visionflow.engine.state import SwarmState

NOT_ALLOWED = "not_allowed"
"""The code of a refusal by these rules."""
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)
STAGES = ("researcher", COORDINATOR, "architect", "coder", "reviewer", "tester")
"""The order of stages; other types come after, in the order in which the first of each joined."""


def topology_in_force(state: SwarmState) -> Topology:
    """Whose rules hold now. An adaptive swarm begins as a hierarchical one."""
    now = state.shape.now
    if now is not None:
        return now
    if state.spec is None or state.spec.topology is Topology.ADAPTIVE:
        return Topology.HIERARCHICAL
    return state.spec.topology


def follow(state: SwarmState) -> None:
    """The topology in force has come, or the swarm itself: keep what is asked for all the time."""
    topology = topology_in_force(state)
    strategy = Strategy.CENTRALIZED if state.spec is None else state.spec.strategy
    state.by_load = strategy is Strategy.BALANCED
    state.is_mesh = topology is Topology.MESH
    plain = topology in (Topology.HIERARCHICAL, Topology.SEQUENTIAL)
    state.is_indexed = plain and strategy in (Strategy.CENTRALIZED, Strategy.BALANCED)


def is_living(state: SwarmState, agent: str) -> bool:
    """Whether an agent is there to stay, as far as is known; it may be waiting for its process."""
    found = state.agents.get(agent)
    return found is not None and found.status not in GONE


def centre_of(state: SwarmState) -> str | None:
    """Of a star, its centre; of a hierarchy, its manager; `None`: the swarm has none now."""
    topology = topology_in_force(state)
    if topology is Topology.HIERARCHICAL:
        return manager_of(state)
    if topology is Topology.STAR:
        coordinator = _first_coordinator(state)
        return coordinator or next((a for a in state.agents if is_living(state, a)), None)
    return None


def manager_of(state: SwarmState) -> str | None:
    """The manager that was named, while it lives; else the first living coordinator."""
    named = state.teams.manager
    if named is not None and is_living(state, named):
        return named
    return _first_coordinator(state)


def _first_coordinator(state: SwarmState) -> str | None:
    found = state.roster.coordinators
    return next((agent for agent in found if is_living(state, agent)), None)


def superior_of(state: SwarmState, agent: str) -> str | None:
    """Whom an agent reports to in a hierarchy: a member its lead, everybody else the manager."""
    manager = manager_of(state)
    if manager == agent:
        return None
    team = state.seating.team_of.get(agent)
    lead = None if team is None else state.teams.teams[team].lead
    if lead is None or lead == agent or not is_living(state, lead):
        return manager
    return lead


# Stages ----------------------------------------------------------------------------------------


def stages(state: SwarmState) -> list[str]:
    """Types of which an agent lives, in the order in which work goes through them."""
    first: dict[str, tuple[int, int]] = {}
    for agent_type in state.roster.types:
        for agent in state.roster.of_type(agent_type):
            if is_living(state, agent):
                first[agent_type] = (stage_rank(agent_type), state.roster.place(agent) or 0)
                break
    return sorted(first, key=lambda agent_type: first[agent_type])


def stage_rank(agent_type: str) -> int:
    """The place of a type among the stages that have a fixed one; those without come last."""
    return STAGES.index(agent_type) if agent_type in STAGES else len(STAGES)


def _type_of(state: SwarmState, agent: str) -> str:
    return state.agents[agent].spec.type


# Who may talk to whom --------------------------------------------------------------------------


def may_speak(state: SwarmState, sender: str, to: str) -> str | None:
    """`None`: an agent may send a message to another one. Else one sentence that names the rule
    and what to do."""
    if sender == to:
        return None
    for name in (sender, to):
        found = state.agents.get(name)
        if found is None:
            return f"No agent {name} is alive, so nothing can be said to it or by it."
        if found.status in GONE:
            return (
                f"Agent {name} is {found.status}; nothing is said to it or by it until it is "
                "restarted."
            )
    return _RULES[topology_in_force(state)](state, sender, to)


def _hierarchical(state: SwarmState, sender: str, to: str) -> str | None:
    above = superior_of(state, sender)
    if above == to or superior_of(state, to) == sender:
        return None
    rule = "In a hierarchical swarm agents speak along the reporting lines only"
    if above is None and manager_of(state) is None:
        return f"{rule}, and this one has no manager: add an agent of type {COORDINATOR}."
    if above is None:
        return f"{rule}, and {to} does not report to {sender}: send it to the lead of its team."
    return f"{rule}: {sender} reports to {above}, so send it there."


def _mesh(state: SwarmState, sender: str, to: str) -> str | None:
    return None


def _sequential(state: SwarmState, sender: str, to: str) -> str | None:
    order = stages(state)
    own, other = order.index(_type_of(state, sender)), order.index(_type_of(state, to))
    if abs(own - other) <= 1:
        return None
    near = " or ".join(order[place] for place in (own - 1, own + 1) if 0 <= place < len(order))
    return (
        "In a sequential swarm an agent speaks within its stage and with the stages just before "
        f"and after only: {to} is a {order[other]}, so pass it on through a {near}."
    )


def _star(state: SwarmState, sender: str, to: str) -> str | None:
    centre = centre_of(state)
    if centre in (sender, to):
        return None
    return f"In a star agents speak with the centre only: send it to {centre}."


def _ring(state: SwarmState, sender: str, to: str) -> str | None:
    after = successor_of(state, sender)
    if after == to:
        return None
    return (
        f"In a ring an agent speaks to the next one only, in the order of joining: send it to "
        f"{after}, which may pass it on."
    )


_RULES: dict[Topology, Callable[[SwarmState, str, str], str | None]] = {
    Topology.HIERARCHICAL: _hierarchical,
    Topology.MESH: _mesh,
    Topology.SEQUENTIAL: _sequential,
    Topology.STAR: _star,
    Topology.RING: _ring,
}


def successor_of(state: SwarmState, agent: str) -> str | None:
    """The next living agent of a ring; `None`: there is no other."""
    return next((a for a in state.roster.after(agent) if is_living(state, a)), None)
