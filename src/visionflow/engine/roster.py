"""The agents of a swarm in the order in which they joined, as an index that can be rebuilt.

An agent that failed keeps its place: should it be brought back, it stands where it stood.
"""

from collections.abc import Iterator

COORDINATOR = "coordinator"


class Roster:
    """Who there is, in the order of joining; the first of a type, the next after one."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._next: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._types: dict[str, dict[str, None]] = {}
        self.coordinators: dict[str, None] = {}
        """Those of that type, in order."""
        self._type_of: dict[str, str] = {}
        self._last: str | None = None
        self._joined = 0

    def join(self, agent: str, agent_type: str) -> None:
        """An agent comes to stand at the end of the line."""
        self._joined += 1
        self._places[agent] = self._joined
        self._types.setdefault(agent_type, {})[agent] = None
        self._type_of[agent] = agent_type
        if agent_type == COORDINATOR:
            self.coordinators[agent] = None
        if self._last is not None:
            self._next[self._last] = agent
            self._before[agent] = self._last
        self._last = agent

    def leave(self, agent: str) -> None:
        """An agent is gone."""
        del self._places[agent]
        agent_type = self._type_of.pop(agent)
        self.coordinators.pop(agent, None)
        members = self._types[agent_type]
        del members[agent]
        if not members:
            del self._types[agent_type]
        before, after = self._before.pop(agent, None), self._next.pop(agent, None)
        if before is None:
            if after is not None:
                del self._before[after]
        elif after is None:
            del self._next[before]
        else:
            self._next[before] = after
            self._before[after] = before
        if self._last == agent:
            self._last = before

    def __iter__(self) -> Iterator[str]:
        """All of them, in order."""
        return iter(self._places)

    def place(self, agent: str) -> int | None:
        """A number that is higher the later an agent joined; `None`: it is not there."""
        return self._places.get(agent)

    def of_type(self, agent_type: str) -> Iterator[str]:
        """Agents of a type, in order."""
        return iter(self._types.get(agent_type, ()))

    @property
    def types(self) -> Iterator[str]:
        """Types of which there are agents, in no order that means anything."""
        return iter(self._types)

    def after(self, agent: str) -> Iterator[str]:
        """All others, beginning with the one that joined next; after the last comes the first."""
        if agent not in self._places:
            return
        found = self._next.get(agent) or self._first()
        while found is not None and found != agent:
            yield found
            found = self._next.get(found) or self._first()

    def onward(self, agent: str | None, place: int) -> Iterator[str]:
        """All of them, beginning with the one that joined next after this agent, which stands or
        stood at this place; it comes last itself, if it is there."""
        if agent is not None and agent in self._places:
            yield from self.after(agent)
            yield agent
            return
        yield from [name for name, number in self._places.items() if number > place]
        yield from [name for name, number in self._places.items() if number <= place]

    def _first(self) -> str | None:
        return next(iter(self._places), None)
