"""Which agents' lines of level debug are kept now, whatever the level of the log is."""

from collections.abc import Callable, Mapping


class Debugged:
    """Agents of all swarms of a process, as their logs say. Any thread may ask."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._until_ms: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._until_ms)

    def keep(self, agents: Mapping[str, int]) -> None:
        """Keep those of these agents, each until this time in milliseconds since the epoch."""
        now_ms = self._now_ms()
        for agent in [each for each, until_ms in self._until_ms.items() if until_ms <= now_ms]:
            self._until_ms.pop(agent, None)
        self._until_ms.update(agents)

    def forget(self, agent: str) -> None:
        """It has left."""
        self._until_ms.pop(agent, None)

    def is_on(self, agent: str) -> bool:
        """Whether its lines are kept now."""
        until_ms = self._until_ms.get(agent)
        return until_ms is not None and until_ms > self._now_ms()
