"""What is left to do in a swarm, as a graph of tasks and the agents that could do them. Pure.

It is what a prediction rests on: durations from the record of like tasks, dependencies, the phases
of plans, and who is able to do what. Where there is no record at all, nothing is predicted.
"""

from typing import NamedTuple

from visionflow.domain.agents import AgentStatus
from visionflow.domain.shape import Plan
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.matching import GroupKey, needs, offers
from visionflow.engine.phasing import stages_of
from visionflow.engine.state import PhaseState, PlanState, SwarmState

TASKS_MAX, TASKS_MIN = 256, 16
"""Tasks that are looked at, the oldest first; a gain is a ratio, and theirs stands for all. Fewer
where agents are of many kinds, so that the loop is not held up."""
PAIRS_MAX = 16_384
"""Of a task and a kind of agent."""
UNDER_WAY = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING)
Offer = tuple[frozenset[str], str | None]
"""What agents offer, and their team: agents of which both are the same are one class."""


class Server(NamedTuple):
    """One of the places of an agent."""

    agent: str
    offer: int


class Node:
    """A task, or the end of a phase, which takes nothing and nobody."""

    __slots__ = ("after", "agent", "before", "group", "held", "left_us", "order", "staged")

    def __init__(self, order: tuple[int, int]) -> None:
        self.order = order
        self.group = -1
        """What it asks for; -1: it is the end of a phase."""
        self.agent: str | None = None
        """Who has it already, or is the only one that may."""
        self.left_us = 0
        self.before = 0
        """How many others it waits for."""
        self.after: list[int] = []
        self.held = 0
        """How many more, while the swarm is sequential; these wait for it so, too:"""
        self.staged: list[int] = []


class Unfinished:
    """The graph."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.under_way: list[int] = []
        """Of the nodes, those that an agent has."""
        self.offers: list[Offer] = []
        self.servers: list[Server] = []
        self.groups: list[list[int]] = []
        """By what is asked for, the classes that could do it."""
        self.teams: dict[str, int] = {}
        """How many places each has."""
        self.edges = 0
        self.beyond = 0
        self.single = 0
        self.is_known = False
        """Whether the duration of every task follows from a record."""


def unfinished(state: SwarmState, now_ms: int) -> Unfinished:
    """What is left to do."""
    work = Unfinished()
    by_offer = _servers(state, work)
    most = min(TASKS_MAX, max(TASKS_MIN, PAIRS_MAX // max(1, len(by_offer))))
    places: dict[str, int] = {}
    keys: dict[GroupKey, int] = {}
    likely: dict[tuple[int, str], int | None] = {}
    totals = state.totals
    swarm_us = totals.work_us // totals.done if totals.done else None
    work.is_known = True
    for name, task in state.tasks.items():
        if task.plan is not None or task.status in TERMINAL:
            continue
        if len(places) == most:
            work.beyond = state.live - len(places) - _plans(state)
            break
        places[name] = len(work.nodes)
        node = Node((task.spec.priority, len(work.nodes)))
        work.nodes.append(node)
        spec = task.spec
        key = (spec.capabilities, spec.agent_type, None)
        if key not in keys:
            keys[key] = len(work.groups)
            wanted = needs(key)
            work.groups.append([at for offer, at in by_offer.items() if wanted <= offer[0]])
        node.group = keys[key]
        node.agent = task.agent or spec.agent
        kind = (node.group, spec.type)
        if kind not in likely:
            likely[kind] = _likely_us(state, work, node.group, spec.type, swarm_us)
        found_us = likely[kind]
        work.is_known = work.is_known and found_us is not None
        node.left_us = found_us or 0
        if task.status in UNDER_WAY:
            work.under_way.append(places[name])
            node.left_us = max(0, node.left_us - (now_ms - task.changed_ms) * 1_000)
    _count_single(work)
    _link(state, work, places)
    return work


def _plans(state: SwarmState) -> int:
    return sum(
        task.plan is not None and task.status not in TERMINAL for task in state.tasks.values()
    )


def _servers(state: SwarmState, work: Unfinished) -> dict[Offer, int]:
    by_offer: dict[Offer, int] = {}
    for name, agent in state.agents.items():
        if agent.status in GONE or name in state.draining:
            continue
        team = state.seating.team_of.get(name)
        offer = (offers(agent.spec.capabilities, agent.spec.type), team)
        at = by_offer.setdefault(offer, len(by_offer))
        if at == len(work.offers):
            work.offers.append(offer)
        work.servers.extend([Server(name, at)] * agent.spec.tasks_max)
        if team is not None:
            work.teams[team] = work.teams.get(team, 0) + agent.spec.tasks_max
    return by_offer


def _likely_us(
    state: SwarmState, work: Unfinished, group: int, task_type: str, swarm_us: int | None
) -> int | None:
    """What a task of a type takes those who could do it; else what the tasks of this swarm took."""
    able = frozenset(work.groups[group])
    done = spent_us = 0
    for name in dict.fromkeys(each.agent for each in work.servers if each.offer in able):
        record = state.records.of(name, task_type)
        done += record.completed
        spent_us += record.completed * record.mean_us
    return spent_us // done if done else swarm_us


def _count_single(work: Unfinished) -> None:
    agents: list[set[str]] = [set() for _ in work.offers]
    for server in work.servers:
        agents[server.offer].add(server.agent)
    able = [sum(len(agents[offer]) for offer in group) for group in work.groups]
    for node in work.nodes:
        work.single += node.agent is not None or able[node.group] == 1


def _link(state: SwarmState, work: Unfinished, places: dict[str, int]) -> None:
    roots: dict[str, PlanState] = {}
    for name, at in places.items():
        spec = state.tasks[name].spec
        for needed in spec.depends_on:
            if needed in places:
                _edge(work, places[needed], at)
                work.edges += 1
        root = None if spec.parent is None else state.tasks.get(spec.parent)
        if root is not None and root.plan is not None:
            roots.setdefault(root.spec.id, root.plan)
    for plan in roots.values():
        _link_plan(work, plan, places)


def _link_plan(work: Unfinished, plan: PlanState, places: dict[str, int]) -> None:
    """A phase begins when the one before has ended, and has so many under way at once."""
    gate: int | None = None
    for phase in plan.phases[plan.current :]:
        own = [places[name] for name in phase.tasks if name in places]
        for turn, at in enumerate(own):
            if gate is not None:
                _edge(work, gate, at)
            if phase.turns and turn >= phase.turns:
                _edge(work, own[turn - phase.turns], at)
                work.edges += 1
        if not own:
            continue
        _link_stages(work, phase, places)
        end = Node((0, len(work.nodes)))
        work.nodes.append(end)
        for at in own:
            _edge(work, at, len(work.nodes) - 1)
        work.edges += len(own) if gate is not None else 0
        gate = len(work.nodes) - 1


def _link_stages(work: Unfinished, phase: PhaseState, places: dict[str, int]) -> None:
    """While the swarm is sequential, a stage of a phase begins when the one before has ended."""
    before: list[int] = []
    for stage in stages_of(phase) if phase.stages else ():
        own = [places[name] for name in stage if name in places]
        if own and before:
            gate = Node((0, len(work.nodes)))
            gate.held = len(before)
            gate.staged = own
            for at in before:
                work.nodes[at].staged.append(len(work.nodes))
            for at in own:
                work.nodes[at].held += 1
            work.nodes.append(gate)
        before = own or before


def _edge(work: Unfinished, before: int, after: int) -> None:
    work.nodes[before].after.append(after)
    work.nodes[after].before += 1


def shape_of(work: Unfinished) -> Plan:
    """Width, depth and length of the graph."""
    nodes = work.nodes
    waits = [node.before for node in nodes]
    depth = [0] * len(nodes)
    ends_us = [0] * len(nodes)
    ready = [at for at, count in enumerate(waits) if not count]
    wide: dict[int, int] = {}
    for at in ready:
        node = nodes[at]
        if node.group >= 0:
            depth[at] += 1
            wide[depth[at]] = wide.get(depth[at], 0) + 1
        ends_us[at] += node.left_us
        for then in node.after:
            depth[then] = max(depth[then], depth[at])
            ends_us[then] = max(ends_us[then], ends_us[at])
            waits[then] -= 1
            if not waits[then]:
                ready.append(then)
    known = work.is_known and bool(wide)
    return Plan(
        tasks=sum(wide.values()),
        depth=max(depth, default=0),
        width=max(wide.values(), default=0),
        dependencies=work.edges,
        work_ms=sum(node.left_us for node in nodes) // 1_000 if known else None,
        critical_ms=max(ends_us) // 1_000 if known else None,
        single=work.single,
        beyond=work.beyond,
    )
