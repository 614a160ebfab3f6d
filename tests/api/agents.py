"""Agents for the tests of the Python face: importable, as a worker needs them."""

import asyncio
import os
import time
from pathlib import Path

from visionflow import BaseAgent, Task


class Doubler(BaseAgent):
    """Doubles numbers."""

    capabilities = ("maths",)

    def process_task(self, task: Task) -> int:
        return 2 * task.input


class Quick(BaseAgent):
    """Gives back what it gets, at once."""

    blocking = False

    def process_task(self, task: Task) -> int:
        return task.input


class Sleeper(BaseAgent):
    """Writes its pid into a file; the first time it then waits to be killed."""

    def process_task(self, task: Task) -> int:
        with Path(task.input).open("a") as file:
            file.write(f"{os.getpid()}\n")
        if task.attempt == 1:
            time.sleep(60)
        return os.getpid()


class Counter(BaseAgent):
    """Two steps that leave a trace; between them the first attempt waits to be killed."""

    async def process_task(self, task: Task) -> list[str]:
        folder = Path(task.input)
        first = await self.step("mark", mark, str(folder / "steps"), "one")
        if task.attempt == 1:
            mark(str(folder / "pids"), str(os.getpid()))
            time.sleep(60)
        return [first, await self.step("mark", mark, str(folder / "steps"), "two")]


def mark(path: str, word: str) -> str:
    """Append a word to a file."""
    with Path(path).open("a") as file:
        file.write(f"{word}\n")
    return word


def shout(task: Task) -> str:
    """The description in capitals, or the results that came before."""
    return task.description.upper() or " ".join(task.dependencies.values())


def unwritable(task: Task) -> object:
    """A result that MessagePack cannot hold."""
    return object()


class Unspeakable(Exception):
    """An exception that cannot describe itself."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def awkward(task: Task) -> str:
    """Says or does, by its input, what is awkward for the process that hosts it."""
    if task.input == "surrogate":
        raise ValueError("no file named \udc80")
    if task.input == "unspeakable":
        raise Unspeakable
    os._exit(7)


async def fork(task: Task) -> str:
    """Lets a copy of the whole process return."""
    return "a copy" if os.fork() == 0 else "the original"


class Talker(BaseAgent):
    """Says what UTF-8 cannot carry, or is no text at all."""

    async def process_task(self, task: Task) -> str:
        self.log("no file named \udc80", level="\udc80")
        self.progress(0.5, "at \udc80")
        return "said"


def wait_for_line(path: Path, number: int) -> int:
    """The pid on this line of a file that an agent writes, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = path.read_text().split() if path.exists() else []
        if len(lines) >= number:
            return int(lines[number - 1])
        time.sleep(0.01)
    raise AssertionError(f"no line {number} in {path}")


def takes_two(first: Task, second: Task) -> None:
    """No agent: it wants two tasks."""


def replaced(task: Task) -> None:
    """Defined a second time below, so that no worker would find this one."""


shadowed = replaced
replaced = takes_two  # type: ignore[assignment]


class Gated(BaseAgent):
    """Writes its pid into a file, and goes on once another file is there."""

    async def process_task(self, task: Task) -> int:
        folder = Path(task.input)
        mark(str(folder / "pids"), str(os.getpid()))
        while not (folder / "open").exists():
            await asyncio.sleep(0.01)
        return task.attempt


def sized(task: Task) -> bytes:
    """Its input."""
    return task.input


def gathered(task: Task) -> int:
    """How large the results that it depends on are together."""
    return sum(len(result) for result in task.dependencies.values())
