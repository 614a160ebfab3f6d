"""A team whose attempts fail too often comes before the manager, with figures."""

from visionflow.domain import events as e
from visionflow.domain import teams_events as t
from visionflow.domain.tasks import FailureKind
from visionflow.domain.teams import COUNTED, SUCCESS_BP
from visionflow.engine.decide.closing import Closing
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.hierarchy import choose, is_failing
from visionflow.engine.topology.seats import KEPT, has_seats

MOVED_MAX = 1_000
"""Tasks that one escalation gives to other teams."""


def failed_in_team(closing: Closing, agent: str, kind: FailureKind) -> None:
    """An attempt of this agent failed in this decision: its team escalates if it fails too often,
    and what waits for it goes to teams that fare better, where one can do it."""
    state = closing.state
    team = state.seating.team_of.get(agent)
    if team is None or kind not in COUNTED or not has_seats(state):
        return
    found = state.teams.teams[team]
    more = 0
    for event in closing.events:
        if isinstance(event, t.Escalated) and event.team == team:
            return
        if isinstance(event, e.AttemptFailed) and event.kind in COUNTED and not event.excused:
            task = state.tasks[event.task]
            more += task.agent is not None and state.seating.team_of.get(task.agent) == team
    if not is_failing(found, more):
        return
    good, count = sum(found.recent), len(found.recent) + more
    moved = list(_elsewhere(state, closing, team))
    waits = f"{len(moved)} of the tasks that wait for it go to other teams"
    closing.events.append(
        t.Escalated(
            team=team,
            cause="success",
            evidence=f"{good} of its last {count} attempts completed, which is under "
            f"{SUCCESS_BP // 100} %",
            action=waits if moved else "told: no other team can do what waits for it",
        )
    )
    closing.events.extend(moved)


def _elsewhere(state: SwarmState, closing: Closing, team: str) -> list[t.TaskDelegated]:
    manager, found = state.teams.manager, list[t.TaskDelegated]()
    more: dict[str, int] = {}
    if manager is None:
        return found
    for name, has in state.teams.delegated.items():
        if has != team or name not in state.matching or closing.has_ended(name):
            continue
        other, fits = choose(state, state.tasks[name].spec, but=team, more=more)
        if other == KEPT or is_failing(state.teams.teams[other]):
            continue
        more[other] = more.get(other, 0) + 1
        reason = f"team {team} fails too often"
        found.append(
            t.TaskDelegated(task=name, by=manager, team=other, fits=tuple(fits), reason=reason)
        )
        if len(found) >= MOVED_MAX:
            break
    return found
