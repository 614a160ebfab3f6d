"""What must always hold of teams, checked from scratch."""

from collections.abc import Iterator

from visionflow.domain.tasks import TERMINAL
from visionflow.engine.matching import needs
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.seats import (
    KEPT,
    can,
    has_seats,
    is_delegable,
    is_staying,
    key_of,
    offers_of,
    seated,
    team_with,
)


def team_faults(state: SwarmState) -> Iterator[str]:
    """Every invariant of teams that does not hold."""
    teams, seating = state.teams, state.seating
    found: dict[str, str] = {}
    for name, team in teams.teams.items():
        people = [*([] if team.lead is None else [team.lead]), *team.members]
        for agent in people:
            if agent in found:
                yield f"agent {agent} has a seat in {found[agent]} and one in {name}"
            found[agent] = name
            if agent not in state.agents and state.closed is None:
                yield f"agent {agent} is not there and has a seat in team {name}"
        if len(team.members) > team.span:
            yield f"{len(team.members)} report to the lead of {name}; its span is {team.span}"
        if state.closed is None and not is_staying(state, team.lead) and seated(state, name):
            yield f"team {name} has people and nobody leads it"
    if found != seating.team_of:
        yield "the index of who is in which team differs from the teams"
    for agent, spec in ((name, each.spec) for name, each in state.agents.items()):
        offered = state.matching.offered(agent)
        if offered is not None and offered != offers_of(state, spec):
            yield f"agent {agent} offers other words than its seat says"
    if not teams.teams:
        return
    if state.closed is None and not is_staying(state, teams.manager):
        if any(is_staying(state, agent) for agent in state.agents):
            yield "the hierarchy has agents and no manager"
    yield from _delegated(state)


def _delegated(state: SwarmState) -> Iterator[str]:
    for name, team in state.teams.delegated.items():
        task = state.tasks.get(name)
        if task is None or task.status in TERMINAL:
            yield f"task {name} has ended and team {team} has it"
    loads: dict[str, int] = {}
    for task in state.tasks.values():
        team = team_with(state, task.spec)
        if team is not None and task.plan is None and task.status not in TERMINAL:
            loads[team] = loads.get(team, 0) + 1
    if loads != {team: count for team, count in state.seating.loads.items() if count}:
        yield "the counts of what the teams have differ from what is theirs"
    for word, tasks in state.seating.led.items():
        for name in tasks:
            if name not in state.matching or state.matching.key_of(name)[0] != (word,):
                yield f"task {name} is listed for {word} and waits for nobody there"
    for name in state.teams.escalated:
        if name not in state.tasks or state.tasks[name].status in TERMINAL:
            yield f"task {name} has ended and counts as one that came before the manager"
    if not has_seats(state) or state.closed is not None or state.teams.manager is None:
        return
    for name, task in state.tasks.items():
        # What peers still bid for, from when this was a mesh, is in no line.
        if name not in state.matching or not is_delegable(state, task.spec):
            continue
        team = state.teams.delegated.get(name)
        if team is None or name in state.seating.due:
            yield f"task {name} is queued and the manager has not given it to a team"
        elif team != KEPT:
            wanted, people = needs(key_of(state, task.spec)), seated(state, team)
            matched = any(wanted <= offers_of(state, each.spec) for each in people)
            if not matched or not can(state, team, task.spec):
                yield f"task {name} waits for team {team}, in which nobody can do it"
