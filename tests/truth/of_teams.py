"""Sources of what is told of teams: who sits where and what a team has, by the swarm's log."""

from typing import Any

from tests.truth.checking import At
from tests.truth.origins import Table, share
from visionflow.domain import events as e
from visionflow.domain import teams_events as t

COUNTED = ("error", "timeout", "crash", "resource_exhaustion", "permanent")
WINDOW = 20
ENDS = (e.TaskCompleted, e.TaskFailed, e.TaskCancelled, e.TaskDeadLettered)


class Team:
    def __init__(self, spec: Any) -> None:
        self.lead, self.members = spec.lead, list(spec.members)
        self.has: set[str] = set()
        self.outcomes: list[bool] = []
        self.escalated: str | None = None


class Hierarchy:
    """The teams of a swarm, event by event."""

    def __init__(self, events: Any) -> None:
        self.manager: str | None = None
        self.teams: dict[str, Team] = {}
        self.holders: dict[str, str] = {}
        self.pinned: dict[str, str] = {}
        """Tasks that have not ended and ask for a seat, with its team."""
        self.specs: dict[str, Any] = {}
        for _, _, _, event in events:
            self.see(event)

    def of(self, agent: str | None) -> Team | None:
        found = (x for x in self.teams.values() if agent in (x.lead, *x.members))
        return None if agent is None else next(found, None)

    def see(self, event: Any) -> None:
        match event:
            case t.ManagerNamed():
                self.manager = event.agent
            case t.TeamFormed():
                self.teams[event.team.name] = Team(event.team)
            case t.TeamJoined():
                self.teams[event.team].members.append(event.agent)
            case t.LeadReplaced():
                team = self.teams[event.team]
                team.lead = event.after
                team.members = [each for each in team.members if each != event.after]
            case t.Escalated():
                what = event.cause if event.task is None else f"{event.cause}, {event.task}"
                said = f"{what}: {event.evidence}; {event.action}"
                self.teams[event.team].escalated = said
                if event.cause == "success":
                    self.teams[event.team].outcomes = []
            case t.TaskDelegated():
                for team in self.teams.values():
                    team.has.discard(event.task)
                if event.team:
                    self.teams[event.team].has.add(event.task)
            case e.TaskSubmitted():
                self.specs[event.spec.id] = event.spec
                self.pin(event.spec.id)
            case e.TaskQueued():
                self.pin(event.task)
            case e.TaskAssigned():
                self.holders[event.task] = event.agent
            case e.AgentTerminating():
                for team in self.teams.values():
                    team.members = [each for each in team.members if each != event.agent]
            case _:
                self.ended(event)

    def pin(self, task: str) -> None:
        spec = self.specs.get(task)
        words = (word.partition(":") for word in (() if spec is None else spec.capabilities))
        found = next((name for kind, _, name in words if kind in ("team", "lead")), None)
        if found is not None:
            self.pinned[task] = found

    def has(self, name: str) -> int:
        return len(self.teams[name].has) + list(self.pinned.values()).count(name)

    def ended(self, event: Any) -> None:
        if isinstance(event, e.TaskCompleted | e.AttemptFailed):
            team = self.of(self.holders.get(event.task))
            failed = isinstance(event, e.AttemptFailed)
            if team is not None and (not failed or (event.kind in COUNTED and not event.excused)):
                team.outcomes = [*team.outcomes, not failed][-WINDOW:]
        if isinstance(event, ENDS):
            self.pinned.pop(event.task, None)
            for team in self.teams.values():
                team.has.discard(event.task)


def told(at: At) -> Hierarchy:
    return Hierarchy(() if at.reply["status"] == "ended" else at.swarm.events)


def team(at: At) -> Team:
    return told(at).teams[at.own["name"]]


def rate(at: At) -> float | None:
    found = team(at).outcomes
    return share(sum(found), len(found))


TEAMS: Table = {
    "manager": lambda at: told(at).manager,
    "teams[].name": lambda at: list(told(at).teams)[at.place[-2]],
    "teams[].lead": lambda at: team(at).lead,
    "teams[].members[]": lambda at: told(at).teams[at.chain[-2]["name"]].members[at.place[-1]],
    "teams[].tasks": lambda at: told(at).has(at.own["name"]),
    "teams[].successRate": rate,
    "teams[].escalated": lambda at: team(at).escalated,
}
"""Of swarm_status."""
