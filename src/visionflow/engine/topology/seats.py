"""Seats of a hierarchy, as words of the matching index: what is meant for a team, or for its lead,
goes to whoever sits there.

While a swarm has no teams, or is no hierarchy now, there are no seats and matching is as ever.
"""

from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskSpec
from visionflow.domain.teams import (
    LEAD_PREFIX,
    LEADS,
    MANAGER,
    TEAM_PREFIX,
    Seated,
    TeamView,
    lead_word,
    team_word,
)
from visionflow.engine.matching import GroupKey, needs, offers
from visionflow.engine.state import AgentState, SwarmState
from visionflow.engine.topology.rules import topology_in_force

UNDECIDED = TEAM_PREFIX
"""Nobody offers it: the manager has yet to give the task to a team."""
KEPT = ""
"""In the place of a team: the manager kept it, and anybody may take it who can."""
OF_A_TEAM = (TEAM_PREFIX, LEAD_PREFIX)
"""What words of seats in a team begin with; equally long."""
SEATS = (*OF_A_TEAM, "rank:")
ONE = (LEAD_PREFIX, MANAGER)
"""What words begin with that one agent at most offers."""
LOST = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)


def has_seats(state: SwarmState) -> bool:
    """Whether there are teams and the swarm is a hierarchy now."""
    return bool(state.teams.teams) and topology_in_force(state) is Topology.HIERARCHICAL


def is_meant_for_a_seat(spec: TaskSpec) -> bool:
    """Whether a task names an agent or a seat, so that there is no team to choose for it."""
    if spec.agent is not None:
        return True
    return any(word.startswith(SEATS) and word != LEADS for word in spec.capabilities)


def is_delegable(state: SwarmState, spec: TaskSpec) -> bool:
    """Whether the manager gives this task to a team before anybody is matched to it."""
    return has_seats(state) and not is_meant_for_a_seat(spec)


def asked_team(spec: TaskSpec) -> str | None:
    """The team whose seat a task asks for, whether there is one of that name or not; `None`: it
    asks for none."""
    for word in spec.capabilities:
        if word.startswith(OF_A_TEAM):
            return word[len(UNDECIDED) :]
    return None


def team_with(state: SwarmState, spec: TaskSpec) -> str | None:
    """The team that has a task now: the manager gave it to that team, or it asks for one of its
    seats. `None`: no team has it, be it that the manager kept it or has yet to choose."""
    team = state.teams.delegated.get(spec.id) or asked_team(spec)
    return team if team in state.teams.teams else None


def key_of(state: SwarmState, spec: TaskSpec) -> GroupKey:
    """What a task asks for, in the words of the matching index, its team's included."""
    if not state.teams.teams or is_meant_for_a_seat(spec):
        return spec.capabilities, spec.agent_type, spec.agent
    if not has_seats(state):
        # Teams choose nothing now: whoever manages leads it.
        led = LEADS in spec.capabilities
        return ((MANAGER,), None, None) if led else (spec.capabilities, spec.agent_type, None)
    team = state.teams.delegated.get(spec.id)
    if team is None:
        return (*spec.capabilities, UNDECIDED), spec.agent_type, None
    if LEADS in spec.capabilities:
        return (MANAGER if team == KEPT else lead_word(team),), None, None
    if team == KEPT:
        return spec.capabilities, spec.agent_type, None
    return (*spec.capabilities, team_word(team)), spec.agent_type, None


def wanted_of(spec: TaskSpec) -> frozenset[str]:
    """What a task asks for of whoever works on it, without the words of seats."""
    capabilities = tuple(word for word in spec.capabilities if word != LEADS)
    return needs((capabilities, spec.agent_type, None))


def can(state: SwarmState, team: str, spec: TaskSpec) -> bool:
    """Whether anybody in a team has all that a task asks for."""
    wanted = wanted_of(spec)
    people = seated(state, team)
    return any(wanted <= offers(a.spec.capabilities, a.spec.type) for a in people)


def offers_of(state: SwarmState, spec: AgentSpec) -> frozenset[str]:
    """What an agent offers, the words of its seat included."""
    offered = offers(spec.capabilities, spec.type)
    teams = state.teams
    if teams.manager is None and not teams.teams:
        return offered
    return offered | frozenset(_seat_words(state, spec.id))


def _seat_words(state: SwarmState, agent: str) -> list[str]:
    words: list[str] = []
    if state.teams.manager == agent:
        words.append(MANAGER)
    team = state.seating.team_of.get(agent)
    if team is not None:
        words.append(team_word(team))
        if state.teams.teams[team].lead == agent:
            # With one word more than its members, so that those come first.
            words.append(lead_word(team))
    return words


def sits(state: SwarmState, word: str) -> str | None:
    """Who sits where this word of `ONE` says."""
    if word == MANAGER:
        return state.teams.manager
    team = state.teams.teams.get(word.removeprefix(LEAD_PREFIX))
    return None if team is None else team.lead


def is_staying(state: SwarmState, agent: str | None) -> bool:
    """Whether an agent keeps its seat: it lives, or is being restarted, and nobody ends it."""
    found = None if agent is None else state.agents.get(agent)
    return found is not None and found.status not in LOST and agent not in state.draining


def team_view(state: SwarmState, agent: str | None) -> TeamView:
    """The team of an agent, as its lead sees it; one without a name where it is in none."""
    name = None if agent is None else state.seating.team_of.get(agent)
    if name is None:
        return TeamView()
    lead = state.teams.teams[name].lead
    members = tuple(
        Seated(
            each.spec.id,
            each.spec.type,
            each.spec.capabilities,
            each.spec.tasks_max,
            len(each.open),
            each.completed,
            each.failed,
        )
        for each in seated(state, name)
        if each.spec.id != lead
    )
    return TeamView(name, lead, members)


def seated(state: SwarmState, team: str) -> list[AgentState]:
    """Who is in a team and stays, the lead first."""
    found = state.teams.teams[team]
    names = [*([] if found.lead is None else [found.lead]), *found.members]
    return [state.agents[name] for name in names if is_staying(state, name)]
