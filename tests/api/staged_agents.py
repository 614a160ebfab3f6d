"""Agents for pipelines from Python."""

import time
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task


class Counter(BaseAgent):
    """Adds one; `quality` grows with each time that it is told why it has to do it again."""

    type = "counter"
    capabilities = ("counting",)
    measures = ("quality",)

    def process_task(self, task: Task) -> dict[str, Any]:
        again = (task.config.get("feedback") or {}).get("round", 0)
        return {"n": (task.input or {}).get("n", 0) + 1, "measures": {"quality": 0.5 + 0.4 * again}}


class Waiter(Counter):
    """Says that it began, and counts once it is let go."""

    type = "waiter"

    def process_task(self, task: Task) -> dict[str, Any]:
        folder = Path(task.config["folder"])
        with (folder / "began").open("a") as file:
            file.write(f"{task.id} {task.attempt}\n")
        until = time.monotonic() + 120
        while not (folder / "go").exists() and time.monotonic() < until:
            if self.cancelled.is_set():
                break
            time.sleep(0.01)
        return super().process_task(task)
