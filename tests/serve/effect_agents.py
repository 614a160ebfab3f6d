"""Agents with effects on the world outside, for tests: workers load them from this file."""

from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task


def send(folder: str, text: str) -> dict[str, str]:
    """A line more in a file; whether it was written is said only of texts without a question."""
    with open(Path(folder, "sent"), "a") as file:
        file.write(f"{text}\n")
    if text.endswith("?"):
        raise ConnectionError("the line went dead with hunter2-the-secret")
    return {"receipt": text}


class Clerk(BaseAgent):
    """Sends what it is told to."""

    capabilities = ("clerk",)

    async def process_task(self, task: Task) -> Any:
        given = task.input
        about = f"send {given['text']}"
        return await self.effect(
            "send", send, given["folder"], given["text"], key=given.get("key"), about=about
        )


class Clerical(BaseAgent):
    """The same, from a thread."""

    capabilities = ("clerical",)

    def process_task(self, task: Task) -> Any:
        return self.effect_sync("send", send, task.input["folder"], task.input["text"])
