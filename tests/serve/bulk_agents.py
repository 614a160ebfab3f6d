"""Agents for tests of how the load is shared: workers load them from this file."""

import asyncio
from pathlib import Path

from visionflow import BaseAgent, Task


class Bulk(BaseAgent):
    """Takes several tasks of the type `bulk` at once, and goes on once its file is there."""

    def supports_batch(self, task_type: str) -> bool:
        return task_type == "bulk"

    async def process_task(self, task: Task) -> list[str]:
        return (await self._held([task]))[0]

    async def batch_process(self, tasks: list[Task]) -> list[list[str]]:
        return await self._held(tasks)

    async def _held(self, tasks: list[Task]) -> list[list[str]]:
        while not Path(tasks[0].input["go"]).exists() and not self.cancelled.is_set():
            await asyncio.sleep(0.02)
        return [[self.id, *(each.id for each in tasks)] for _ in tasks]
