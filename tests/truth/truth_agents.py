"""Agents whose doings a checker of replies can tell from the log: workers load them from here."""

import asyncio
import time
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Message, Task, TryLater
from visionflow.agents import Ballot, Proposal
from visionflow.agents.effects import NotDone

PATIENCE_S = 900
"""What waits for a file ends after so long by itself; the scenario is over long before."""


class Teller(BaseAgent):
    """Says what it was given, after a line in its log."""

    capabilities = ("telling", "speech")

    def process_task(self, task: Task) -> Any:
        self.log(f"was given {task.description}", "warning")
        if isinstance(task.input, dict) and "times" in task.input:
            return task.input["text"] * task.input["times"]
        return {"told": task.input}


class Failer(BaseAgent):
    """Fails as often as it is told to, or is turned away for as long."""

    def process_task(self, task: Task) -> int:
        if "waits_ms" in task.input:
            raise TryLater("429 too many requests", wait_ms=task.input["waits_ms"])
        if task.attempt <= task.input["fails"]:
            raise ValueError(f"attempt {task.attempt} of {task.input['fails']}")
        return task.attempt


class Holder(BaseAgent):
    """Says how far it is, and goes on once its file is there."""

    def process_task(self, task: Task) -> str:
        self.progress(task.input["share"], task.input["note"])
        until = time.monotonic() + PATIENCE_S
        while not Path(task.input["go"]).exists() and time.monotonic() < until:
            if self.cancelled.is_set():
                return "stopped"
            time.sleep(0.01)
        return "let go"


class Deaf(BaseAgent):
    """Goes on until its file is there, whatever it is told."""

    def process_task(self, task: Task) -> str:
        until = time.monotonic() + PATIENCE_S
        while not Path(task.input["go"]).exists() and time.monotonic() < until:
            time.sleep(0.01)
        return "went on"


class Bulk(BaseAgent):
    """Takes several tasks at once, and goes on once its file is there."""

    def supports_batch(self, task_type: str) -> bool:
        return task_type == "bulk"

    async def process_task(self, task: Task) -> str:
        return (await self.batch_process([task]))[0]

    async def batch_process(self, tasks: list[Task]) -> list[str]:
        while not Path(tasks[0].input["go"]).exists() and not self.cancelled.is_set():
            await asyncio.sleep(0.01)
        return [f"with {len(tasks) - 1} others" for _ in tasks]


class Answerer(BaseAgent):
    """Answers, passes on, keeps silent or fails, as it is told to in a message."""

    async def handle_message(self, message: Message) -> None:
        content = message.content
        if content.get("fails"):
            raise ValueError(f"nothing for {content['fails']}")
        if content.get("type") == "pass on":
            more = {"priority": content["priority"], "correlation_id": f"c-{message.message_id}"}
            await self.send_message(content["to"], content["value"], type="passed on", **more)
            await self.send_message(content["to"], content["value"])
        if message.wants_answer and not content.get("silent"):
            await self.reply(message, {"heard": content["ask"]})


class Broken(BaseAgent):
    """Never gets ready."""

    async def start(self) -> None:
        raise RuntimeError(f"no licence for {self.config['colour']}")


class Sender(BaseAgent):
    """Does something to the world outside that ends as it is told to."""

    async def process_task(self, task: Task) -> Any:
        given = task.input
        if given.get("late") and task.attempt == 1:
            raise TryLater("later", wait_ms=1)
        more = {name: given[name] for name in ("key", "cls", "about") if name in given}
        return await self.effect(given["what"], act, given, **more)


def act(*args: Any) -> Any:
    """`args` ends with what the task was given; a key may come before."""
    how = args[-1]["how"]
    if how == "refused":
        raise NotDone("the world says no")
    if how == "broken":
        raise RuntimeError("the line went dead")
    return {"value": args[-1]["value"]}


class Voter(BaseAgent):
    """Says what its configuration says, with a figure; it may wait for its file first."""

    async def process_task(self, task: Task) -> Any:
        return task.input

    async def vote(self, proposal: Proposal) -> Any:
        go = self.config.get("go")
        while go is not None and not Path(go).exists():
            await asyncio.sleep(0.01)
        if proposal.bids:
            return super().vote(proposal)
        says, note = self.config["says"], self.config.get("note", "")
        if says == "abstain":
            return Ballot.abstain(note)
        if proposal.options:
            order = self.config["order"][:: 1 if says == "approve" else -1]
            return Ballot.rank([each for each in order if each in proposal.options], "taste", note)
        return Ballot(says, "count", note, (), {"seen": len(proposal.results), "note": note})
