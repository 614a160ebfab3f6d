"""Spawns the agents that jobs need, and ends them when no job of their swarm needs them any more;
one job of a swarm after the other: who decides on a team must see the team of whoever came before.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from weakref import WeakValueDictionary

from visionflow.compose.serve.jobs_team import NEEDS_MODEL, staying
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import LimitReached, MailboxFull, VisionFlowError
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.state import SwarmState
from visionflow.runtime.swarms import LiveSwarm, Swarms

LEAVING_S = 15.0
"""So long a job waits at most for the room of agents that are on their way out."""
LOOK_S = 0.02


class Teams:
    """Of all swarms of a server. Belongs to the loop's thread."""

    def __init__(self, swarms: Swarms) -> None:
        self._swarms = swarms
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._coming: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, swarm: LiveSwarm) -> AsyncGenerator[None, None]:
        """From looking at who is there until who is missing is spawned."""
        lock = self._turns.get(swarm.id)
        if lock is None:
            lock = self._turns[swarm.id] = asyncio.Lock()
        async with lock:
            yield

    @contextmanager
    def coming(self, swarm: LiveSwarm) -> Generator[None, None, None]:
        """A job is being taken on: agents may be there for it before the swarm knows of it."""
        self._coming[swarm.id] = self._coming.get(swarm.id, 0) + 1
        try:
            yield
        finally:
            self._coming[swarm.id] -= 1
            if not self._coming[swarm.id]:
                del self._coming[swarm.id]

    def room(self, swarm: LiveSwarm) -> int:
        """How many agents could be spawned there now."""
        own = swarm.spec.limits.agents_max - len(swarm.state.agents)
        return min(own, self._swarms.agents_max - self._swarms.agents)

    def full(self, swarm: LiveSwarm, count: int = 1) -> str | None:
        """Why not so many can be spawned there now, and what makes room; `None`: they can."""
        most = swarm.spec.limits.agents_max
        own = most - len(swarm.state.agents)
        if own < 1:
            return f"this swarm has its {most} agents, and swarm_scale lets it have more"
        if own < count:
            return f"this swarm has room for {own} of {count}, and swarm_scale lets it have more"
        left = self._swarms.agents_max - self._swarms.agents
        if left < count:
            has = f"its {self._swarms.agents_max} agents" if left < 1 else f"room for {left}"
            return (
                f"this server has {has} (MAX_AGENTS); agents for a goal are spawned once there is "
                "room for all of them, and agent_terminate ends one, of any swarm"
            )
        return None

    def is_coming(self, besides: LiveSwarm) -> bool:
        """Whether a job is being taken on in any other swarm."""
        return any(swarm != besides.id for swarm in self._coming)

    async def room_for(self, swarm: LiveSwarm, count: int) -> int:
        """How many of so many agents could be spawned there, once those that are on their way out
        have left, where that is what it takes."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LEAVING_S
        while self.room(swarm) < count and self._leaving() and loop.time() < until:
            await asyncio.sleep(LOOK_S)
        return self.room(swarm)

    def _leaving(self) -> bool:
        """Whether agents that were formed for jobs have yet to leave."""
        return any(
            agent.spec.formed
            and (agent.status is AgentStatus.TERMINATING or name in swarm.state.draining)
            for swarm in self._swarms.all()
            for name, agent in swarm.state.agents.items()
        )

    async def form(self, swarm: LiveSwarm, spawns: Iterable[c.SpawnAgent]) -> None:
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

    async def release(self, swarm: LiveSwarm) -> None:
        """End the agents that were formed for jobs of a swarm that has none open; what one of them
        holds it finishes. Those of a client stay. Again is harmless."""
        if not self.is_free(swarm):
            return
        async with self.turn(swarm):
            while self.is_free(swarm):
                name = next(iter(formed_in(swarm.state)))
                end = c.TerminateAgent(now_ms=swarm.now_ms, agent=name, drain=True)
                try:
                    await swarm.ask(end)
                except MailboxFull:
                    await asyncio.sleep(LOOK_S)
                except VisionFlowError:
                    return  # The swarm ends, or the server.

    def is_free(self, swarm: LiveSwarm) -> bool:
        """Whether agents were formed there that no job needs."""
        state = swarm.state
        return (
            swarm.id not in self._coming
            and swarm.node.control.failure is None
            and state.closed is None
            and bool(formed_in(state))
            and not is_wanted(state)
        )


def formed_in(state: SwarmState) -> list[str]:
    """Agents that were formed for jobs, failed ones too, and that are not on their way out."""
    return [
        name for name, agent in state.agents.items() if agent.spec.formed and staying(state, name)
    ]


def is_wanted(state: SwarmState) -> bool:
    """Whether anything is open that agents of the swarm may have to do, now or later. A goal that
    no tool can meet is not: it stays as it is, for days perhaps, and is nothing for them."""
    return state.live > 0 and any(
        task.spec.parent is None
        and task.status not in TERMINAL
        and not (task.status is TaskStatus.BLOCKED and NEEDS_MODEL in task.spec.capabilities)
        for task in reversed(state.tasks.values())
    )
