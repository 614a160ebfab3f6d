"""Folds of what happens to teams, and what other folds tell of here: who came, who is gone for
good, which task ended and how.
"""

from visionflow.domain import teams_events as t
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TERMINAL, FailureKind, TaskSpec
from visionflow.domain.teams import (
    COUNTED,
    TYPES_MAX,
    WINDOW,
    Estimate,
    is_leading,
    lead_word,
    team_word,
)
from visionflow.engine.evolve.table import answer, folds, refresh
from visionflow.engine.matching import order_of
from visionflow.engine.state import Answer, SwarmState, TaskState
from visionflow.engine.teams import TeamState
from visionflow.engine.topology.hierarchy import is_turned_away
from visionflow.engine.topology.seats import (
    KEPT,
    ONE,
    asked_team,
    can,
    has_seats,
    is_delegable,
    key_of,
    offers_of,
    team_with,
)

TURNED_AWAY_MAX = 1_000
"""Tasks that wait for a team and come before the manager when its last circuit opens."""


@folds(t.ManagerNamed)
def _(state: SwarmState, event: t.ManagerNamed) -> None:
    state.teams.manager = event.agent
    state.teams.span = event.span
    state.seating.headless = False
    for agent in (event.before, event.agent):
        _reseat(state, agent)
    answer(state, event.command, Answer(state.now_ms))


@folds(t.TeamFormed)
def _(state: SwarmState, event: t.TeamFormed) -> None:
    spec, first = event.team, not state.teams.teams
    state.teams.teams[spec.name] = TeamState(
        spec.lead, dict.fromkeys(spec.members), spec.domain, spec.capabilities, spec.span
    )
    for agent in (spec.lead, *spec.members):
        state.seating.team_of[agent] = spec.name
        _reseat(state, agent)
    if first:
        rekey(state)
    for task in state.tasks.values():
        # What asked for its seats before there was one of that name.
        if task.status not in TERMINAL and asked_team(task.spec) == spec.name:
            came_to(state, task)
    answer(state, event.command, Answer(state.now_ms))


@folds(t.TeamJoined)
def _(state: SwarmState, event: t.TeamJoined) -> None:
    team = state.teams.teams[event.team]
    team.members[event.agent] = None
    state.seating.team_of[event.agent] = event.team
    if team.lead is None:
        state.seating.vacant[event.team] = None
    _reseat(state, event.agent)
    answer(state, event.command, Answer(state.now_ms))


@folds(t.LeadReplaced)
def _(state: SwarmState, event: t.LeadReplaced) -> None:
    team, before = state.teams.teams[event.team], event.before
    team.lead = event.after
    state.seating.vacant.pop(event.team, None)
    if event.after is not None:
        del team.members[event.after]
    if before is not None:
        found = state.agents.get(before)
        if found is None or found.status is AgentStatus.TERMINATING:
            state.seating.team_of.pop(before, None)
        else:
            # It failed and may be brought back, or finishes what it holds: as one of the others.
            team.members[before] = None
    for agent in (before, event.after):
        _reseat(state, agent)
    _strand(state, event.team)


@folds(t.TaskDelegated)
def _(state: SwarmState, event: t.TaskDelegated) -> None:
    name, seating = event.task, state.seating
    _unload(state, name)
    state.teams.delegated[name] = event.team
    came_to(state, state.tasks[name])
    seating.due.pop(name, None)
    if name in state.matching:
        state.matching.dequeue(name)
        out_of_line(state, name)
        enqueue(state, state.tasks[name])


@folds(t.Escalated)
def _(state: SwarmState, event: t.Escalated) -> None:
    team = state.teams.teams[event.team]
    what = event.cause if event.task is None else f"{event.cause}, {event.task}"
    team.escalated = f"{what}: {event.evidence}; {event.action}"
    if event.task is not None:
        state.teams.escalated[event.task] = None
    elif event.cause == "success":
        # What it says was said: from here on it is counted anew.
        team.recent = []


# What others tell -------------------------------------------------------------------------------


def came_to(state: SwarmState, task: TaskState) -> None:
    """A task that has not ended is one of its team's, where a team has it; a plan is work of its
    parts' teams."""
    team = None if task.plan is not None else team_with(state, task.spec)
    if team is not None:
        state.seating.loads[team] = state.seating.loads.get(team, 0) + 1


def enqueue(state: SwarmState, task: TaskState) -> None:
    """A task waits for an agent: in its team, or for the manager to choose one."""
    spec = task.spec
    key = key_of(state, spec)
    state.matching.enqueue(spec.id, key, order_of(task.since_ms, spec.priority))
    if is_leading(spec.type) and len(key[0]) == 1 and key[0][0].startswith(ONE):
        state.seating.led.setdefault(key[0][0], {})[spec.id] = None
    if state.teams.teams and is_delegable(state, spec):
        team = state.teams.delegated.get(spec.id)
        if team is None or (team != KEPT and not _may_wait(state, team, spec)):
            state.seating.due[spec.id] = None


def _may_wait(state: SwarmState, team: str, spec: TaskSpec) -> bool:
    """Whether a task may wait for a team: somebody in it can do it, and is not held by an open
    circuit while another team could begin."""
    if not can(state, team, spec):
        return False
    return not (state.supervised.circuits and is_turned_away(state, team, spec))


def circuit_opened(state: SwarmState, agent: str) -> None:
    """This agent gets nothing for a while: what waits for its team may do better elsewhere."""
    team = state.seating.team_of.get(agent)
    if team is not None:
        _strand(state, team)


def out_of_line(state: SwarmState, task: str) -> None:
    """It is not queued any more, or for something else."""
    seating = state.seating
    seating.due.pop(task, None)
    for word in [word for word, tasks in seating.led.items() if task in tasks]:
        del seating.led[word][task]
        if not seating.led[word]:
            del seating.led[word]


def rekey(state: SwarmState) -> None:
    """What is queued is matched by other rules from now on: there are teams, or they count no more
    (or again) because another topology is in force."""
    state.seating.due.clear()
    state.seating.led.clear()
    for name, task in state.tasks.items():
        if name in state.matching:
            state.matching.dequeue(name)
            enqueue(state, task)


def came(state: SwarmState, agent: str) -> None:
    """An agent is there, or is there again, and may take a seat that nobody has."""
    teams = state.teams
    if not teams.teams:
        return
    if teams.manager is None:
        state.seating.headless = True
    team = state.seating.team_of.get(agent)
    if team is not None and teams.teams[team].lead is None:
        state.seating.vacant[team] = None


def leaves(state: SwarmState, agent: str) -> None:
    """An agent failed for good, is ending, or ends once it holds nothing."""
    teams, seating = state.teams, state.seating
    if agent == teams.manager:
        seating.headless = True
    team = seating.team_of.get(agent)
    if team is None:
        return
    if teams.teams[team].lead == agent:
        seating.vacant[team] = None
    elif state.agents[agent].status is AgentStatus.TERMINATING:
        teams.teams[team].members.pop(agent, None)
        del seating.team_of[agent]
    _strand(state, team)


def attempt_ended(
    state: SwarmState, agent: str | None, kind: FailureKind | None, excused: bool = False
) -> None:
    """An attempt of an agent completed (no kind), or failed in this way."""
    team = None if agent is None else state.seating.team_of.get(agent)
    if team is None or excused or (kind is not None and kind not in COUNTED):
        return
    recent = state.teams.teams[team].recent
    recent.append(kind is None)
    if len(recent) > WINDOW:
        del recent[0]


def took(state: SwarmState, kind: str, duration_us: int) -> None:
    """A task of this type took so long."""
    estimates = state.teams.estimates
    found = estimates.pop(kind, None) or Estimate()
    found.count += 1
    change = duration_us - found.mean_us
    found.mean_us = found.mean_us + change // 8 if found.count > 1 else duration_us
    estimates[kind] = found
    if len(estimates) > TYPES_MAX:
        del estimates[next(iter(estimates))]


def ended(state: SwarmState, task: str) -> None:
    """A task has ended: no team has it any more."""
    _unload(state, task)
    state.teams.delegated.pop(task, None)
    state.teams.escalated.pop(task, None)


def _unload(state: SwarmState, name: str) -> None:
    task = state.tasks[name]
    team = None if task.plan is not None else team_with(state, task.spec)
    if team is not None:
        state.seating.loads[team] -= 1


def _reseat(state: SwarmState, agent: str | None) -> None:
    """Bring what an agent offers in step with where it sits."""
    if agent is None or state.matching.room(agent) is None:
        return
    found = state.agents[agent]
    state.matching.leave(agent)
    state.matching.join(agent, offers_of(state, found.spec))
    refresh(state, found)


def _strand(state: SwarmState, team: str) -> None:
    """Of what waits for a team, what nobody in it can do any more comes before the manager, and
    what nobody in it is given now while another team could begin."""
    if not has_seats(state) or not state.seating.loads.get(team):
        return
    words = (team_word(team), lead_word(team))
    turned_away = 0
    may_wait: dict[tuple[tuple[str, ...], str | None], bool] = {}
    for key, _, names in state.matching.groups(len(state.matching)):
        if not any(word in key[0] for word in words):
            continue
        for name in names:
            spec = state.tasks[name].spec
            if state.teams.delegated.get(name) != team:
                continue
            asked = (spec.capabilities, spec.agent_type)
            if asked not in may_wait:
                may_wait[asked] = _may_wait(state, team, spec)
            if not may_wait[asked]:
                turned_away += can(state, team, spec)
                if turned_away <= TURNED_AWAY_MAX or not can(state, team, spec):
                    state.seating.due[name] = None
