"""The clients of a run of chaos: they ask, each under a key, until they are answered."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from visionflow.domain.errors import VisionFlowError
from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.client.connection import ServerFault
from visionflow.testing.chaos.plan import SPARE, Order, Plan, Work
from visionflow.testing.chaos.server import Place
from visionflow.testing.chaos.watching import wall_ms

AT_ONCE = 8
"""Calls that hand in tasks."""
CONNECTIONS = 24
ASKED_MAX = 1_000_000
"""A call is asked again until its time is up."""
CALL_S_MAX = 240.0
AGAIN_S = 0.2
WAITED_S = 5.0
"""A call that took longer was taken up, and waited for something."""
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
        self.turned_away = 0
        """How often the server answered that it cannot, now."""
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
        made = await self._client.call("swarm_init", {"maxAgents": agents + SPARE}, key="swarm")
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
        told = await self._ask("task_orchestrate", given, f"work {work.number}")
        if told is None:
            return
        self.acknowledged_ms.append(wall_ms())
        self.tasks[told["taskId"]] = work
        if work.watched:
            self._waiting.append(asyncio.create_task(self._wait(told["taskId"])))

    async def _wait(self, task: str) -> None:
        given = {"taskId": task, "wait": True}
        told = await self._ask("task_results", given, f"wait {task}", limit_s=None)
        if told is not None:
            self.told[task] = told

    async def _ask(
        self, tool: str, given: dict[str, Any], key: str, limit_s: float | None = CALL_S_MAX
    ) -> dict[str, Any] | None:
        """The answer, however often it takes; what is refused all the same is a fault."""
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        # Since when it is put off without anything else in between.
        while True:
            began_s = loop.time()
            try:
                return await self._client.call(tool, given, key=key, timeout=limit_s)
            except ServerFault as error:
                # A server that ends says so, and that one should come again.
                self.turned_away += 1
                if loop.time() - began_s > WAITED_S:
                    since_s = loop.time()
                if loop.time() - since_s < CALL_S_MAX:
                    await asyncio.sleep(AGAIN_S)
                    continue
                self.faults.append(f"{key}: {error}")
            except (VisionFlowError, TimeoutError) as error:
                self.faults.append(f"{key}: {type(error).__name__}: {error}")
            return None

    async def answered(self) -> None:
        """Wait until everybody who waits was told."""
        await asyncio.gather(*self._waiting)
