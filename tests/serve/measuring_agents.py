"""Agents for the tests of pipelines: they measure what they are told to."""

import time
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, PermanentFailure, Task


class Gauge(BaseAgent):
    """Measures `quality`: what its config says for each round, the last one from then on."""

    type = "gauge"
    capabilities = ("gauging",)
    measures = ("quality",)

    def process_task(self, task: Task) -> dict[str, Any]:
        figures = task.config.get("figures", [1.0])
        number = int(task.id.rpartition(".")[2]) if "." in task.id else 1
        text = task.input if isinstance(task.input, dict) else {}
        return {
            "path": [*text.get("path", []), task.id.partition(".")[2] or "alone"],
            "feedback": task.config.get("feedback"),
            "measures": {"quality": figures[min(number, len(figures)) - 1]},
        }


class Slow(Gauge):
    """The same, but it says that it is here, and goes on once its file is there."""

    type = "slow"

    def process_task(self, task: Task) -> dict[str, Any]:
        Path(task.config["here"]).touch()
        until = time.monotonic() + 120
        while not Path(task.config["go"]).exists() and time.monotonic() < until:
            if self.cancelled.is_set():
                break
            time.sleep(0.01)
        return super().process_task(task)


class Sayer(BaseAgent):
    """Says what its config has for its copy, `null` being an error."""

    type = "sayer"
    capabilities = ("saying",)

    def process_task(self, task: Task) -> Any:
        number = int(task.id.rpartition(".")[2]) if "." in task.id else 1
        found = task.config["says"][number - 1] if "says" in task.config else task.input
        if found == "until cancelled":
            return self.cancelled.wait(60)
        if found is None:
            raise PermanentFailure(f"copy {number} has nothing to say")
        return "x" * 100_000 if found == "large" else found
