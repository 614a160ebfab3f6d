"""A coding agent at work on the sample, in the real sandbox, without a worker around it."""

from pathlib import Path
from typing import Any

import msgspec
from role_work import Attempt, do

from tests.coding.sample import command_of, make_sample
from visionflow.adapters.confine import OsSandbox
from visionflow.agents import Task
from visionflow.agents.candidates.values import Attempted
from visionflow.agents.command.agent import CommandAgent
from visionflow.agents.roles.job import CodingBounds, storable
from visionflow.ports.sandbox import Sandbox

SANDBOX = OsSandbox()


class Shop:
    """A run on the sample, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "shop"
        if not self.workspace.exists():
            make_sample(self.workspace)
        self.run = folder / "run"
        self.folder = self.run / "state" / "coding"
        self.repository = self.run / "state" / "repository"
        self.governor = folder / "governor"

    def input(self, name: str = "candidate-1", **more: Any) -> dict[str, Any]:
        given = {
            "workspace": str(self.workspace),
            "repository": str(self.repository),
            "folder": str(self.folder),
            "governor": str(self.governor),
            "plan_task": name,
            "run": "r1",
            "goal": "limit the calls",
        }
        return {**given, **more}

    def task(self, name: str = "candidate-1", attempt: int = 1, **more: Any) -> Task:
        depends = more.pop("dependencies", {})
        bounds = more.pop("bounds", CodingBounds(wall_ms=120_000))
        given = {**self.input(name, **more), "bounds": storable(bounds)}
        return Task(
            id=f"t-{name}", type="implement", input=given, attempt=attempt, dependencies=depends
        )

    def result(
        self,
        actions: str,
        task: Task | None = None,
        *,
        attempt: Attempt | None = None,
        sandbox: Sandbox | None = None,
        **config: Any,
    ) -> dict[str, Any]:
        """The whole result of a task that a scripted agent does; `actions` may be a command."""
        command = actions if " " in actions else command_of(actions)
        return do(
            CommandAgent, self.run / "agent", task or self.task(),
            sandbox=sandbox or SANDBOX, attempt=attempt, config={"command": command, **config},
        )  # fmt: skip

    def attempted(self, actions: str, task: Task | None = None, **more: Any) -> Attempted:
        return msgspec.convert(self.result(actions, task, **more)["attempted"], Attempted)


if __name__ == "__main__":
    # A process that a test kills: FOLDER and ACTIONS, on a shop that is there already.
    import sys

    print(Shop(Path(sys.argv[1])).attempted(sys.argv[2]).outcome)
