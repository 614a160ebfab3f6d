"""Agents for a server that the doctor looks at."""

from pathlib import Path
from typing import Any

from visionflow import BaseAgent
from visionflow.agents.base import PermanentFailure
from visionflow.agents.task import Task


class Needy(BaseAgent):
    """Cannot be built before the file is there that its configuration names."""

    type = "needy"
    capabilities = ("needing",)

    async def start(self) -> None:
        if not Path(str(self.config["file"])).exists():
            raise FileNotFoundError("what it needs is not there")

    async def process_task(self, task: Task) -> Any:
        raise PermanentFailure("it never works")
