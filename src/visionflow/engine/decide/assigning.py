"""Decisions on who is given the next task in line, and in whose name.

Where the best agent of the matching index is the one, that is the assignment. Else the topology
or the strategy chooses among those that could take the task; what is decided has an event of its
own where it rests on more than a score, and the assignment follows it.
"""

from visionflow.domain import assigning_events as ae
from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent
from visionflow.domain.swarms import Strategy, Topology
from visionflow.engine.places import places_taken
from visionflow.engine.scoring import score_bp
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.choosing import (
    bidding,
    candidates,
    specialist,
    wants_bids,
)
from visionflow.engine.topology.ring import next_in_ring
from visionflow.engine.topology.rules import centre_of, manager_of, topology_in_force

HIERARCHICAL = Topology.HIERARCHICAL


def next_assignment(state: SwarmState) -> AnyEvent | None:
    """The next assignment to fold, or what it rests on; nothing, if nothing more can be assigned
    now. Fold it before asking again."""
    matching = state.matching
    if matching.idle or state.closed is not None:
        return None
    found = matching.best()
    if found is None:
        return None
    task, agent = found
    if state.is_indexed:
        return assigned(state, task, agent)
    chosen = state.assigning.chosen
    if chosen is not None and chosen[0] == task and _stands(state, chosen[1]):
        return assigned(state, task, chosen[1])
    return _choice(state, task, agent)


def _stands(state: SwarmState, agent: str) -> bool:
    """Whether a decision for this agent still holds, should something have come in between."""
    level = state.matching.room(agent)
    if level is None or level < 0:
        return False
    return topology_in_force(state) is not Topology.RING or state.assigning.token == agent


def assigned(state: SwarmState, task: str, agent: str) -> e.TaskAssigned:
    """The assignment of a queued task to an agent."""
    member = state.agents[agent]
    score = score_bp(
        member.completed,
        member.failed,
        member.mean_us,
        places_taken(state, member),
        member.spec.tasks_max,
    )
    number = state.tasks[task].attempt + 1
    heads = state.roster.coordinators or state.teams.manager is not None or state.teams.teams
    by = assigner_of(state, task) if heads or not state.is_indexed else None
    return e.TaskAssigned(task=task, attempt=number, agent=agent, score_bp=score, by=by)


def assigner_of(state: SwarmState, task: str) -> str | None:
    """The agent in whose name a task is assigned: of a star the centre, of a hierarchy the lead of
    the team that has it, or the manager. `None`: there is none, or nobody in particular."""
    topology = topology_in_force(state)
    if topology is HIERARCHICAL:
        teams = state.teams
        if teams.teams:
            team = teams.teams.get(teams.delegated.get(task, ""))
            if team is not None and team.lead is not None:
                return team.lead
        if state.roster.coordinators or teams.manager is not None:
            return manager_of(state)
        return None
    return centre_of(state) if topology is Topology.STAR else None


def _choice(state: SwarmState, task: str, best: str) -> AnyEvent:
    """Who is given a task that the matching index would give to its best agent."""
    spec, topology = state.tasks[task].spec, topology_in_force(state)
    key = state.matching.key_of(task)
    pinned = key[2] is not None
    names = [best] if pinned else candidates(state, key)
    if topology is Topology.RING:
        passed = next_in_ring(state, dict.fromkeys(names))
        if passed is not None:
            return ae.TokenPassed(
                task=task,
                agent=passed[0],
                before=state.assigning.token,
                over=passed[1],
                pinned=pinned,
            )
    elif not pinned and topology is not Topology.MESH:
        strategy = Strategy.CENTRALIZED if state.spec is None else state.spec.strategy
        if strategy is Strategy.SPECIALIZED:
            return assigned(state, task, specialist(state, names, spec.type))
        if wants_bids(state, names, spec.type):
            found = bidding(state, names, key, spec.type)
            return ae.BidsPlaced(
                task=task,
                agent=found.winner,
                bids=found.bids,
                able=found.able,
                likely_us=found.likely_us,
            )
        return assigned(state, task, names[0])
    return assigned(state, task, best)
