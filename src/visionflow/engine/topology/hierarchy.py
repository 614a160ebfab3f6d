"""What a manager decides, from figures alone: which team gets a task, who takes a vacant seat, and
what is to come before it. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TaskSpec
from visionflow.domain.teams import (
    ATTEMPTS_MIN,
    LEADS,
    LIKE_MIN,
    OVERDUE_FACTOR,
    OVERDUE_MS_MIN,
    SUCCESS_BP,
    Fit,
    is_leading,
)
from visionflow.engine.circuits import holds
from visionflow.engine.matching import offers
from visionflow.engine.state import AgentState, SwarmState, TaskState
from visionflow.engine.teams import TeamState
from visionflow.engine.topology.rules import COORDINATOR
from visionflow.engine.topology.seats import (
    KEPT,
    has_seats,
    is_staying,
    seated,
    team_with,
    wanted_of,
)

DOMAIN_BP, PAST_BP, CAPACITY_BP, ABLE_BP = 4_000, 3_000, 2_000, 1_000
PRIOR = 4
"""A record counts as if so many had succeeded before."""
UP = (AgentStatus.READY, AgentStatus.PROCESSING)


# Which team ------------------------------------------------------------------------------------


def fits(state: SwarmState, spec: TaskSpec, more: Mapping[str, int] | None = None) -> list[Fit]:
    """The teams in which somebody has all that a task asks for, the best first; of equal ones that
    which was formed first. Those whose able ones, or whose lead where that is to lead it, are held
    by open circuits only where there is no other. `more`: tasks that go to teams in the same
    decision."""
    wanted = wanted_of(spec)
    found = [
        fit
        for name, team in state.teams.teams.items()
        if (fit := _fit(state, name, team, spec, wanted, more or {})) is not None
    ]
    now = [fit for fit in found if fit.able]
    return sorted(now or found, key=lambda fit: -fit.score_bp)


def is_turned_away(state: SwarmState, team: str, spec: TaskSpec) -> bool:
    """Whether everybody in a team who could do a task is held by an open circuit, while somebody in
    another is not."""
    found = state.teams.teams.get(team)
    own = None if found is None else _fit(state, team, found, spec, wanted_of(spec), {})
    if own is not None and own.able:
        return False
    return any(fit.able for fit in fits(state, spec))


def _fit(
    state: SwarmState,
    name: str,
    team: TeamState,
    spec: TaskSpec,
    wanted: frozenset[str],
    more: Mapping[str, int],
) -> Fit | None:
    people = seated(state, name)
    able = [a for a in people if wanted <= offers(a.spec.capabilities, a.spec.type)]
    if not able:
        return None
    lead = state.agents.get(team.lead or "")
    if lead is not None and LEADS in spec.capabilities and _is_held(state, lead):
        able = []
    able = [agent for agent in able if not _is_held(state, agent)]
    places = sum(agent.spec.tasks_max for agent in able)
    waiting = state.seating.loads.get(name, 0) + more.get(name, 0)
    asked = [word for word in spec.capabilities if word != LEADS]
    own = sum(word in team.capabilities for word in asked)
    domain_bp = 10_000 * own // len(asked) if asked else 10_000
    good = sum(team.recent)
    score = (
        DOMAIN_BP * domain_bp // 10_000
        + PAST_BP * (good + PRIOR) // (len(team.recent) + PRIOR)
        + CAPACITY_BP * places // max(1, places + waiting)
        + ABLE_BP * len(able) // len(people)
    )
    return Fit(name, score, domain_bp, len(able), places, waiting, success_bp(team))


def _is_held(state: SwarmState, agent: AgentState) -> bool:
    return holds(state.supervised.circuits, agent.spec.id, bool(agent.open))


def success_bp(team: TeamState) -> int | None:
    """The share of a team's last attempts that completed; `None`: there was none."""
    return 10_000 * sum(team.recent) // len(team.recent) if team.recent else None


def choose(
    state: SwarmState,
    spec: TaskSpec,
    but: str | None = None,
    more: Mapping[str, int] | None = None,
) -> tuple[str, list[Fit]]:
    """The team that gets a task, and how each able one suits it; `KEPT` where there is none. `but`:
    not that one, nor one of which nobody able gets anything now. `more`: see `fits`."""
    found = fits(state, spec, more)
    if but is not None:
        found = [fit for fit in found if fit.team != but and fit.able]
    return (found[0].team if found else KEPT), found


# Who takes a seat ------------------------------------------------------------------------------


def best_by_record(state: SwarmState, names: Iterable[str]) -> AgentState | None:
    """Who of these stays and has the best record; of equal ones who comes first. Who is up comes
    before who is being built or restarted."""
    staying = [state.agents[name] for name in names if is_staying(state, name)]
    return max(staying, key=lambda a: (a.status in UP, success_of(a), a.completed), default=None)


def success_of(agent: AgentState) -> int:
    """An agent's share of completed attempts in basis points, with a prior."""
    total = agent.completed + agent.failed + PRIOR
    return 10_000 * (agent.completed + PRIOR) // total


def next_lead(state: SwarmState, team: str) -> AgentState | None:
    """Who is to lead a team whose seat is vacant: of its members the best."""
    found = state.teams.teams[team]
    return best_by_record(state, (name for name in found.members if name != found.lead))


def next_manager(state: SwarmState) -> AgentState | None:
    """Who is to be the manager: of the coordinators in no team the best, then of all coordinators,
    then of the leads, then of everybody."""
    teams, before = state.teams, state.teams.manager
    names = [name for name in state.agents if name != before]
    coordinators = [n for n in names if state.agents[n].spec.type == COORDINATOR]
    free = [n for n in coordinators if n not in state.seating.team_of]
    leads = [t.lead for t in teams.teams.values() if t.lead is not None and t.lead != before]
    for group in (free, coordinators, leads, names):
        found = best_by_record(state, group)
        if found is not None:
            return found
    return None


def worker_types(state: SwarmState, team: str) -> list[str]:
    """The types of a team's members, its lead left aside: what most of them are comes first."""
    lead = state.teams.teams[team].lead
    types = [agent.spec.type for agent in seated(state, team) if agent.spec.id != lead]
    return [name for name, _ in Counter(types).most_common()]


# What comes before the manager -------------------------------------------------------------------


def is_failing(team: TeamState, more: int = 0) -> bool:
    """Whether a team's success is too low, with so many more failures than it has on record."""
    recent = [*team.recent, *[False] * more]
    return len(recent) >= ATTEMPTS_MIN and sum(recent) * 10_000 < SUCCESS_BP * len(recent)


def estimate_ms(state: SwarmState, task: TaskState) -> int | None:
    """How long like tasks took in this swarm; `None`: too few of them completed."""
    found = state.teams.estimates.get(task.spec.type)
    if found is None or found.count < LIKE_MIN:
        return None
    return max(1, found.mean_us // 1_000)


def overdue(state: SwarmState, now_ms: int) -> Iterator[tuple[str, int, int]]:
    """Tasks of teams that are at work for more than twice their estimate and have not come before
    the manager: which, for how long in ms, and the estimate."""
    if not has_seats(state):
        return
    for clock in state.clocks.by_length.values():
        for name, since_ms in clock.items():
            took_ms = now_ms - since_ms
            if took_ms < OVERDUE_MS_MIN:
                break
            task = state.tasks[name]
            if name in state.teams.escalated or team_with(state, task.spec) is None:
                continue
            if is_leading(task.spec.type):
                continue  # It waits for others, which come before the manager themselves.
            expected = estimate_ms(state, task)
            if expected is not None and took_ms > OVERDUE_FACTOR * expected:
                yield name, took_ms, expected
