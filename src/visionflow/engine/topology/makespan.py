"""How long what is left would take under a topology: a list schedule. Pure.

Graham's list scheduling: whenever a task is ready, it goes to the able agent that is free first.
The result lies between the longer of critical path and work per agent (no schedule is shorter)
and twice that. Each task takes its agent, beside the work itself, what the topology costs: the
delay until it is assigned, and the talk about it. A topology changes the schedule itself too:

- sequential: nothing of a later stage of a phase begins before the earlier one has ended (a plan
  that was submitted under another topology has no stages);
- hierarchical with teams: a task is done within the team that is given it, which is the one with
  the least to do for its size, whoever is idle in the others;
- mesh, star, ring: any able agent.
"""

from heapq import heapify, heappop, heappush

from visionflow.domain.swarms import Topology
from visionflow.engine.topology.unfinished import Unfinished


class _Servers:
    """The places of agents, each class's by when it is free."""

    def __init__(self, work: Unfinished) -> None:
        self._work = work
        self.free_us = [0] * len(work.servers)
        self._heaps: list[list[tuple[int, int]]] = [[] for _ in work.offers]
        self._of: dict[str, list[int]] = {}
        self._load_us: dict[str, int] = dict.fromkeys(work.teams, 0)
        for at, server in enumerate(work.servers):
            self._heaps[server.offer].append((0, at))
            self._of.setdefault(server.agent, []).append(at)
        for heap in self._heaps:
            heapify(heap)

    def of_agent(self, agent: str) -> int | None:
        """The place of an agent that is free first."""
        return min(self._of.get(agent, ()), key=self.free_us.__getitem__, default=None)

    def first(self, group: int, by_team: bool) -> int | None:
        """The place that is free first, of those who could do what this group asks for."""
        able = self._work.groups[group]
        if by_team:
            able = self._in_team(able)
        best: tuple[int, int] | None = None
        for offer in able:
            heap = self._heaps[offer]
            while heap and heap[0][0] != self.free_us[heap[0][1]]:
                heappop(heap)
            if heap and (best is None or heap[0] < best):
                best = heap[0]
        return None if best is None else best[1]

    def _in_team(self, able: list[int]) -> list[int]:
        offers, teams = self._work.offers, self._work.teams
        named = sorted({team for at in able if (team := offers[at][1]) is not None})
        if not named:
            return able
        team = min(named, key=lambda name: self._load_us[name] / teams[name])
        return [at for at in able if offers[at][1] == team]

    def take(self, at: int, start_us: int, takes_us: int) -> int:
        """Occupy a place; returns until when."""
        offer = self._work.servers[at].offer
        end_us = self.free_us[at] = start_us + takes_us
        heappush(self._heaps[offer], (end_us, at))
        team = self._work.offers[offer][1]
        if team is not None:
            self._load_us[team] += takes_us
        return end_us


def makespan_us(work: Unfinished, topology: Topology, overhead_us: int, failed_bp: int = 0) -> int:
    """Until the last task ends, in microseconds.

    `overhead_us`: of an agent's time for each task. `failed_bp`: the share of attempts that fail,
    and are made again.
    """
    servers = _Servers(work)
    sequential = topology is Topology.SEQUENTIAL
    by_team = topology is Topology.HIERARCHICAL and bool(work.teams)
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
            if node.agent is not None:
                place = servers.of_agent(node.agent)
            else:
                place = servers.first(node.group, by_team)
            # What nobody can do waits under any topology.
            if place is not None:
                again = node.left_us * failed_bp // max(1, 10_000 - failed_bp)
                takes_us = node.left_us + again + (0 if at in held else overhead_us)
                end_us = servers.take(place, max(end_us, servers.free_us[place]), takes_us)
        last_us = max(last_us, end_us)
        for then in (*node.after, *node.staged) if sequential else node.after:
            ready_us[then] = max(ready_us[then], end_us)
            waits[then] -= 1
            if not waits[then]:
                heappush(heap, (ready_us[then], True, *nodes[then].order, then))
    return last_us
