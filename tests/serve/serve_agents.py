"""Agents for the tests of the server: workers load them from this file."""

import os
import time
from pathlib import Path

from visionflow import BaseAgent, Task


class Echo(BaseAgent):
    """Gives back what it gets."""

    def process_task(self, task: Task) -> object:
        return task.input


class Where(BaseAgent):
    """Tells of itself: its folder, its process, its parent."""

    def process_task(self, task: Task) -> dict[str, object]:
        return {
            "folder": str(self.context.folder),
            "pid": os.getpid(),
            "environment": sorted(name for name in os.environ if name.startswith("VISIONFLOW")),
        }


class Waiter(BaseAgent):
    """Notes each attempt in a file, and goes on once a second file is there."""

    def process_task(self, task: Task) -> int:
        trace, go = Path(task.input["trace"]), Path(task.input["go"])
        with trace.open("a") as file:
            file.write(f"{task.attempt} {os.getpid()}\n")
        self.log("waits, and its key is Bearer 0123456789abcdef", "warning")
        until = time.monotonic() + 60
        while not go.exists() and time.monotonic() < until:
            time.sleep(0.02)
        return task.attempt
