"""Agents that vote as their configuration says: workers import them from here."""

import asyncio
from typing import Any

from visionflow import Ballot, BaseAgent, Proposal, Task


class Voter(BaseAgent):
    """`says` approves, rejects, ranks (`order`), waits for ever, or breaks."""

    type = "voter"
    capabilities = ("voting",)

    async def process_task(self, task: Task) -> Any:
        return task.input

    async def vote(self, proposal: Proposal) -> Ballot:
        says = self.config.get("says", "approve")
        if proposal.options:
            order = [each for each in self.config.get("order", ()) if each in proposal.options]
            return Ballot.rank(order or list(proposal.options), "taste", f"{self.name} likes it")
        if says == "nothing":
            await asyncio.Event().wait()
        if says == "breaks":
            raise RuntimeError("cannot vote")
        make = Ballot.approve if says == "approve" else Ballot.reject
        return make("measured", f"{self.name} looked", looked=1)
