"""Who may talk to whom in a swarm, as a log bears it out: the rules of the topologies once more,
for `tracelines`, and apart from the engine as all checkers."""

from collections.abc import Mapping

from visionflow.testing.tasklines import AgentLine, Fact

GONE = ("failed", "terminating")
ORDER = ("researcher", "coordinator", "architect", "coder", "reviewer", "tester")
"""Of stages; other types come after, in the order in which the first of each joined."""
Agents = Mapping[str, AgentLine]


class Talk:
    """Feed it each event of a log in order; `agents` are those that there are, as they joined."""

    def __init__(self) -> None:
        self.topology = "hierarchical"
        self.switches = 0
        self.manager: str | None = None
        self.leads: dict[str, str | None] = {}
        self.members: dict[str, dict[str, None]] = {}
        self._coordinators: list[str] = []
        """All that there ever were, as they joined: of a thousand agents they are the few that are
        asked for with each message and assignment."""

    def event(self, kind: str, event: Fact) -> None:
        """Take an event into account."""
        match kind:
            case "swarm_created":
                said = event["spec"].get("topology", "hierarchical")
                self.topology = "hierarchical" if said == "adaptive" else said
            case "topology_switched":
                self.topology = event["after"]
                self.switches += 1
            case "manager_named":
                self.manager = event.get("agent")
            case "agent_spawned":
                if event["spec"].get("type") == "coordinator":
                    self._coordinators.append(event["spec"]["id"])
            case "team_formed":
                team = event["team"]
                self.leads[team["name"]] = team["lead"]
                self.members[team["name"]] = dict.fromkeys(team.get("members", ()))
            case "team_joined":
                self.members[event["team"]][event["agent"]] = None
            case "lead_replaced":
                self._replaced(event)
            case "agent_terminated":
                for members in self.members.values():
                    members.pop(event["agent"], None)
            case _:
                pass

    def _replaced(self, event: Fact) -> None:
        team, before, after = event["team"], event.get("before"), event.get("after")
        self.leads[team] = after
        if before is not None:
            self.members[team][before] = None
        if after is not None:
            self.members[team].pop(after, None)

    # The rules ---------------------------------------------------------------------------------

    def may(self, sender: str, to: str, agents: Agents) -> bool:
        """Whether a message of an agent to another one is within the rules now."""
        if sender == to:
            return True
        if not (lives(sender, agents) and lives(to, agents)):
            return False
        match self.topology:
            case "mesh":
                return True
            case "ring":
                line = living(agents)
                return line[(line.index(sender) + 1) % len(line)] == to
            case "star":
                return self.centre(agents) in (sender, to)
            case "sequential":
                order = stages(agents)
                types = [type_of(agents[name]) for name in (sender, to)]
                return abs(order.index(types[0]) - order.index(types[1])) <= 1
            case _:
                return self.superior(sender, agents) == to or self.superior(to, agents) == sender

    def centre(self, agents: Agents) -> str | None:
        """Of a star."""
        first = self._coordinator(agents)
        return first or next((name for name in agents if lives(name, agents)), None)

    def head(self, agents: Agents) -> str | None:
        """The manager of a hierarchy: who was named, else the first coordinator."""
        if self.manager is not None and lives(self.manager, agents):
            return self.manager
        return self._coordinator(agents)

    def _coordinator(self, agents: Agents) -> str | None:
        return next((name for name in self._coordinators if lives(name, agents)), None)

    def superior(self, agent: str, agents: Agents) -> str | None:
        """Whom an agent reports to in a hierarchy."""
        head = self.head(agents)
        if agent == head:
            return None
        for team, members in self.members.items():
            lead = self.leads[team]
            if agent in members and lead is not None and lives(lead, agents):
                return lead
        return head


def type_of(agent: AgentLine) -> str:
    """The type of an agent."""
    return agent.spec.get("type", "")


def lives(agent: str, agents: Agents) -> bool:
    """Whether an agent is there to stay."""
    line = agents.get(agent)
    return line is not None and line.status not in GONE


def living(agents: Agents) -> list[str]:
    """Those that are there to stay, as they joined."""
    return [name for name in agents if lives(name, agents)]


def stages(agents: Agents) -> list[str]:
    """Types of living agents in the order of stages."""
    types = list(dict.fromkeys(type_of(agents[name]) for name in living(agents)))
    return [*(t for t in ORDER if t in types), *(t for t in types if t not in ORDER)]
