"""The clients of a run of chaos: they ask, each under a key, until they are answered."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from visionflow.domain.errors import VisionFlowError
from visionflow.interfaces.client.calls import MCPClient
from visionflow.testing.chaos.plan import Order, Plan, Work
from visionflow.testing.chaos.server import Place
from visionflow.testing.chaos.watching import wall_ms

AT_ONCE = 8
"""Calls that hand in tasks."""
CONNECTIONS = 24
ASKED_MAX = 1_000_000
"""A call is asked again until its time is up."""
CALL_S_MAX = 240.0
TIMEOUT_S = 120
"""Of an attempt: what stands still for some seconds must not run out of time."""


class Clients:
    """Hand in all works over the run's time."""

    def __init__(self, place: Place, order: Order, plan: Plan) -> None:
        self.tasks: dict[str, Work] = {}
        """By the id under which it was acknowledged."""
        self.acknowledged_ms: list[int] = []
        """When, by the clock on the wall."""
        self.told: dict[str, dict[str, Any]] = {}
        """What those were told that waited for a result."""
        self.faults: list[str] = []
        self._place = place
        self._order = order
        self._plan = plan
        self._client = MCPClient(
            path=place.socket, retry_attempts=ASKED_MAX, timeout=CALL_S_MAX, pool_size=CONNECTIONS
        )
        self._waiting: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """While it lasts, there are connections."""
        try:
            yield
        finally:
            for each in self._waiting:
                each.cancel()
            await asyncio.gather(*self._waiting, return_exceptions=True)
            await self._client.close()

    async def prepare(self) -> str:
        """A swarm with its agents; its id."""
        agents = self._order.agents
        made = await self._client.call("swarm_init", {"maxAgents": agents + 4}, key="swarm")
        swarm: str = made["swarmId"]
        alone = 0 if agents < 2 else max(1, agents // 4)
        for number in range(agents):
            kind = "loner" if number < alone else "labourer"
            given = {"type": kind, "swarmId": swarm, "name": f"{kind}-{number}"}
            await self._client.call("agent_spawn", given, key=f"agent {number}")
        return swarm

    async def hand_in(self, swarm: str) -> None:
        """All works, evenly over the time there is; returns once each is acknowledged."""
        began, order = time.monotonic(), self._order
        works = iter(self._plan.works)

        async def some() -> None:
            for work in works:
                due_s = began + order.duration_s * work.number / order.tasks - time.monotonic()
                if due_s > 0:
                    await asyncio.sleep(due_s)
                await self._hand_in(swarm, work)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    async def _hand_in(self, swarm: str, work: Work) -> None:
        task = {
            "description": f"work {work.number}",
            "agentType": "loner" if work.alone else "labourer",
            "input": {
                "script": msgspec.to_builtins(work.script),
                "trace": str(self._place.trace),
            },
            "timeout": TIMEOUT_S,
        }
        given = {"task": task, "swarmId": swarm, "formTeam": False}
        try:
            told = await self._client.call("task_orchestrate", given, key=f"work {work.number}")
        except (VisionFlowError, TimeoutError) as error:
            self.faults.append(f"work {work.number} is not taken: {type(error).__name__}: {error}")
            return
        self.acknowledged_ms.append(wall_ms())
        self.tasks[told["taskId"]] = work
        if work.watched:
            self._waiting.append(asyncio.create_task(self._wait(told["taskId"])))

    async def _wait(self, task: str) -> None:
        given = {"taskId": task, "wait": True}
        try:
            told = await self._client.call("task_results", given, key=f"wait {task}", timeout=None)
        except VisionFlowError as error:
            self.faults.append(f"who waits for {task} is told {type(error).__name__}: {error}")
            return
        self.told[task] = told

    async def answered(self) -> None:
        """Wait until everybody who waits was told."""
        await asyncio.gather(*self._waiting)
