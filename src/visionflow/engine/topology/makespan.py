"""How long what is left would take under a topology: a list schedule. Pure.

Graham's list scheduling: whenever a task is ready, it goes to the able agent that is free first.
The result lies between the longer of critical path and work per agent (no schedule is shorter)
and twice that. Each task takes its agent, beside the work itself, what the topology costs: the
delay until it is assigned, and the talk about it. A topology changes the schedule itself too:

- sequential: nothing of a later stage of a phase begins before the earlier one has ended (a plan
  that was submitted under another topology has no stages);
- hierarchical with teams: a task is done within the team that has it, whoever is idle in the
  others; one that no team has yet is given to a team once it is ready, by the manager's score;
- mesh, star, ring: any able agent.
"""

from heapq import heapify, heappop, heappush

from visionflow.domain.swarms import Topology
from visionflow.engine.topology.hierarchy import CAPACITY_BP
from visionflow.engine.topology.seats import KEPT
from visionflow.engine.topology.unfinished import Node, Unfinished


class _Servers:
    """The places of agents, each class's by when it is free."""

    def __init__(self, work: Unfinished) -> None:
        self._work = work
        self.free_us = [0] * len(work.servers)
        self._heaps: list[list[tuple[int, int]]] = [[] for _ in work.offers]
        self._of: dict[str, list[int]] = {}
        for at, server in enumerate(work.servers):
            self._heaps[server.offer].append((0, at))
            self._of.setdefault(server.agent, []).append(at)
        for heap in self._heaps:
            heapify(heap)

    def of_agent(self, agent: str) -> int | None:
        """The place of an agent that is free first."""
        return min(self._of.get(agent, ()), key=self.free_us.__getitem__, default=None)

    def first(self, able: list[int]) -> int | None:
        """The place that is free first, of these classes."""
        best: tuple[int, int] | None = None
        for offer in able:
            heap = self._heaps[offer]
            while heap and heap[0][0] != self.free_us[heap[0][1]]:
                heappop(heap)
            if heap and (best is None or heap[0] < best):
                best = heap[0]
        return None if best is None else best[1]

    def take(self, at: int, start_us: int, takes_us: int) -> int:
        """Occupy a place; returns until when."""
        offer = self._work.servers[at].offer
        end_us = self.free_us[at] = start_us + takes_us
        heappush(self._heaps[offer], (end_us, at))
        return end_us


class _Dealer:
    """Gives each task to a team, by what these have to do at that time."""

    def __init__(self, work: Unfinished) -> None:
        self._choices = work.choices
        self._waiting: dict[str, int] = {}
        """Of each team, tasks that it has."""
        self._ends: dict[str, list[int]] = {}
        """Of those, when the ones that were placed end."""
        for node in work.nodes:
            if node.team:
                self._waiting[node.team] = self._waiting.get(node.team, 0) + 1

    def give(self, node: Node, now_us: int) -> tuple[str | None, list[int] | None]:
        """The team that gets a task, or has it, and the classes in it that could do it; `None`:
        whoever could do it may."""
        choices = self._choices.get(node.group)
        if not choices or node.team == KEPT:
            return node.team or None, None
        if node.team is not None and node.team in choices:
            return node.team, choices[node.team].able
        scores = {
            name: each.fixed_bp + self._capacity_bp(name, each.places, now_us)
            for name, each in choices.items()
            if each.fixed_bp is not None
        }
        if not scores:
            return None, None
        team = max(scores, key=scores.__getitem__)
        if node.team:
            self._waiting[node.team] -= 1
        self._waiting[team] = self._waiting.get(team, 0) + 1
        return team, choices[team].able

    def _capacity_bp(self, team: str, places: int, now_us: int) -> int:
        ends = self._ends.get(team, [])
        while ends and ends[0] <= now_us:
            heappop(ends)
            self._waiting[team] -= 1
        return CAPACITY_BP * places // max(1, places + self._waiting.get(team, 0))

    def ends(self, team: str, end_us: int) -> None:
        """A task of a team was placed, and ends then."""
        heappush(self._ends.setdefault(team, []), end_us)


def makespan_us(work: Unfinished, topology: Topology, overhead_us: int, failed_bp: int = 0) -> int:
    """Until the last task ends, in microseconds.

    `overhead_us`: of an agent's time for each task. `failed_bp`: the share of attempts that fail,
    and are made again.
    """
    servers = _Servers(work)
    sequential = topology is Topology.SEQUENTIAL
    by_team = topology is Topology.HIERARCHICAL and bool(work.choices)
    manager = _Dealer(work) if by_team else None
    nodes = work.nodes
    waits = [node.before + (node.held if sequential else 0) for node in nodes]
    ready_us = [0] * len(nodes)
    held = dict.fromkeys(work.under_way)
    heap = [
        (0, at not in held, *nodes[at].order, at) for at, count in enumerate(waits) if not count
    ]
    heapify(heap)
    last_us = 0
    while heap:
        end_us, _, _, _, at = heappop(heap)
        node = nodes[at]
        if node.group >= 0:
            team, able = (None, None) if manager is None else manager.give(node, end_us)
            if node.agent is not None:
                place = servers.of_agent(node.agent)
            else:
                place = servers.first(work.groups[node.group] if able is None else able)
            # What nobody can do waits under any topology.
            if place is not None:
                again = node.left_us * failed_bp // max(1, 10_000 - failed_bp)
                takes_us = node.left_us + again + (0 if at in held else overhead_us)
                end_us = servers.take(place, max(end_us, servers.free_us[place]), takes_us)
                if manager is not None and team is not None:
                    manager.ends(team, end_us)
        elif manager is not None and node.team:
            manager.ends(node.team, end_us)
        last_us = max(last_us, end_us)
        for then in (*node.after, *node.staged) if sequential else node.after:
            ready_us[then] = max(ready_us[then], end_us)
            waits[then] -= 1
            if not waits[then]:
                heappush(heap, (ready_us[then], True, *nodes[then].order, then))
    return last_us
