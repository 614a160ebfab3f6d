"""Agents that ask their swarm while they work: importable, as a worker needs them."""

import asyncio
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task

POLL_S = 0.01


async def until_there(*paths: Path) -> None:
    """Return once all of these files exist."""
    while not all(path.exists() for path in paths):
        await asyncio.sleep(POLL_S)


class Opposite(BaseAgent):
    """Takes two locks in the order that its task says; at first each waits between them until the
    other one has its first, so that they meet."""

    async def process_task(self, task: Task) -> list[str]:
        folder, (first, second) = Path(task.input["folder"]), task.input["locks"]
        async with self.lock(first):
            (folder / first).touch()
            if task.attempt == 1:
                await until_there(folder / first, folder / second)
            async with self.lock(second):
                inside = folder / "inside"
                inside.touch(exist_ok=False)
                await asyncio.sleep(0)
                inside.unlink()
        return [first, second]


class Threaded(BaseAgent):
    """Writes into a file under a lock, from a thread, in two pieces that must stay together."""

    def process_task(self, task: Task) -> None:
        with self.lock_sync("file"), Path(task.input).open("a") as file:
            file.write(f"{task.id} ")
            file.flush()
            file.write(f"{task.id}\n")


class Halving(BaseAgent):
    """Adds up numbers by having each half added up by the swarm."""

    async def process_task(self, task: Task) -> int:
        numbers = task.input
        if len(numbers) < 3:
            return sum(numbers)
        middle = len(numbers) // 2
        halves = [numbers[:middle], numbers[middle:]]
        names = [await self.delegate("add", input=half) for half in halves]
        return sum(await asyncio.gather(*(self.result_of(name) for name in names)))


class Moody(BaseAgent):
    """Fails while a file exists."""

    def process_task(self, task: Task) -> str:
        if Path(task.input).exists():
            raise RuntimeError("a bad day")
        return self.id


class Steady(BaseAgent):
    """Says who it is."""

    def process_task(self, task: Task) -> str:
        return self.id


class Caller(BaseAgent):
    """Calls a provider that is down while a file exists, and leaves a mark for each call."""

    async def process_task(self, task: Task) -> Any:
        down = Path(task.input)
        async with self.circuit("provider:acme", failures=(ConnectionError,)):
            with (down.parent / "calls").open("a") as file:
                file.write(f"{task.id}\n")
            if down.exists():
                raise ConnectionError("503")
        return "called"
