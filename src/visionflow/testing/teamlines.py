"""The checker's look at teams: who sits where, that a seat goes on to one of the team when somebody
is gone for good, and that what a team was given goes to nobody else.

Like the rest of the checker it reads plain maps and shares no code with the engine.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from visionflow.testing.tasklines import AgentLine, Fact, TaskLine

KINDS = frozenset(
    {
        "manager_named",
        "team_formed",
        "team_joined",
        "lead_replaced",
        "task_delegated",
        "escalated",
        "task_assigned",
        "agent_terminating",
    }
)
SEATS = ("team:", "lead:", "rank:")
ANY_LEAD = "rank:lead"
GONE = frozenset({"failed", "terminating", "terminated"})
CAUSES = frozenset({"success", "overdue", "utilisation"})


class TeamLine:
    """What the log says of one team."""

    def __init__(self, spec: Fact) -> None:
        self.lead: str | None = spec["lead"]
        self.members: dict[str, None] = dict.fromkeys(spec.get("members", ()))
        self.span: int = spec.get("span", 10)

    @property
    def people(self) -> list[str]:
        """Everybody in it."""
        return [*([] if self.lead is None else [self.lead]), *self.members]


class TeamCheck:
    """Feed it each event of these kinds in order, before the facts are brought up to date."""

    def __init__(self) -> None:
        self.manager: str | None = None
        self.teams: dict[str, TeamLine] = {}
        self.given: dict[str, str] = {}
        """Tasks, with the team that each was given to last; empty: to none."""
        self.replaced = 0
        """How often somebody took a lead's seat, or the manager's."""
        self.escalations: list[Fact] = []

    def event(
        self,
        kind: str,
        event: Fact,
        agents: Mapping[str, AgentLine],
        tasks: Mapping[str, TaskLine],
        topology: str,
    ) -> Iterator[str]:
        """What must not have happened."""
        match kind:
            case "manager_named":
                yield from self._managed(event, agents)
            case "team_formed":
                yield from self._formed(event["team"])
            case "team_joined":
                yield from self._joined(event)
            case "lead_replaced":
                yield from self._replaced(event, agents)
            case "task_delegated":
                yield from self._delegated(event, tasks)
            case "escalated":
                self.escalations.append(event)
                if event["team"] not in self.teams or event["cause"] not in CAUSES:
                    yield f"{event['cause']} of team {event['team']} is escalated, and is nothing"
            case "task_assigned":
                yield from self._assigned(event, tasks, topology)
            case "agent_terminating":
                for team in self.teams.values():
                    team.members.pop(event["agent"], None)
            case _:
                pass

    def _managed(self, event: Fact, agents: Mapping[str, AgentLine]) -> Iterator[str]:
        before, after = event.get("before"), event["agent"]
        if before != self.manager:
            yield f"{after} manages instead of {before}, and {self.manager} did"
        by_itself = before is not None and not event.get("command")
        asked = event.get("reason") == "as asked"
        if by_itself and not asked and not _is_leaving(before, agents):
            yield f"manager {before} is replaced, and is there"
        if before is not None and after is not None and not asked:
            self.replaced += 1
        self.manager = after

    def _formed(self, spec: Fact) -> Iterator[str]:
        team = TeamLine(spec)
        if spec["name"] in self.teams:
            yield f"team {spec['name']} is formed twice"
        for agent in team.people:
            yield from self._takes(agent, spec["name"])
        self.teams[spec["name"]] = team
        yield from self._span(spec["name"], team)

    def _takes(self, agent: str, name: str) -> Iterator[str]:
        for other, team in self.teams.items():
            if agent in team.people:
                yield f"{agent} is in team {other} and comes to team {name}"

    def _span(self, name: str, team: TeamLine) -> Iterator[str]:
        if len(team.members) > team.span:
            yield f"{len(team.members)} report to the lead of {name}, and {team.span} may"

    def _joined(self, event: Fact) -> Iterator[str]:
        team = self.teams.get(event["team"])
        if team is None:
            yield f"{event['agent']} joins team {event['team']}, which there is not"
            return
        yield from self._takes(event["agent"], event["team"])
        team.members[event["agent"]] = None
        yield from self._span(event["team"], team)

    def _replaced(self, event: Fact, agents: Mapping[str, AgentLine]) -> Iterator[str]:
        name, before, after = event["team"], event["before"], event["after"]
        team = self.teams.get(name)
        if team is None:
            yield f"{after} comes to lead {name}, which there is not"
            return
        if before != team.lead:
            yield f"{before} leads {name} no more, and {team.lead} did"
        if before is not None and not _is_leaving(before, agents):
            yield f"lead {before} of {name} is replaced, and is there"
        if after is not None and after not in team.members:
            yield f"{after} comes to lead {name}, and is none of its members"
        if after is None and any(not _is_leaving(each, agents) for each in team.members):
            yield f"nobody leads {name}, and it has {list(team.members)}"
        team.members.pop(after or "", None)
        if before is not None and before in agents and agents[before].status != "terminating":
            team.members[before or ""] = None
        team.lead = after
        self.replaced += before is not None and after is not None

    def _delegated(self, event: Fact, tasks: Mapping[str, TaskLine]) -> Iterator[str]:
        name, team = event["task"], event["team"]
        task = tasks.get(name)
        if event["by"] != self.manager:
            yield f"{name} is given to a team by {event['by']}, and {self.manager} manages"
        if team and team not in self.teams:
            yield f"{name} is given to team {team}, which there is not"
        fits = event.get("fits", ())
        if team and fits and fits[0]["team"] != team:
            yield f"{name} is given to {team}, and {fits[0]['team']} suits it better"
        if any(a["score_bp"] < b["score_bp"] for a, b in pairwise(fits)):
            yield f"the teams that suit {name} are in no order"
        if task is None or _is_for_a_seat(task.spec):
            yield f"{name} is given to a team, and is meant for somebody"
        self.given[name] = team

    def _assigned(self, event: Fact, tasks: Mapping[str, TaskLine], topology: str) -> Iterator[str]:
        name, agent = event["task"], event["agent"]
        if not self.teams or self.manager is None:
            return
        spec = tasks[name].spec
        if _is_for_a_seat(spec):
            yield from self._seated(name, agent, spec)
            return
        if topology != "hierarchical":
            if ANY_LEAD in spec.get("capabilities", ()) and agent != self.manager:
                yield f"{name} is for whoever leads, no team is chosen, and {agent} gets it"
            return
        given = self.given.get(name)
        team = self.teams.get(given or "")
        if given is None:
            yield f"{name} is given to {agent}, and the manager gave it to no team"
        elif team is not None and agent not in team.people:
            yield f"{name} of team {given} is given to {agent}, who is not in it"
        elif team is not None and ANY_LEAD in spec.get("capabilities", ()):
            if agent != team.lead:
                yield f"{name} is for the lead of {given}, and {agent} gets it"

    def _seated(self, name: str, agent: str, spec: Fact) -> Iterator[str]:
        for word in spec.get("capabilities", ()):
            seat, _, of = word.partition(":")
            team = self.teams.get(of)
            if word == "rank:manager" and agent != self.manager:
                yield f"{name} is for the manager, and {agent} gets it"
            elif seat == "lead" and (team is None or agent != team.lead):
                yield f"{name} is for the lead of {of}, and {agent} gets it"
            elif seat == "team" and (team is None or agent not in team.people):
                yield f"{name} is for team {of}, and {agent} gets it"


def _is_leaving(agent: str | None, agents: Mapping[str, AgentLine]) -> bool:
    line = agents.get(agent or "")
    return line is None or line.status in GONE or line.draining


def _is_for_a_seat(spec: Fact) -> bool:
    if spec.get("agent") is not None:
        return True
    words = spec.get("capabilities", ())
    return any(word.startswith(SEATS) and word != ANY_LEAD for word in words)


def is_for_one(spec: Fact) -> bool:
    """Whether one agent at most can have the seat that a task is meant for."""
    words = spec.get("capabilities", ())
    return any(word == ANY_LEAD or word.startswith(("lead:", "rank:manager")) for word in words)


def asked_of(spec: Fact) -> set[str]:
    """What a task asks for of the agent that gets it, seats left aside: nothing of a lead that has
    members for it."""
    words = spec.get("capabilities", ())
    return set() if ANY_LEAD in words else {w for w in words if not w.startswith(SEATS)}
