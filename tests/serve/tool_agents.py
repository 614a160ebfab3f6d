"""Agents for the tests of the tools: workers load them from this file."""

import asyncio
import time
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task


class Teller(BaseAgent):
    """Tells its settings, and writes a line."""

    def process_task(self, task: Task) -> dict[str, Any]:
        self.log(f"task {task.input}", "warning")
        return self.config


class Waiter(BaseAgent):
    """Waits until a file is there."""

    def process_task(self, task: Task) -> str:
        until = time.monotonic() + 60
        while not Path(task.input).exists() and time.monotonic() < until:
            time.sleep(0.02)
        return self.id


class Slow(BaseAgent):
    """Is ready once a file is there."""

    async def start(self) -> None:
        until = time.monotonic() + 60
        while not Path(self.config["go"]).exists() and time.monotonic() < until:
            await asyncio.sleep(0.02)


class Hog(BaseAgent):
    """Takes memory until somebody stops it."""

    def process_task(self, task: Task) -> int:
        if task.input == "at once":
            everything = bytearray(b"x") * (600 << 20)
            time.sleep(30)
            return len(everything)
        held: list[bytearray] = []
        while len(held) < 2_000:
            held.append(bytearray(8 << 20))
            time.sleep(0.005)
        return len(held)


class Specialist(BaseAgent):
    """Says what it can do."""

    capabilities = ("maths", "physics")

    def process_task(self, task: Task) -> None:
        return None


class Broken(BaseAgent):
    """Never gets ready."""

    async def start(self) -> None:
        raise RuntimeError("no licence found")
