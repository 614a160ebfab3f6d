"""What a log may say of its topology: who assigned, in which order, who spoke to whom, and what was
refused. Part of the checkers, and as they, apart from the engine; it follows switches.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from visionflow.testing.meshlines import MeshCheck
from visionflow.testing.talk import ORDER, Talk, lives, type_of
from visionflow.testing.tasklines import AgentLine, Fact, TaskLine
from visionflow.testing.teamlines import SEATS, is_for_one
from visionflow.testing.upkeeplines import UpkeepCheck
from visionflow.testing.workerlines import WorkerLine

ENDED = frozenset({"completed", "failed", "cancelled", "dead_letter"})
ENDS = frozenset({"task_completed", "task_failed", "task_cancelled", "task_dead_lettered"})
BIDS_MAX = 16
BIDDING_WORTH_US = 1_000_000
WEIGHTS = {"capability_bp": 4_000, "load_bp": 3_000, "past_bp": 2_000, "resources_bp": 1_000}
NOT_ALLOWED = "not_allowed"


class Facts(Protocol):
    """What the checkers know by now."""

    tasks: dict[str, TaskLine]
    agents: dict[str, AgentLine]
    workers: dict[str, WorkerLine]
    upkeep: UpkeepCheck
    mesh: MeshCheck


class TraceCheck:
    """Feed it each event in order, before the facts are brought up to date with it."""

    def __init__(self, facts: Facts) -> None:
        self.talk = Talk()
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        """What there was, by topology and kind."""
        self.pairs: Counter[tuple[str, str]] = Counter()
        """Messages between agents, by sender and receiver."""
        self.assigners: Counter[tuple[str | None, str]] = Counter()
        """Assignments, by who assigned and to whom."""
        self._facts = facts
        self._strategy = "centralized"
        self._teams: dict[str, str] = {}
        """Tasks that the manager gave to a team."""
        self._numbers: dict[str, int] = {}
        """Of each agent that there was, which one to join it was."""
        self._joined = 0
        self._token: str | None = None
        self._pending: tuple[str, str, str] | None = None
        """(kind, task, agent) of a token or of bids whose assignment is to follow."""
        self._circuits: dict[str, None] = {}
        """Those through which nothing goes, or one call alone."""
        self._stages: dict[str, dict[str, list[list[str]]]] = {}
        """By plan of a sequential swarm and phase: the tasks of each stage."""
        self._staged: dict[str, None] = {}
        """Plans that were submitted while the swarm was sequential."""

    def event(self, kind: str, event: Fact) -> list[str]:
        """What is wrong with it."""
        found = list(self._event(kind, event))
        self.faults.extend(found)
        return found

    def _event(self, kind: str, event: Fact) -> Iterator[str]:
        self.talk.event(kind, event)
        match kind:
            case "swarm_created":
                self._strategy = event["spec"].get("strategy", "centralized")
            case "topology_switched":
                self._pending = None
                # What was submitted in stages has none in a swarm that is no more sequential.
                self._stages.clear()
                self._staged.clear()
            case "agent_spawned":
                self._joined += 1
                self._numbers[event["spec"]["id"]] = self._joined
            case "mail_sent":
                yield from self._sent(event)
            case "mail_refused":
                yield from self._refused(event)
            case "command_refused":
                if event["code"] == NOT_ALLOWED:
                    self._count("refused delegations")
            case "task_submitted":
                yield from self._delegated(event)
            case "plan_submitted":
                self._planned(event)
            case "task_delegated":
                yield from self._to_team(event)
            case "token_passed" | "bids_placed" | "task_assigned":
                yield from self._given(kind, event)
            case "circuit_opened" | "circuit_half_opened":
                self._circuits[event["circuit"]] = None
            case "circuit_closed":
                self._circuits.pop(event["circuit"], None)
            case _:
                if kind in ENDS:
                    self._teams.pop(event["task"], None)

    def _count(self, what: str) -> None:
        self.counts[f"{self.talk.topology}: {what}"] += 1

    # Talk --------------------------------------------------------------------------------------

    def _sent(self, event: Fact) -> Iterator[str]:
        letter: Fact = event["letter"]
        sender: str = letter["sender"]
        if letter.get("external", False) or letter.get("answers"):
            self._count("messages from outside and answers")
            return
        for to in event.get("to", ()):
            self._count("messages")
            self.pairs[sender, to] += 1
            if not self.talk.may(sender, to, self._facts.agents):
                yield f"{sender} speaks to {to}, against the rules of a {self.talk.topology} swarm"
        for to in event.get("withheld", ()):
            self._count("refused messages")
            if self.talk.may(sender, to, self._facts.agents):
                yield f"what {sender} says to {to} is withheld, and the rules allow it"

    def _refused(self, event: Fact) -> Iterator[str]:
        self._count("refused messages")
        sender, target = event["sender"], event["target"]
        if target in self._facts.agents and self.talk.may(sender, target, self._facts.agents):
            yield f"what {sender} says to {target} is refused, and the rules allow it"

    def _delegated(self, event: Fact) -> Iterator[str]:
        delegating, named = event.get("delegated_by"), event["spec"].get("agent")
        task = self._facts.tasks.get(delegating or "")
        if task is None or task.agent is None or named is None:
            return
        self._count("delegations to an agent")
        if not self.talk.may(task.agent, named, self._facts.agents):
            yield f"{task.agent} delegates to {named}, to which it may not speak"

    # Assignments -------------------------------------------------------------------------------

    def _to_team(self, event: Fact) -> Iterator[str]:
        self._teams[event["task"]] = event["team"]
        self._count("tasks given to a team")
        head = self.talk.head(self._facts.agents)
        if self.talk.topology != "hierarchical" or event["by"] != head:
            yield f"{event['by']} gives {event['task']} to a team; the manager is {head}"

    def _given(self, kind: str, event: Fact) -> Iterator[str]:
        task, agent = event["task"], event["agent"]
        if task not in self._facts.tasks or agent not in self._facts.agents:
            yield f"{kind} for {task} and {agent}, of which one is not there"
        elif kind == "token_passed":
            yield from self._passed(event)
        elif kind == "bids_placed":
            yield from self._bidden(event)
        else:
            yield from self._assigned(event)

    def _passed(self, event: Fact) -> Iterator[str]:
        task, agent = event["task"], event["agent"]
        self._count("tokens passed")
        if self.talk.topology != "ring":
            yield f"a token is passed in a {self.talk.topology} swarm"
        if event.get("before") != self._token:
            yield f"the token comes from {event.get('before')}, and {self._token} had it"
        named = self._facts.tasks[task].spec.get("agent")
        if event.get("pinned", False) != (named is not None) or named not in (None, agent):
            yield f"the token goes to {agent} for {task}, which names {named}"
        between = self._between(agent)
        if event.get("over", 0) != sum(lives(name, self._facts.agents) for name in between):
            yield f"the token passes over {event.get('over', 0)} agents, and there are {between}"
        for name in between if named is None else ():
            if self._could_begin(name, task):
                yield f"the token passes over {name}, which could have begun {task} at once"
        self._token = agent
        self._pending = ("token", task, agent)

    def _between(self, agent: str) -> list[str]:
        """The agents that stand in the ring between who had the token and this one."""
        since = self._numbers.get(self._token or "", 0)
        names = list(self._facts.agents)
        line = [name for name in names if self._numbers[name] > since]
        line += [name for name in names if self._numbers[name] <= since]
        return line[: line.index(agent)] if agent in line else line

    def _could_begin(self, agent: str, task: str) -> bool:
        """Whether nothing is known that keeps an agent from beginning a task at once."""
        line = self._facts.agents[agent]
        return not line.open and self._is_hale(agent) and self._is_surely_able(agent, task)

    def _is_hale(self, agent: str) -> bool:
        """Whether nothing is known that would keep an agent from being given a task."""
        line = self._facts.agents[agent]
        worker = self._facts.workers[line.worker]
        if line.status not in ("ready", "processing") or line.draining:
            return False
        if line.version != line.built or line.worker in self._facts.upkeep.leaving:
            return False
        if f"agent:{agent}" in self._circuits:
            return False
        return worker.joined and not worker.awaited and not worker.suspected

    def _is_able(self, agent: str, task: str) -> bool:
        spec, line = self._facts.tasks[task].spec, self._facts.agents.get(agent)
        if line is None:
            return False
        wanted = spec.get("agent_type")
        if wanted not in (None, type_of(line)) or spec.get("agent") not in (None, agent):
            return False
        asked = spec.get("capabilities", ())
        return {word for word in asked if not word.startswith(SEATS)} <= line.offers

    def _is_surely_able(self, agent: str, task: str) -> bool:
        """The same, and the task is not meant for a seat, which it may or may not have."""
        asked = self._facts.tasks[task].spec.get("capabilities", ())
        return self._is_able(agent, task) and not any(word.startswith(SEATS) for word in asked)

    def _bidden(self, event: Fact) -> Iterator[str]:
        task, bids = event["task"], event["bids"]
        self._count("biddings")
        best = max(bid["total_bp"] for bid in bids)
        winner = next(bid["agent"] for bid in bids if bid["total_bp"] == best)
        if winner != event["agent"]:
            yield f"{event['agent']} is to get {task}, and {winner} bid more, or as much and first"
        for bid in bids:
            parts = {part: bid.get(part, 0) for part in WEIGHTS}
            within = all(0 <= parts[part] <= most for part, most in WEIGHTS.items())
            if not within or sum(parts.values()) != bid["total_bp"]:
                yield f"the bid of {bid['agent']} for {task} does not add up"
            if not self._is_able(bid["agent"], task):
                yield f"{bid['agent']} bids for {task} and could not do it"
        if len(bids) != min(event["able"], BIDS_MAX):
            yield f"{len(bids)} bid for {task}, and {event['able']} could do it"
        likely_us = event.get("likely_us") or 0
        if self._strategy == "adaptive" and (likely_us < BIDDING_WORTH_US or event["able"] < 2):
            yield f"there are bids for {task}, which is not worth it"
        self._pending = ("bids", task, event["agent"])

    def _assigned(self, event: Fact) -> Iterator[str]:
        task, agent, by = event["task"], event["agent"], event.get("by")
        pending, self._pending = self._pending, None
        self._count("assignments")
        self.assigners[by, agent] += 1
        spec = self._facts.tasks[task].spec
        if self._facts.mesh.was_won(task, event["attempt"]):
            self._count("assignments by auction")
            return
        chosen = pending is not None and pending[1:] == (task, agent)
        topology = self.talk.topology
        assigner = self._assigner(task)
        if by != assigner:
            yield f"{task} is assigned by {by}, and {assigner} assigns in a {topology} swarm"
        if topology == "ring" and not (chosen and pending is not None and pending[0] == "token"):
            yield f"{task} is given to {agent}, to which the token was not passed for it"
        elif topology == "mesh":
            yield from self._direct(task, spec)
        elif topology not in ("ring", "mesh") and self._strategy == "distributed":
            alone = spec.get("agent") is not None or is_for_one(spec)
            if not alone and not chosen and not self.talk.switches:
                yield f"{task} is given to {agent} without bids"
        yield from self._in_order(task, spec)

    def _assigner(self, task: str) -> str | None:
        agents = self._facts.agents
        if self.talk.topology == "star":
            return self.talk.centre(agents)
        if self.talk.topology != "hierarchical":
            return None
        lead = self.talk.leads.get(self._teams.get(task, ""))
        return lead or self.talk.head(agents)

    def _direct(self, task: str, spec: Fact) -> Iterator[str]:
        """In a mesh what was given out without an auction: for one agent only."""
        self._count("assignments without auction")
        if spec.get("agent") is not None:
            return
        agents = self._facts.agents
        able = [n for n in agents if self._is_surely_able(n, task) and self._is_hale(n)]
        if len(able) > 1:
            yield f"{task} is given out without an auction, and {able} could do it"

    # Stages ------------------------------------------------------------------------------------

    def _planned(self, event: Fact) -> None:
        name: str = event["spec"]["id"]
        if self.talk.topology == "sequential":
            self._staged[name] = None
        sizes: Mapping[str, Iterable[int]] = event.get("stages", {})
        for title, ids, _ in event["phases"]:
            groups, start = list[list[str]](), 0
            for size in sizes.get(title, ()):
                groups.append(list(ids[start : start + size]))
                start += size
            if groups:
                self._count("phases in stages")
                self._stages.setdefault(name, {})[title] = groups

    def _in_order(self, task: str, spec: Fact) -> Iterator[str]:
        """A part of a plan begins once the stages before its own have ended."""
        parent: str = spec.get("parent") or ""
        if parent in self._staged:
            yield from self._after_earlier_types(task, spec, parent)
        for group in self._stages.get(parent, {}).get(spec.get("phase") or "", ()):
            if task in group:
                return
            late = [n for n in group if self._facts.tasks[n].status not in ENDED]
            if late:
                yield f"{task} is given out before {late} of the stage before have ended"

    def _after_earlier_types(self, task: str, spec: Fact, parent: str) -> Iterator[str]:
        own = spec.get("agent_type")
        if own not in ORDER:
            return
        root = self._facts.tasks[parent]
        for title, names, _ in root.phases:
            for name in names if title == spec.get("phase") else ():
                other = self._facts.tasks[name]
                stage = other.spec.get("agent_type")
                before = stage in ORDER and ORDER.index(stage) < ORDER.index(own)
                if before and other.status not in ENDED:
                    yield f"{task}, for a {own}, is given out before {name}, for a {stage}"
