"""Agents that fail in the ways that recovery has an answer to, each until it was helped."""

import asyncio
import os
import subprocess
import sys
import traceback
from pathlib import Path

from visionflow import BaseAgent, Task
from visionflow.worker.limits import resident_bytes

MIB = 1 << 20


class Slow(BaseAgent):
    """First it starts a process that never ends and waits for it. The input is a folder: it gets
    the pid of the process, and the time of each attempt in seconds."""

    def process_task(self, task: Task) -> str:
        folder = Path(task.input)
        with (folder / "limits").open("a") as file:
            file.write(f"{round((task.left_ms or int)() / 1000)}\n")
        if task.attempt > 1:
            return "in time"
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (folder / "pid").write_text(str(child.pid))
        child.wait()
        return "never"


class SlowAsync(BaseAgent):
    """The same in the loop: whoever cancels it leaves its process behind."""

    async def process_task(self, task: Task) -> str:
        if task.attempt > 1:
            return "in time"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(600)"
        )
        (Path(task.input) / "pid").write_text(str(child.pid))
        await child.wait()
        return "never"


class Hog(BaseAgent):
    """Needs so many MiB for its task, more than it has at first."""

    def process_task(self, task: Task) -> int:
        held = bytearray(task.input * MIB)
        for place in range(0, len(held), 4096):
            held[place] = 1
        return len(held) // MIB


class Leaking(BaseAgent):
    """Keeps 24 MiB of each task for ever; tells its process and how much that holds."""

    kept: list[bytes]

    async def start(self) -> None:
        self.kept = []

    def process_task(self, task: Task) -> tuple[int, int]:
        self.kept.append(os.urandom(24 * MIB))
        return os.getpid(), resident_bytes() // MIB


class Picky(BaseAgent):
    """Cannot be built with a negative depth, and dies at work of a style that it does not know."""

    async def start(self) -> None:
        if self.config.get("max_depth", 1) < 0:
            raise ValueError(f"max_depth is {self.config['max_depth']}; it must be positive")

    def process_task(self, task: Task) -> dict[str, object]:
        try:
            {"plain": 1}[self.config.get("style", "plain")]
        except KeyError:
            traceback.print_exc()
            os._exit(3)
        return dict(self.config)


def poison(task: Task) -> str:
    """Ends its process, in a way that says why."""
    if task.input == "poison":
        print("RuntimeError: it was poison", file=sys.stderr, flush=True)
        os._exit(3)
    return "fine"


def choose(failure: dict[str, object]) -> dict[str, object]:
    """A strategy of one's own: three times the time, and it leaves what it was asked."""
    Path(str(failure["config"]["told"])).write_text(repr(sorted(failure)))  # type: ignore[index]
    return {"timeout": 3 * failure["timeout"]}  # type: ignore[operator]
