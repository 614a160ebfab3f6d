"""Agents for the tests of jobs: they tell what they were given."""

import time
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task


class Teller(BaseAgent):
    """Tells everything of its task."""

    capabilities = ("telling", "speech")

    def process_task(self, task: Task) -> dict[str, Any]:
        return {
            "description": task.description,
            "type": task.type,
            "input": task.input,
            "config": task.config,
            "attempt": task.attempt,
            "agent": self.id,
            "dependencies": task.dependencies,
            "priority": task.priority,
        }


class Waiter(BaseAgent):
    """Says that it is here, and goes on once its file is there."""

    capabilities = ("waiting",)

    def process_task(self, task: Task) -> str:
        self.progress(0.5, "half of it")
        Path(task.input["here"]).touch()
        until = time.monotonic() + 60
        while not Path(task.input["go"]).exists() and time.monotonic() < until:
            if self.cancelled.is_set():
                return "cancelled"
            time.sleep(0.01)
        return "waited"


class Failer(BaseAgent):
    """Fails until it is the attempt that it was told to succeed at."""

    capabilities = ("failing",)

    def process_task(self, task: Task) -> int:
        if task.attempt < int((task.input or {}).get("until", 1_000)):
            raise RuntimeError(f"attempt {task.attempt} fails")
        return task.attempt
