"""Spawns the agents that jobs need, one job of a swarm after the other: who decides on a team must
see the team of whoever came before.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

from visionflow.domain.commands import SpawnAgent
from visionflow.domain.errors import LimitReached
from visionflow.runtime.swarms import LiveSwarm, Swarms


class Teams:
    """Of all swarms of a server. Belongs to the loop's thread."""

    def __init__(self, swarms: Swarms) -> None:
        self._swarms = swarms
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, swarm: LiveSwarm) -> AsyncGenerator[None, None]:
        """From looking at who is there until who is missing is spawned."""
        lock = self._turns.get(swarm.id)
        if lock is None:
            lock = self._turns[swarm.id] = asyncio.Lock()
        async with lock:
            yield

    def room(self, swarm: LiveSwarm) -> int:
        """How many agents could be spawned there now."""
        own = swarm.spec.limits.agents_max - len(swarm.state.agents)
        return min(own, self._swarms.agents_max - self._swarms.agents)

    async def form(self, swarm: LiveSwarm, spawns: Iterable[SpawnAgent]) -> None:
        """Spawn those that are not there, as far as there is room: what nobody can do then waits,
        which whoever asked is told.

        Raises:
            Refused: the swarm takes no agents.
        """
        missing = [each for each in spawns if each.spec.id not in swarm.state.agents]
        if not missing:
            return

        async def spawn() -> None:
            for each in missing:
                with suppress(LimitReached):
                    await swarm.ask(each)

        with suppress(LimitReached):
            await self._swarms.spawning(len(missing), spawn)
