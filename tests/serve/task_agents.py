"""Agents for the tests of the tools about tasks: workers load them from this file."""

import asyncio
from pathlib import Path

from visionflow import BaseAgent, Task, TryLater


class Echo(BaseAgent):
    """Gives back what it gets."""

    def process_task(self, task: Task) -> object:
        return task.input


class Holder(BaseAgent):
    """Says that it is half done, and goes on once a file is there; notes when it is stopped."""

    async def process_task(self, task: Task) -> str:
        folder = Path(task.input)
        self.progress(0.5, "half of it")
        (folder / f"{task.id}.began").touch()
        try:
            while not (folder / "go").exists():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            (folder / f"{task.id}.stopped").touch()
            raise
        return "done"


class Failing(BaseAgent):
    """Fails as often as it is asked to."""

    def process_task(self, task: Task) -> int:
        if task.attempt <= task.input:
            raise ValueError(f"attempt {task.attempt} fails")
        return task.attempt


class Throttled(BaseAgent):
    """Is turned away for an hour at its first attempt, in whose midst it was."""

    capabilities = ("throttled",)
    blocking = False

    def process_task(self, task: Task) -> int:
        if task.attempt == 1:
            self.progress(0.5, "half of it")
            raise TryLater("somewhere: 429 too many requests", wait_ms=3_600_000)
        return task.attempt


class Chatty(BaseAgent):
    """Says what it does, at two levels."""

    def process_task(self, task: Task) -> str:
        self.log(f"looks closely at {task.input}", "debug")
        self.log(f"has {task.input}")
        return "said"
