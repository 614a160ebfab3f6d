"""What is left to do in a swarm, as a graph of tasks and the agents that could do them. Pure.

It is what a prediction rests on: durations from the record of like tasks, dependencies, the phases
of plans, who is able to do what, and which team has a task already or would be given it. Where
there is no record at all, nothing is predicted.
"""

from collections.abc import Mapping
from typing import NamedTuple

from visionflow.domain.agents import AgentStatus
from visionflow.domain.shape import Plan
from visionflow.domain.tasks import TERMINAL, TaskSpec, TaskStatus
from visionflow.domain.teams import LEADS, MANAGER, is_leading, lead_word, team_word
from visionflow.engine.matching import GroupKey, needs
from visionflow.engine.phasing import stages_of
from visionflow.engine.state import PhaseState, PlanState, SwarmState, TaskState
from visionflow.engine.topology.hierarchy import CAPACITY_BP, fits
from visionflow.engine.topology.seats import (
    KEPT,
    OF_A_TEAM,
    is_meant_for_a_seat,
    offers_of,
    team_with,
    wanted_of,
)

TASKS_MAX, TASKS_MIN = 256, 16
"""Tasks that are looked at, the oldest first; a gain is a ratio, and theirs stands for all. Fewer
where agents are of many kinds, so that the loop is not held up."""
PAIRS_MAX = 16_384
"""Of a task and a kind of agent."""
UNDER_WAY = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING)
Offer = frozenset[str]
"""What agents offer, the words of their seats included: those that offer the same are a class."""
BySeat = dict[str, list[tuple[Offer, int]]]
"""Classes by each word of a team's seats that they offer."""
NO_TEAMS: Mapping[str, "Choice"] = {}


class Server(NamedTuple):
    """One of the places of an agent."""

    agent: str
    offer: int


class Choice(NamedTuple):
    """A team in which somebody could do a task."""

    fixed_bp: int | None
    """Its score without the share for capacity, which changes with what it has to do; `None`: it
    is given none now."""
    places: int
    able: list[int]
    """The classes in it that could do the task."""


class Node:
    """A task; or the end of a phase or of a delegation, which takes nothing and nobody."""

    __slots__ = ("after", "agent", "before", "group", "held", "left_us", "order", "staged", "team")

    def __init__(self, order: tuple[int, int]) -> None:
        self.order = order
        self.group = -1
        """What it asks for; -1: it is an end."""
        self.agent: str | None = None
        """Who has it already, or is the only one that may."""
        self.team: str | None = None
        """The team that has it already; empty: its manager kept it; `None`: none was chosen."""
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
        self.choices: dict[int, Mapping[str, Choice]] = {}
        """By group, the teams in which somebody could do it, in the order of their forming."""
        self.edges = 0
        self.beyond = 0
        self.single = 0
        self.is_known = False
        """Whether the duration of every task follows from a record."""


def unfinished(state: SwarmState, now_ms: int) -> Unfinished:
    """What is left to do."""
    work = Unfinished()
    by_offer = _servers(state, work)
    by_seat = _by_seat(by_offer) if state.teams.teams else {}
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
            seen = sum(work.nodes[at].group >= 0 for at in places.values())
            work.beyond = _count(state) - seen
            break
        places[name] = len(work.nodes)
        node = Node((task.spec.priority, len(work.nodes)))
        work.nodes.append(node)
        spec = task.spec
        if state.teams.teams:
            node.team = _team_of(state, spec)
        if is_leading(spec.type):
            continue  # Who leads takes no place, and waits for others: see `_link`.
        key = _key_of(spec)
        if key not in keys:
            keys[key] = len(work.groups)
            wanted = needs(key)
            work.groups.append([at for offer, at in by_offer.items() if wanted <= offer])
        node.group = keys[key]
        node.agent = task.agent or spec.agent
        if state.teams.teams and spec.agent is None and node.group not in work.choices:
            work.choices[node.group] = _choices(state, spec, by_seat)
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


def _is_work(task: TaskState) -> bool:
    return task.plan is None and task.status not in TERMINAL and not is_leading(task.spec.type)


def _count(state: SwarmState) -> int:
    return sum(_is_work(task) for task in state.tasks.values())


def _servers(state: SwarmState, work: Unfinished) -> dict[Offer, int]:
    by_offer: dict[Offer, int] = {}
    for name, agent in state.agents.items():
        if agent.status in GONE or name in state.draining:
            continue
        offer = offers_of(state, agent.spec)
        at = by_offer.setdefault(offer, len(by_offer))
        if at == len(work.offers):
            work.offers.append(offer)
        work.servers.extend([Server(name, at)] * agent.spec.tasks_max)
    return by_offer


def _by_seat(by_offer: dict[Offer, int]) -> BySeat:
    by_seat: BySeat = {}
    for offer, at in by_offer.items():
        for word in offer:
            if word.startswith(OF_A_TEAM):
                by_seat.setdefault(word, []).append((offer, at))
    return by_seat


def _key_of(spec: TaskSpec) -> GroupKey:
    """What a task asks for where teams choose nothing. A seat that it names itself it asks for
    under any topology."""
    if LEADS in spec.capabilities and not is_meant_for_a_seat(spec):
        return (MANAGER,), None, None
    return spec.capabilities, spec.agent_type, None


def _team_of(state: SwarmState, spec: TaskSpec) -> str | None:
    if state.teams.delegated.get(spec.id) == KEPT:
        return KEPT
    return team_with(state, spec)


def _choices(state: SwarmState, spec: TaskSpec, by_seat: BySeat) -> Mapping[str, Choice]:
    """The teams in which somebody could do such a task, as a manager weighs them."""
    if is_meant_for_a_seat(spec):
        return NO_TEAMS
    found = {fit.team: fit for fit in fits(state, spec)}
    led, wanted = LEADS in spec.capabilities, wanted_of(spec)
    choices: dict[str, Choice] = {}
    for team in state.teams.teams:
        seat = lead_word(team) if led else team_word(team)
        able = [at for offer, at in by_seat.get(seat, ()) if led or wanted <= offer]
        fit = found.get(team)
        if fit is not None:
            capacity_bp = CAPACITY_BP * fit.places // max(1, fit.places + fit.waiting)
            choices[team] = Choice(fit.score_bp - capacity_bp, fit.places, able)
        elif able:
            choices[team] = Choice(None, 0, able)
    return choices


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
        if node.group >= 0:
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
    for part, whole in state.supervised.delegated.items():
        # What is led ends with what was handed out for it.
        if part in places and whole in places and work.nodes[places[whole]].group < 0:
            _edge(work, places[part], places[whole])


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
