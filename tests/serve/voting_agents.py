"""Agents that vote on what they measure of a number that a task claims."""

import asyncio
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task
from visionflow.agents import Ballot, Proposal


class Adder(BaseAgent):
    """Adds numbers; `lies` in its configuration are added on top."""

    type = "adder"
    capabilities = ("adding",)

    async def process_task(self, task: Task) -> Any:
        if task.type == "fail":
            raise ValueError("asked to fail")
        return sum(task.input) + int(self.config.get("lies", 0))


class Checker(BaseAgent):
    """Votes by adding anew; where a file is named in its configuration, it adds what that says."""

    type = "checker"
    capabilities = ("checking",)

    async def process_task(self, task: Task) -> Any:
        return sum(task.input)

    async def vote(self, proposal: Proposal) -> Ballot:
        hold = self.config.get("hold")
        while hold is not None and not Path(hold).exists():
            await asyncio.sleep(0.02)
        for name, result in proposal.results.items():
            given = proposal.of["inputs"][name]
            source = self.config.get("evidence")
            if source is not None:
                given = [int(word) for word in Path(source).read_text(encoding="utf-8").split()]
            own = sum(given)
            if own != result:
                return Ballot.reject("reproduction", f"it is {own}", own=own, claimed=result)
        if not proposal.results:
            return Ballot.abstain("there is nothing to add")
        return Ballot.approve("reproduction", "the same sum", sums=len(proposal.results))


class Plain(BaseAgent):
    """Has no opinion of its own, and blocks a thread while it works."""

    type = "plain"

    def process_task(self, task: Task) -> Any:
        return "done"


class Opinionated(BaseAgent):
    """Votes from a plain method; it prefers what its configuration says."""

    type = "opinionated"

    def process_task(self, task: Task) -> Any:
        return "done"

    def vote(self, proposal: Proposal) -> Any:
        if self.config.get("broken"):
            return "yes"
        order = self.config["order"]
        return Ballot.rank([name for name in order if name in proposal.options], "taste")
