"""Agents that fail on purpose, for the tests of what mends them: workers load them from here."""

import time

from visionflow import BaseAgent, Task


class Sloth(BaseAgent):
    """Takes as long as it is asked to, in seconds."""

    capabilities = ("slow",)

    def process_task(self, task: Task) -> str:
        until = time.monotonic() + task.input
        while time.monotonic() < until and not self.cancelled.is_set():
            time.sleep(0.01)
        return "slept"


class Hungry(BaseAgent):
    """Runs out of memory."""

    capabilities = ("hungry",)

    def process_task(self, task: Task) -> str:
        raise MemoryError(f"{task.input} is too much")


class Clumsy(BaseAgent):
    """Raises."""

    capabilities = ("clumsy",)

    def process_task(self, task: Task) -> str:
        raise ValueError(f"{task.input} broke")


class Keeper(BaseAgent):
    """Holds so many MB from its start."""

    capabilities = ("keeping",)

    async def start(self) -> None:
        self.kept = bytearray(self.config["megabytes"] << 20)

    def process_task(self, task: Task) -> int:
        return len(self.kept)
