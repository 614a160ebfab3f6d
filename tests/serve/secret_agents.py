"""An agent that tells all that it knows, in every way that it has: workers load it from here."""

import logging
import os
import sys
import warnings
from typing import Any

from visionflow import BaseAgent, Task


class Leaky(BaseAgent):
    """Says, prints, warns of and fails with what it was trusted with."""

    capabilities = ("leaky",)

    async def start(self) -> None:
        self.tell(self.config)

    def process_task(self, task: Task) -> Any:
        self.tell(task.input)
        self.progress(0.5, f"with {task.input['password']}")
        if task.input.get("dies"):
            print("Traceback: KeyError", task.input["password"], file=sys.stderr, flush=True)
            os.kill(os.getpid(), 11)
        raise ValueError(f"no luck with {task.input['password']} of {task.input}")

    def tell(self, trusted: dict[str, Any]) -> None:
        """In every way, by name and by value alone."""
        known = [trusted, *trusted.values(), os.environ["PLANTED_TOKEN"]]
        for what in known:
            self.log(f"has {what}", "warning")
            print(what)
            print(what, file=sys.stderr)
            logging.getLogger("leaky").error("it has %s", what)
            warnings.warn(f"it has {what}", stacklevel=2)
        self.log(f"Authorization: Bearer {os.environ['PLANTED_TOKEN']}", "error")


class Failing(BaseAgent):
    """Cannot be built with what it was given."""

    async def start(self) -> None:
        raise RuntimeError(f"{self.config['apiKey']} was not accepted")


class Flooding(BaseAgent):
    """Prints and says more than anybody wants to read."""

    capabilities = ("flooding",)

    def process_task(self, task: Task) -> str:
        for number in range(task.input):
            self.log(f"line {number} of its own {'x' * 50}")
            sys.stderr.write("y" * 1_000 + "\n")
        return "done"
