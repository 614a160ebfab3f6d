"""The guide's own classes about messages, put on top of ours; absent where the guide is."""

import asyncio
from datetime import datetime
from typing import Any

from tests.guide.guide_text import GUIDE, block
from visionflow import BaseAgent, Task

POLL_S = 0.01
_scope: dict[str, Any] = {"BaseAgent": BaseAgent, "datetime": datetime}
if GUIDE.exists():
    for containing in ("class EventDrivenAgent", 'channel=f"agent.{target_agent_id}"'):
        exec(compile(block("python", containing), str(GUIDE), "exec"), _scope)


class Events(_scope.get("EventDrivenAgent", BaseAgent)):  # type: ignore[misc]
    """Its handlers, which the guide leaves out, note what they are told."""

    capabilities = ("events",)

    def __init__(self, *args: Any, **fields: Any) -> None:
        self.noted: list[tuple[str, int, str | None]] = []
        super().__init__(*args, **fields)

    async def start(self) -> None:
        await self.subscribe_to_events()

    async def _note(self, event: Any) -> None:
        self.noted.append((event.type, event.seq, event.task or event.agent))

    on_task_completed = on_task_failed = on_agent_joined = on_agent_left = _note
    on_error_occurred = _note

    async def process_task(self, task: Task) -> list[tuple[str, int, str | None]]:
        """Once each of these types was told of."""
        while set(task.input) - {each[0] for each in self.noted}:
            await asyncio.sleep(POLL_S)
        return self.noted


class _NoGuide:
    """In the place of the guide's class where there is no guide: the tests are skipped then."""


class Guided(_scope.get("Agent", _NoGuide), BaseAgent):  # type: ignore[misc]
    """Sends and handles as the guide's Agent does."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.heard: list[tuple[str, Any]] = []

    async def handle_task_request(self, content: Any) -> None:
        self.heard.append(("task_request", content))

    async def handle_status_update(self, content: Any) -> None:
        self.heard.append(("status_update", content))

    async def handle_data_share(self, content: Any) -> None:
        self.heard.append(("data_share", content))

    async def process_task(self, task: Task) -> Any:
        if isinstance(task.input, int):
            while len(self.heard) < task.input:
                await asyncio.sleep(POLL_S)
            return self.heard
        target, *messages = task.input
        for message in messages:
            await self.send_message(target, message)
        return None
