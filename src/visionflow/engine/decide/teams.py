"""Decisions about teams: forming them, who takes a seat that has become vacant, which team gets a
task, and what comes before the manager because it takes too long.
"""

from visionflow.domain import events as e
from visionflow.domain import teams_commands as tc
from visionflow.domain import teams_events as t
from visionflow.domain.errors import LimitReached, Refused, UnknownAgent, UnknownId
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import CAPABILITIES_MAX, WORD_CHARS_MAX
from visionflow.domain.tasks import FailureKind
from visionflow.domain.teams import LEADING_MAX, SPAN_MAX, TEAMS_MAX, TeamSpec
from visionflow.engine.decide.assigning import assigned
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.table import decides
from visionflow.engine.evolve.table import ABLE, is_held
from visionflow.engine.matching import order_of
from visionflow.engine.places import leading
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.hierarchy import (
    choose,
    next_lead,
    next_manager,
    overdue,
)
from visionflow.engine.topology.rules import COORDINATOR
from visionflow.engine.topology.seats import KEPT, can, has_seats, is_staying, sits, team_with

Events = list[AnyEvent]
FITS_MAX = 8
"""Teams that an event names the figures of."""
NAME_CHARS_MAX = WORD_CHARS_MAX - len("member:")


def _open(state: SwarmState) -> None:
    if state.spec is None or state.closed is not None:
        raise Refused("The swarm takes no teams: it is closed.", code="swarm_closed")


def _free(state: SwarmState, agent: str) -> None:
    """Whether an agent may be given a seat in a team.

    Raises:
        UnknownAgent: it is not there.
        Refused: it is ending, or has a seat.
    """
    if agent not in state.agents:
        raise UnknownAgent(f"No agent {agent} is alive, so it can be in no team.")
    if not is_staying(state, agent):
        status = "draining" if agent in state.draining else state.agents[agent].status
        raise Refused(f"Agent {agent} is {status}; it can be in no team.", code="agent_gone")
    team = state.seating.team_of.get(agent)
    if team is not None:
        raise Refused(f"Agent {agent} is in team {team} already.", code="seated_already")
    if agent == state.teams.manager:
        raise Refused(
            f"Agent {agent} is the manager, to whom the leads report; it is in no team.",
            code="seated_already",
        )


@decides(tc.PutInCharge)
def _(state: SwarmState, command: tc.PutInCharge) -> Events:
    _open(state)
    agent, teams = command.agent, state.teams
    _span(command.span, "leads", "a manager")
    if agent != teams.manager:
        _free(state, agent)
    elif command.span == teams.span:
        return []
    if len(teams.teams) > command.span:
        raise LimitReached(
            f"There are {len(teams.teams)} teams, and their leads would report to a manager of "
            f"{command.span} at most."
        )
    return [
        t.ManagerNamed(
            agent=agent,
            before=teams.manager,
            reason="as asked",
            span=command.span,
            command=command.command,
        )
    ]


def _span(span: int, what: str, whom: str) -> None:
    if not 1 <= span <= SPAN_MAX:
        raise Refused(
            f"Between 1 and {SPAN_MAX} {what} may report to {whom}; {span} is none of that.",
            code="usage",
        )


@decides(tc.FormTeam)
def _(state: SwarmState, command: tc.FormTeam) -> Events:
    _open(state)
    spec, teams = command.team, state.teams
    _well_formed(spec)
    if spec.name in teams.teams:
        raise Refused(f"There is a team {spec.name} already.", code="duplicate_id")
    people = (spec.lead, *spec.members)
    if len(set(people)) < len(people):
        raise Refused(f"Team {spec.name} names an agent twice.", code="usage")
    for agent in people:
        _free(state, agent)
    _span(spec.span, "agents", "a lead")
    if len(spec.members) > spec.span:
        raise LimitReached(
            f"{len(spec.members)} agents would report to the lead of team {spec.name}; its span "
            f"of control is {spec.span}.",
            hint="Form another team, or give a larger max_workers.",
        )
    if len(teams.teams) >= min(teams.span, TEAMS_MAX):
        raise LimitReached(
            f"{len(teams.teams)} leads report to the manager, which is the most.",
            hint="Name the manager with a larger max_workers.",
        )
    events: Events = []
    if not is_staying(state, teams.manager):
        events.append(_named(state, people))
    if not spec.capabilities:
        own = state.agents[spec.lead].spec.capabilities
        spec = TeamSpec(spec.name, spec.lead, spec.members, spec.domain, own, spec.span)
    return [*events, t.TeamFormed(team=spec, command=command.command)]


def _well_formed(spec: TeamSpec) -> None:
    if not 0 < len(spec.name) <= NAME_CHARS_MAX or len(spec.domain) > WORD_CHARS_MAX:
        raise Refused(
            f"A team's name has 1 to {NAME_CHARS_MAX} characters, its domain {WORD_CHARS_MAX} at "
            "most.",
            code="usage",
        )
    if len(spec.capabilities) > CAPABILITIES_MAX or any(
        len(word) > WORD_CHARS_MAX for word in spec.capabilities
    ):
        raise Refused(
            f"A team's domain is at most {CAPABILITIES_MAX} capabilities of {WORD_CHARS_MAX} "
            "characters.",
            code="usage",
        )


def _named(state: SwarmState, seated: tuple[str, ...]) -> t.ManagerNamed:
    """The manager of a hierarchy that has none yet: the first coordinator that is in no team."""
    for agent in state.roster.of_type(COORDINATOR):
        if is_staying(state, agent) and agent not in seated:
            return t.ManagerNamed(
                agent=agent,
                before=state.teams.manager,
                reason=f"the first agent of type {COORDINATOR}",
                span=state.teams.span,
            )
    raise Refused(
        "Leads report to a manager, and there is none.",
        code="no_manager",
        hint=f"Spawn an agent of type {COORDINATOR} first, or name a manager.",
    )


@decides(tc.JoinTeam)
def _(state: SwarmState, command: tc.JoinTeam) -> Events:
    _open(state)
    team = state.teams.teams.get(command.team)
    if team is None:
        raise UnknownId(f"There is no team {command.team}.")
    _free(state, command.agent)
    if len(team.members) >= team.span:
        raise LimitReached(
            f"{len(team.members)} agents report to the lead of team {command.team}, which is its "
            "span of control.",
            hint="Form another team.",
        )
    return [
        t.TeamJoined(
            team=command.team,
            agent=command.agent,
            reason=command.reason,
            command=command.command,
        )
    ]


@decides(tc.ReportUtilisation)
def _(state: SwarmState, command: tc.ReportUtilisation) -> Events:
    if command.team not in state.teams.teams or state.closed is not None:
        return []
    return [
        t.Escalated(
            team=command.team,
            cause="utilisation",
            evidence=f"{command.busy} of its {command.places} places have been taken for "
            f"{command.for_ms / 1_000:g} s",
            action=command.action,
        )
    ]


# What follows from the state alone ---------------------------------------------------------------


def next_seating(state: SwarmState) -> AnyEvent | None:
    """The next seat that somebody takes, or the next task that the manager gives to a team."""
    seating, teams = state.seating, state.teams
    if state.closed is not None:
        return None
    if seating.headless:
        named = _next_manager(state)
        if named is not None:
            return named
    for team in seating.vacant:
        return _next_lead(state, team)
    if not has_seats(state):
        return None
    if seating.led:
        led = _next_led(state)
        if led is not None:
            return led
    if not seating.due or teams.manager is None:
        return None
    name = next(iter(seating.due))
    before = teams.delegated.get(name)
    spec, reason = state.tasks[name].spec, ""
    team, fits = choose(state, spec)
    if before is not None and can(state, before, spec):
        reason = f"everybody in team {before} who could do it fails too often"
    elif before is not None:
        reason = f"nobody in team {before} can do it any more"
    return t.TaskDelegated(
        task=name, by=teams.manager, team=team, fits=tuple(fits[:FITS_MAX]), reason=reason
    )


def _next_led(state: SwarmState) -> e.TaskAssigned | None:
    """The next task by which somebody leads others goes to who has the seat, whatever else they are
    at: leading takes no place, and a team must not wait for its lead's own work."""
    for word, tasks in state.seating.led.items():
        agent = sits(state, word)
        found = None if agent is None else state.agents.get(agent)
        if found is None or agent is None or found.status not in ABLE or is_held(state, agent):
            continue
        if leading(state, found) < LEADING_MAX:
            first = min(tasks, key=lambda name: _order(state, name))
            return assigned(state, first, agent)
    return None


def _order(state: SwarmState, task: str) -> int:
    found = state.tasks[task]
    return order_of(found.since_ms, found.spec.priority)


def _next_manager(state: SwarmState) -> t.ManagerNamed | None:
    before, found = state.teams.manager, next_manager(state)
    after = None if found is None else found.spec.id
    if after == before:
        return None
    return t.ManagerNamed(
        agent=after,
        before=before,
        reason="there was none" if before is None else f"{before} {_why(state, before)}",
        span=state.teams.span,
    )


def _next_lead(state: SwarmState, team: str) -> t.LeadReplaced:
    before, found = state.teams.teams[team].lead, next_lead(state, team)
    return t.LeadReplaced(
        team=team,
        before=before,
        after=None if found is None else found.spec.id,
        reason="it had none" if before is None else f"{before} {_why(state, before)}",
        completed=0 if found is None else found.completed,
        failed=0 if found is None else found.failed,
    )


def _why(state: SwarmState, agent: str) -> str:
    found = state.agents.get(agent)
    if found is None:
        return "was ended"
    if agent in state.draining:
        return "ends once it holds nothing"
    why = f": {found.reason}" if found.reason else ""
    return f"is {found.status}{why}"


# What is due with time ---------------------------------------------------------------------------


def is_overdue(state: SwarmState, now_ms: int) -> bool:
    """Whether something that a team has takes too long and the manager has yet to hear of it."""
    return next(overdue(state, now_ms), None) is not None


def _is_outside(state: SwarmState, task: str) -> bool:
    """Whether an attempt at a task is at something outside: cut off, it could not say whether that
    has happened, and a person would have to."""
    effects = state.outside.tasks.get(task)
    return effects is not None and bool(effects.unsettled)


def escalate_overdue(state: SwarmState, closing: Closing, now_ms: int) -> None:
    """What takes more than twice its estimate comes before the manager, once for each task: another
    team gets it, where one can do it. What asks for a seat of its team stays there."""
    manager = state.teams.manager
    for name, took_ms, expected_ms in list(overdue(state, now_ms)):
        task = state.tasks[name]
        if closing.has_ended(name) or closing.is_released(name) or manager is None:
            continue
        team = team_with(state, task.spec)
        if team is None:
            continue
        is_given = name in state.teams.delegated
        other, fits = choose(state, task.spec, but=team) if is_given else (KEPT, [])
        is_outside = _is_outside(state, name)
        moves = other != KEPT and closing.cancelling(task) is None and not is_outside
        if is_outside:
            stays = "an effect of it outside is under way"
        else:
            stays = "no other team can do it" if is_given else "it asks for a seat of this team"
        closing.events.append(
            t.Escalated(
                team=team,
                cause="overdue",
                evidence=f"it is at work for {took_ms / 1_000:.1f} s, and like tasks took "
                f"{expected_ms / 1_000:.1f} s",
                action=f"team {other} gets it" if moves else f"told: {stays}",
                task=name,
                agent=task.agent,
            )
        )
        if not moves:
            continue
        reason = f"team {team} takes more than twice as long as like tasks took"
        end_attempt(closing, task, now_ms, Ending(FailureKind.REASSIGNED, reason, excused=True))
        if closing.has_ended(name):
            continue
        closing.events.append(
            t.TaskDelegated(task=name, by=manager, team=other, fits=tuple(fits), reason=reason)
        )
