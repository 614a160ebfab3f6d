"""The guide's `FailureDetector`, `RecoveryManager` and `AgentRecycler` over an orchestrator.

The fleet detects, recovers and recycles by itself. These are for programs that want a hand in it:
they look at what the fleet tells and have it do what its own tools do.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from visionflow.domain.errors import UnknownAgent, VisionFlowError
from visionflow.interfaces.mending import Mending, Seen

FACTOR = 1.5
BACKOFF_S = 1.0
PERIOD_S = 3_600.0
MEMORY_SHARE_MAX = 0.9


class Orchestrator(Protocol):
    """What these need of an `AgentOrchestrator`."""

    async def mending(self) -> Mending:
        """What can be seen and done of its agents."""
        ...


Handler = Callable[[str], Awaitable[object]]


class FailureDetector:
    """Watches the heartbeats of agents, and calls a handler for one that is verified to be gone."""

    def __init__(self, orchestrator: Orchestrator, heartbeat_interval: float = 30) -> None:
        """`heartbeat_interval` in seconds: after two of them without a heartbeat an agent is
        verified."""
        self._orchestrator = orchestrator
        self.heartbeat_interval = heartbeat_interval
        self.last_heartbeat: dict[str, float] = {}
        """By agent, when its worker was heard, in seconds since the epoch."""
        self.failure_handlers: dict[str, Handler] = {}
        """By agent, what is awaited with its id when it failed; else it is restarted."""
        self.failure_history: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    async def monitor_heartbeats(self) -> None:
        """Look at all agents twice an interval, until this is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self.heartbeat_interval / 2)

    async def look(self) -> None:
        """Look once, and handle those that may have failed."""
        mending = await self._orchestrator.mending()
        for agent in await mending.agents():
            try:
                age_s = (await mending.seen(agent)).heartbeat_age_s
            except UnknownAgent:
                self.last_heartbeat.pop(agent, None)  # It has left.
                continue
            if age_s is not None:
                self.last_heartbeat[agent] = time.time() - age_s
            last = self.last_heartbeat.get(agent)
            if last is not None and time.time() - last > 2 * self.heartbeat_interval:
                await self.handle_potential_failure(agent)

    async def handle_potential_failure(self, agent_id: str) -> None:
        """Have it recovered, if a majority of the checks fail. Its tasks others get."""
        if not await self.verify_failure(agent_id):
            return
        failure = {"timestamp": time.time(), "type": "heartbeat_timeout"}
        self.failure_history[agent_id].append(failure)
        handler = self.failure_handlers.get(agent_id)
        if handler is not None:
            await handler(agent_id)
        else:
            await (await self._orchestrator.mending()).restart(agent_id)

    async def verify_failure(self, agent_id: str) -> bool:
        """Whether more of the checks fail than do not: heartbeat, connection, process."""
        probes = (await (await self._orchestrator.mending()).seen(agent_id)).probes
        failures = sum(1 for answered in probes.values() if not answered)
        return failures >= len(probes) // 2 + 1


class RecoveryManager:
    """Recovers an agent by what went wrong; each strategy returns how the agent is then."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.strategies: dict[str, Callable[[str], Awaitable[Seen]]] = {
            "timeout": self.recover_from_timeout,
            "crash": self.recover_from_crash,
            "resource_exhaustion": self.recover_from_resource_exhaustion,
            "network_failure": self.recover_from_network_failure,
            "deadlock": self.recover_from_deadlock,
        }

    async def recover_agent(self, agent_id: str, failure_type: str) -> Seen:
        """By the strategy of this type; of another type by `default_recovery`."""
        return await self.strategies.get(failure_type, self.default_recovery)(agent_id)

    async def recover_from_timeout(self, agent_id: str) -> Seen:
        """Restart it, with half as much `timeout` again where its settings have one."""
        mending = await self._orchestrator.mending()
        timeout = (await mending.config(agent_id)).get("timeout")
        if isinstance(timeout, (int, float)):
            await mending.update_config(agent_id, {"timeout": timeout * FACTOR})
        return await mending.restart(agent_id)

    async def recover_from_crash(self, agent_id: str) -> Seen:
        """See `restart_with_backoff`."""
        return await self.restart_with_backoff(agent_id)

    async def recover_from_resource_exhaustion(self, agent_id: str) -> Seen:
        """Restart it, with half as much memory again where it has a ceiling: up to half of the
        machine's, where that is known."""
        mending = await self._orchestrator.mending()
        limit = (await mending.seen(agent_id)).memory_limit_bytes
        if limit is not None:
            wanted, machine = round(limit * FACTOR), await mending.machine_bytes()
            if machine is not None:
                wanted = min(wanted, machine // 2)
            if wanted > limit:
                await mending.scale_resources(agent_id, {"memory": wanted})
        return await mending.restart(agent_id)

    async def recover_from_network_failure(self, agent_id: str) -> Seen:
        """Leave one alone that answers again, and restart it otherwise."""
        mending = await self._orchestrator.mending()
        seen = await mending.seen(agent_id)
        return seen if seen.probes.get("ping") else await mending.restart(agent_id)

    async def recover_from_deadlock(self, agent_id: str) -> Seen:
        """Restart it: what it holds it lets go of."""
        return await self.default_recovery(agent_id)

    async def default_recovery(self, agent_id: str) -> Seen:
        """Restart it."""
        return await (await self._orchestrator.mending()).restart(agent_id)

    async def restart_with_backoff(self, agent_id: str, max_attempts: int = 3) -> Seen:
        """Restart it, again after 1, 2, 4 ... seconds where it did not get ready.

        Raises:
            VisionFlowError: the last attempt was refused.
        """
        mending, delay_s = await self._orchestrator.mending(), BACKOFF_S
        for attempt in range(1, max_attempts + 1):
            try:
                seen = await mending.restart(agent_id)
            except UnknownAgent:
                raise
            except VisionFlowError:
                if attempt == max_attempts:
                    raise
            else:
                if seen.status != "failed" or attempt == max_attempts:
                    return seen
            await asyncio.sleep(delay_s)
            delay_s *= 2
        raise ValueError(f"max_attempts is {max_attempts}; it is 1 at least.")


class AgentRecycler:
    """Gives agents that hold most of their memory a fresh process once they have drained."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        memory_share: float = MEMORY_SHARE_MAX,
        period_s: float = PERIOD_S,
    ) -> None:
        self._orchestrator = orchestrator
        self.memory_share = memory_share
        self.period_s = period_s

    async def recycle_agents(self) -> None:
        """Look at all agents once in a period, until this is cancelled."""
        while True:
            await self.recycle_once()
            await asyncio.sleep(self.period_s)

    async def recycle_once(self) -> list[str]:
        """Recycle those that need it now; who they were."""
        mending, recycled = await self._orchestrator.mending(), list[str]()
        for agent in await mending.agents():
            try:
                seen = await mending.seen(agent)
                held, limit = seen.memory_bytes, seen.memory_limit_bytes
                if held is not None and limit is not None and held > self.memory_share * limit:
                    await mending.restart(agent, drain=True)
                    recycled.append(agent)
            except UnknownAgent:
                continue  # It left while the others were looked at.
        return recycled
