"""How long agents take from their spawning to ready, and waiting for one.

Heard from the durable records of swarms, so every figure can be found in the log again. What was
spawned before this process began is not known here.
"""

import asyncio
from collections import deque
from statistics import median
from typing import Any
from weakref import WeakSet

from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.events import AnyEvent
from visionflow.engine.state import AgentState
from visionflow.runtime.swarms import LiveSwarm

RECORD_MAX = 32
"""Spawns of one kind that an estimate rests on."""
KNOWN_MAX = 10_000
Kind = tuple[str, bool]
"""The agent's type, and whether it has a process of its own."""
OVER = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)
UP = (AgentStatus.READY, AgentStatus.PROCESSING)
_TOLD = (e.AgentReady, e.AgentFailed, e.AgentTerminating, e.AgentTerminated)


class Births:
    """Agents on their way to ready. Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._watched: WeakSet[LiveSwarm] = WeakSet()
        self._spawned: dict[str, tuple[int, Kind]] = {}
        self._took_ms: dict[str, int] = {}
        self._recent: dict[Kind, deque[int]] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def watch(self, swarm: LiveSwarm) -> None:
        """Hear what happens there from now on. Harmless the second time."""
        if swarm not in self._watched:
            self._watched.add(swarm)
            swarm.node.control.on_commit.append(self._committed)
            swarm.node.on_over.append(lambda _: self._wake(list(self._waiting)))

    def took_ms(self, agent: str) -> int | None:
        """Milliseconds from spawned to first ready, once that is durable."""
        return self._took_ms.get(agent)

    def spawned_ms(self, agent: str) -> int | None:
        """When an agent that is not ready yet was spawned."""
        found = self._spawned.get(agent)
        return None if found is None else found[0]

    def estimate_ms(self, kind: str, dedicated: bool) -> int | None:
        """What spawns like it took, by the middle one of the last; `None` without any."""
        known = self._recent.get((kind, dedicated))
        return round(median(known)) if known else None

    async def settled(
        self, swarm: LiveSwarm, agent: str, timeout_ms: int, cancelled: asyncio.Event
    ) -> AgentState | None:
        """Wait until it is ready or will not be, the time is over, or the caller is gone; how it
        is then, `None` when it left."""
        taken_back: asyncio.Future[Any] = asyncio.ensure_future(cancelled.wait())
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                while not taken_back.done():
                    found = swarm.state.agents.get(agent)
                    if found is None or found.status in (*UP, *OVER):
                        break
                    if swarm.node.control.failure is not None:
                        break
                    await self._heard(agent, taken_back)
        except TimeoutError:
            pass
        finally:
            taken_back.cancel()
        await swarm.settled()
        return swarm.state.agents.get(agent)

    async def _heard(self, agent: str, taken_back: "asyncio.Future[Any]") -> None:
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(agent, []).append(heard)
        try:
            await asyncio.wait((heard, taken_back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting = self._waiting.get(agent, [])
            if heard in waiting:
                waiting.remove(heard)
            if not waiting:
                self._waiting.pop(agent, None)

    def _wake(self, agents: list[str]) -> None:
        for agent in agents:
            for heard in self._waiting.pop(agent, []):
                if not heard.done():
                    heard.set_result(None)

    def _committed(self, _seq: int, at_ms: int, events: list[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, e.AgentSpawned):
                dedicated = event.spec.limits.memory_bytes is not None
                self._spawned[event.spec.id] = (at_ms, (event.spec.type, dedicated))
            elif isinstance(event, _TOLD):
                if isinstance(event, e.AgentReady):
                    self._born(event.agent, at_ms)
                elif not isinstance(event, e.AgentFailed):
                    self._spawned.pop(event.agent, None)
                    self._took_ms.pop(event.agent, None)
                self._wake([event.agent])

    def _born(self, agent: str, at_ms: int) -> None:
        spawned = self._spawned.pop(agent, None)
        if spawned is None:
            return
        since_ms, kind = spawned
        self._took_ms[agent] = at_ms - since_ms
        self._recent.setdefault(kind, deque(maxlen=RECORD_MAX)).append(at_ms - since_ms)
        if len(self._took_ms) > KNOWN_MAX:
            del self._took_ms[next(iter(self._took_ms))]
