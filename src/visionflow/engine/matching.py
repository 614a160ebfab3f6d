"""Matching: the most urgent task that anybody can take, and the best agent for it.

A group is all queued tasks that ask for the same: a heap by (order, arrival), where order is the
time of submission minus the bonus of the priority. Waiting ages all tasks alike, so the order of
two waiting tasks never changes and the key is fixed.

A class is all agents that offer the same. Classes are numbered by size, so that among the classes
that can serve a group the lowest bit is the best specialist. Which classes serve a group, which
groups a class serves, and which classes have a free agent at each score level are integers used
as bitsets: finding the best agent costs at most sixteen ANDs however many agents there are, and
finding that nothing fits costs one.

Groups whose classes are all busy are parked, and come back when one of those classes gets a free
agent, so a pass looks only at groups for which something changed.

All of this is an index: it can be rebuilt from tasks and agents.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice

from visionflow.domain.limits import AGING_MS_PER_POINT, SCORE_LEVELS

GroupKey = tuple[tuple[str, ...], str | None, str | None]
"""Capabilities, agent type, and the one agent that was asked for."""
EMPTY_GROUPS_MAX = 4_096


def order_of(since_ms: int, priority: int) -> int:
    """The place in the queue; smaller is sooner."""
    return since_ms + priority * AGING_MS_PER_POINT


def offers(capabilities: tuple[str, ...], agent_type: str) -> frozenset[str]:
    """What an agent offers: its capabilities, and its type as one more."""
    return frozenset((*capabilities, f"type:{agent_type}"))


def needs(key: GroupKey) -> frozenset[str]:
    """What a group asks for, in the same words."""
    capabilities, agent_type, _ = key
    return frozenset(capabilities if agent_type is None else (*capabilities, f"type:{agent_type}"))


class Group:
    """Queued tasks that ask for the same."""

    __slots__ = ("agent", "bit", "classes", "entry", "heap", "key", "needs", "size")

    def __init__(self, key: GroupKey, bit: int) -> None:
        self.key = key
        self.needs = needs(key)
        self.agent = key[2]
        self.bit = bit
        self.classes = 0
        self.heap: list[tuple[int, int, str]] = []
        self.size = 0
        """Tasks in the heap that are still queued."""
        self.entry = 0
        """Its place in the list of groups to look at, by the arrival of the task that stands
        there for it; other entries of it are stale. 0: it is not listed."""


class AgentClass:
    """Agents that offer the same; those with room, by score level, in order of their turn."""

    __slots__ = ("bit", "counts", "groups", "offers", "queues", "total")

    def __init__(self, offered: frozenset[str]) -> None:
        self.offers = offered
        self.bit = 0
        self.groups = 0
        self.queues: list[deque[tuple[int, str]]] = [deque() for _ in range(SCORE_LEVELS)]
        self.counts = [0] * SCORE_LEVELS
        self.total = 0
        """Its agents with room, at any level."""


class Seat:
    """Where an agent stands in its class. A ticket tells its entry from older ones of it."""

    __slots__ = ("level", "member", "ticket")

    def __init__(self, member: AgentClass) -> None:
        self.member = member
        self.level = -1
        self.ticket = 0


class Matching:
    """The index of queued tasks and of agents with room."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        self._by_bit: list[Group] = []
        self._classes: list[AgentClass] = []
        self._by_offer: dict[frozenset[str], AgentClass] = {}
        self._seats: dict[str, Seat] = {}
        self._queued: dict[str, Group] = {}
        self._pinned: dict[str, list[Group]] = {}
        self._free_at = [0] * SCORE_LEVELS
        self._free = 0
        self._parked = 0
        self._ready: list[tuple[int, int, int]] = []
        self._arrivals = 0
        self._groups_max = EMPTY_GROUPS_MAX
        self._stale = False

    def __len__(self) -> int:
        return len(self._queued)

    def __contains__(self, task: str) -> bool:
        return task in self._queued

    @property
    def idle(self) -> bool:
        """Nothing can be assigned now."""
        return not self._stale and (not self._free or not self._ready)

    # Tasks ---------------------------------------------------------------------------------

    def enqueue(self, task: str, key: GroupKey, order: int) -> None:
        """A task waits for an agent."""
        group = self._groups.get(key)
        if group is None:
            group = self._new_group(key)
        self._arrivals += 1
        heappush(group.heap, (order, self._arrivals, task))
        group.size += 1
        self._queued[task] = group
        if not group.entry or group.heap[0][2] == task:
            self._list(group)

    def dequeue(self, task: str) -> None:
        """A task no longer waits. Its entry is dropped when it comes to the head."""
        group = self._queued.pop(task)
        group.size -= 1
        heap = group.heap
        if heap[0][2] == task:
            heappop(heap)
            if heap and self._queued.get(heap[0][2]) is not group:
                self._drop_stale(group)

    def _drop_stale(self, group: Group) -> None:
        heap, queued = group.heap, self._queued
        while heap and queued.get(heap[0][2]) is not group:
            heappop(heap)

    def _new_group(self, key: GroupKey) -> Group:
        if len(self._groups) >= self._groups_max:
            self._forget_empty_groups()
            self._groups_max = max(EMPTY_GROUPS_MAX, 2 * len(self._groups))
        group = self._groups[key] = Group(key, len(self._by_bit))
        self._by_bit.append(group)
        for agent_class in self._classes:
            if group.needs <= agent_class.offers:
                group.classes |= 1 << agent_class.bit
                agent_class.groups |= 1 << group.bit
        if group.agent is not None:
            self._pinned.setdefault(group.agent, []).append(group)
        return group

    def _forget_empty_groups(self) -> None:
        self._groups = {key: group for key, group in self._groups.items() if group.size}
        self._pinned = {}
        for group in self._groups.values():
            if group.agent is not None:
                self._pinned.setdefault(group.agent, []).append(group)
        self._renumber()

    def _list(self, group: Group) -> None:
        """Have the next pass look at a group, at the place of its head."""
        self._parked &= ~(1 << group.bit)
        if len(self._ready) > 2 * len(self._by_bit) + 64:
            self._drop_stale_entries()
        order, group.entry, _ = group.heap[0]
        heappush(self._ready, (order, group.entry, group.bit))

    def _drop_stale_entries(self) -> None:
        by_bit = self._by_bit
        self._ready = [entry for entry in self._ready if by_bit[entry[2]].entry == entry[1]]
        heapify(self._ready)

    # Agents --------------------------------------------------------------------------------

    def join(self, agent: str, offered: frozenset[str]) -> None:
        """An agent takes part; it has no room until `place` says so."""
        member = self._by_offer.get(offered)
        if member is None:
            member = self._by_offer[offered] = AgentClass(offered)
            self._classes.append(member)
            self._stale = True
        self._seats[agent] = Seat(member)

    def leave(self, agent: str) -> None:
        """An agent takes no part any more."""
        self.place(agent, -1)
        del self._seats[agent]

    def place(self, agent: str, level: int) -> None:
        """An agent has room at this score level (to the end of the line), or none (-1)."""
        seat = self._seats[agent]
        member, old = seat.member, seat.level
        seat.ticket += 1
        seat.level = level
        if level >= 0:
            queue = member.queues[level]
            queue.append((seat.ticket, agent))
            if old != level:
                self._count(member, level, 1)
            if len(queue) > 2 * member.counts[level] + 16:
                self._compact(queue, level)
            for group in self._pinned.get(agent, ()):
                if group.size and not group.entry:
                    self._list(group)
        if old >= 0 and old != level:
            self._count(member, old, -1)

    def _count(self, member: AgentClass, level: int, change: int) -> None:
        member.counts[level] += change
        member.total += change
        bit = 1 << member.bit
        if change > 0:
            if member.counts[level] == 1 and not self._stale:
                self._free_at[level] |= bit
                if not self._free & bit:
                    self._free |= bit
                    self._unpark(member)
        elif member.counts[level] == 0:
            self._free_at[level] &= ~bit
            member.queues[level].clear()
            if not member.total:
                self._free &= ~bit

    def _unpark(self, member: AgentClass) -> None:
        waiting = member.groups & self._parked
        while waiting:
            low = waiting & -waiting
            waiting ^= low
            group = self._by_bit[low.bit_length() - 1]
            if group.size and not group.entry:
                self._list(group)

    def _compact(self, queue: deque[tuple[int, str]], level: int) -> None:
        kept = [entry for entry in queue if self._holds(entry, level)]
        queue.clear()
        queue.extend(kept)

    def _holds(self, entry: tuple[int, str], level: int) -> bool:
        seat = self._seats.get(entry[1])
        return seat is not None and seat.ticket == entry[0] and seat.level == level

    def _renumber(self) -> None:
        """Number classes by size and groups densely, and make all bitsets anew."""
        self._classes.sort(key=lambda member: len(member.offers))
        self._by_bit = list(self._groups.values())
        self._free_at = [0] * SCORE_LEVELS
        self._free = self._parked = 0
        for bit, group in enumerate(self._by_bit):
            group.bit, group.classes, group.entry = bit, 0, 0
        for bit, member in enumerate(self._classes):
            member.bit, member.groups = bit, 0
            for level, count in enumerate(member.counts):
                if count:
                    self._free_at[level] |= 1 << bit
                    self._free |= 1 << bit
            for group in self._by_bit:
                if group.needs <= member.offers:
                    group.classes |= 1 << bit
                    member.groups |= 1 << group.bit
        self._ready.clear()
        self._stale = False
        for group in self._by_bit:
            if group.size:
                self._list(group)

    # The pass ------------------------------------------------------------------------------

    def best(self) -> tuple[str, str] | None:
        """The next (task, agent) to assign, or nothing. It changes only the list of groups to
        look at: the task stays queued until `dequeue`, the agent where it is until `place`."""
        if self._stale:
            self._renumber()
        ready, by_bit, queued = self._ready, self._by_bit, self._queued
        while ready and self._free:
            _, listed, bit = ready[0]
            group = by_bit[bit]
            if listed != group.entry:
                heappop(ready)
                continue
            if not group.size:
                heappop(ready)
                group.entry = 0
                continue
            order, arrival, task = group.heap[0]
            if queued.get(task) is not group:
                self._drop_stale(group)
                order, arrival, task = group.heap[0]
            if arrival != listed:
                group.entry = arrival
                heapreplace(ready, (order, arrival, bit))
                continue
            agent = self._agent_for(group)
            if agent is not None:
                return task, agent
            heappop(ready)
            group.entry = 0
            if group.agent is None:
                self._parked |= 1 << group.bit
        return None

    def _agent_for(self, group: Group) -> str | None:
        if group.agent is not None:
            seat = self._seats.get(group.agent)
            if seat is None or seat.level < 0 or not group.needs <= seat.member.offers:
                return None
            return group.agent
        able = group.classes & self._free
        if not able:
            return None
        for level in range(SCORE_LEVELS - 1, -1, -1):
            found = able & self._free_at[level]
            if found:
                member = self._classes[(found & -found).bit_length() - 1]
                queue = member.queues[level]
                while True:
                    ticket, agent = queue[0]
                    seat = self._seats.get(agent)
                    if seat is not None and seat.ticket == ticket and seat.level == level:
                        return agent
                    queue.popleft()
        return None

    # Questions -----------------------------------------------------------------------------

    def able(self, key: GroupKey) -> bool:
        """Whether any agent that takes part, busy or not, could do such a task."""
        wanted, agent = needs(key), key[2]
        if agent is not None:
            seat = self._seats.get(agent)
            return seat is not None and wanted <= seat.member.offers
        return any(wanted <= seat.member.offers for seat in self._seats.values())

    def key_of(self, task: str) -> GroupKey:
        """What a queued task asks for."""
        return self._queued[task].key

    @property
    def has_room(self) -> bool:
        """Whether any agent has room."""
        return any(member.total for member in self._classes) if self._stale else bool(self._free)

    def takers(self, key: GroupKey) -> Iterator[tuple[str, int]]:
        """The agents with room that could do such a task, and the level of each, in the order in
        which they would be given one."""
        wanted = needs(key)
        able = sorted(
            (member for member in self._classes if member.total and wanted <= member.offers),
            key=lambda member: len(member.offers),
        )
        for level in reversed(range(SCORE_LEVELS)):
            for member in able:
                if member.counts[level]:
                    for entry in member.queues[level]:
                        if self._holds(entry, level):
                            yield entry[1], level

    def groups(self, looked_at_max: int) -> Iterator[tuple[GroupKey, int, list[str]]]:
        """Of queued tasks that ask for the same: what they ask for, how many they are, and the
        next ones in line, so many at most and in no order among them."""
        for key, group in self._groups.items():
            if group.size:
                # The front of a heap has the smallest, and more the deeper one looks.
                front = (task for _, _, task in group.heap if self._queued.get(task) is group)
                yield key, group.size, list(dict.fromkeys(islice(front, looked_at_max)))

    def offered(self, agent: str) -> frozenset[str] | None:
        """What an agent offers; `None` if it takes no part."""
        seat = self._seats.get(agent)
        return None if seat is None else seat.member.offers

    def room(self, agent: str) -> int | None:
        """The level at which an agent waits; -1 without room, `None` if it takes no part."""
        seat = self._seats.get(agent)
        return None if seat is None else seat.level
