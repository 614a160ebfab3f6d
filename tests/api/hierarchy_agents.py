"""Agents of live hierarchies."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, PermanentFailure, Task

POLL_S = 0.02


class Boss(BaseAgent):
    """Manages; it has no work of its own."""

    capabilities = ("planning",)

    async def process_task(self, task: Task) -> Any:
        return "planned"


class Strict(Boss):
    """Demands more than that all is there."""

    def review_result(self, result: Any, task: Task) -> list[str]:
        return [] if result.result["total"] > 0 else ["The total is not above 0."]


class Adder(BaseAgent):
    """Adds up. Where a folder is named it says there that it began, and waits to be let go."""

    capabilities = ("adding",)

    async def process_task(self, task: Task) -> Any:
        folder = task.config.get("folder")
        if folder is not None:
            Path(folder, f"began-{task.input[0]}-{task.attempt}").touch()
            while not Path(folder, "go").exists():
                await asyncio.sleep(POLL_S)
        if task.config.get("fails") in task.input and not task.config.get("sent_back"):
            raise PermanentFailure("It was to fail.")
        return {"total": sum(task.input), "by": self.id}


class Head(Adder):
    """Leads adders: in pairs, and adds up what they added up."""

    capabilities = ("adding", "leading")

    def distribute_work(self, task: Task, members: Sequence[Any]) -> list[Any]:
        return [task.input[n : n + 2] for n in range(0, len(task.input), 2)]

    def aggregate_results(self, results: list[Any]) -> Any:
        return {
            "total": sum(each["total"] for each in results),
            "by": sorted({each["by"] for each in results}),
        }
