"""Agents whose messages are measured. Workers import them; nothing else happens here."""

import asyncio
import time
from collections import deque
from typing import Any

from visionflow import BaseAgent, Message, Task


class Sender(BaseAgent):
    """Sends as many as its task says, so many under way at once, or asks one after the other."""

    capabilities = ("sending",)

    async def process_task(self, task: Task) -> Any:
        """Seconds of each question, or of all messages until the last is durable."""
        target, count, window = task.input["to"], task.input["count"], task.input["window"]
        if not window:
            return [await self._asked(target, number) for number in range(count)]
        began = time.perf_counter()
        under_way: deque[asyncio.Task[str]] = deque()
        for number in range(count):
            if len(under_way) == window:
                await under_way.popleft()
            under_way.append(asyncio.ensure_future(self.send_message(target, {"n": number})))
        await asyncio.gather(*under_way)
        return time.perf_counter() - began

    async def _asked(self, target: str, number: int) -> float:
        began = time.perf_counter()
        answer = await self.request(target, {"n": number, "run": time.monotonic_ns()})
        if answer.content != number:
            raise AssertionError(f"{answer.content} answers {number}")
        return time.perf_counter() - began


class Receiver(BaseAgent):
    """Counts what it is handed, in order."""

    capabilities = ("receiving",)

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.expected = 0
        self.count = 0

    async def handle_message(self, message: Message) -> None:
        """Answers who asks."""
        number = message.content["n"]
        if message.wants_answer:
            await self.reply(message, number)
            return
        if number not in (0, self.expected):
            raise AssertionError(f"{number} came, {self.expected} was next")
        self.expected = number + 1
        self.count += 1

    async def process_task(self, task: Task) -> int:
        """Returns once so many have been handed over in all."""
        while self.count < task.input:
            await asyncio.sleep(0.001)
        return self.count
