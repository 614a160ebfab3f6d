"""Agents that send each other messages: importable, as a worker needs them."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from visionflow import AgentMessage, BaseAgent, Message, StatusMessage, Task, TaskMessage

POLL_S = 0.01


def seen(message: Message) -> dict[str, Any]:
    """What a test looks at."""
    return {
        "type": message.message_type,
        "content": message.content,
        "from": message.from_agent,
        "delivery": message.delivery_id,
        "again": message.redelivered,
        "topic": message.topic,
    }


class Talker(BaseAgent):
    """Does what its task says: a list of [what, arguments]."""

    capabilities = ("talk",)

    async def process_task(self, task: Task) -> list[Any]:
        return [await getattr(self, f"do_{what}")(*given) for what, *given in task.input]

    async def do_send(self, target: str, *contents: Any) -> list[str]:
        return [await self.send_message(target, content) for content in contents]

    async def do_typed(self, target: str, kind: str, content: Any) -> str:
        return await self.send_message(target, content, type=kind)

    async def do_broadcast(self, content: Any, meant: str | None = None) -> str:
        return await self.broadcast(content, meant)

    async def do_task(self, meant: str) -> str:
        return await self.broadcast_task(Task(id="t", config={"requirements": ["fast"]}), meant)

    async def do_publish(self, topic: str, content: Any) -> str:
        return await self.publish(topic, content)

    async def do_subscribe(self, pattern: str) -> None:
        await self.subscribe(pattern)

    async def do_ask(self, target: str, content: Any) -> Any:
        return (await self.request(target, content, timeout=60)).content

    async def do_inbox(self) -> list[dict[str, Any]]:
        return [seen(message) for message in await self.inbox()]

    async def do_take(self, count: int) -> list[int]:
        messages = (await self.inbox())[:count]
        await self.acknowledge(*messages)
        return [message.delivery_id for message in messages]

    async def do_models(self, target: str, models: list[dict[str, Any]]) -> list[str]:
        made = [_model(model) for model in models]
        return [await self.send_message(model) for model in made]

    async def do_die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _model(fields: dict[str, Any]) -> AgentMessage:
    for kind in (TaskMessage, StatusMessage):
        if set(kind.model_fields) <= set(fields):
            return kind(**fields)
    return AgentMessage(**fields)


class Threaded(BaseAgent):
    """The same from a thread, and a handler that runs in one."""

    capabilities = ("thread",)

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.got: list[dict[str, Any]] = []

    def handle_message(self, message: Message) -> None:
        self.got.append(seen(message))
        if message.wants_answer:
            self.reply_sync(message, {"got": len(self.got)})

    def process_task(self, task: Task) -> Any:
        if task.input is None:
            return self.got
        target, content = task.input
        self.send_message_sync(target, content)
        return self.request_sync(target, {"type": "how_many"}, timeout=60).content


class Reader(BaseAgent):
    """Reads and acknowledges from a thread."""

    def process_task(self, task: Task) -> list[list[Any]]:
        before = self.inbox_sync()
        self.acknowledge_sync(*before[: task.input])
        return [[each.content for each in found] for found in (before, self.inbox_sync())]


class Listener(BaseAgent):
    """Keeps what it is sent, and answers who asks. Its handler takes a while over each, so that two
    at a time would be seen."""

    capabilities = ("listen",)

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.got: list[dict[str, Any]] = []
        self.busy = 0

    async def handle_message(self, message: Message) -> None:
        self.busy += 1
        assert self.busy == 1, "two messages at a time"
        await asyncio.sleep(0)
        self.busy -= 1
        if message["type"] == "fail":
            raise ValueError(f"no {message.content['text']}")
        if message["type"] == "echo":
            await self.reply(message, {"echo": message.content["text"]})
        elif message["type"] == "models":
            self.got.append(message.model().model_dump(mode="json"))
        elif message.message_type.startswith(("task", "status", "note")):
            self.got.append({**message.model().model_dump(mode="json"), "kind": _kind(message)})
        else:
            self.got.append(seen(message))

    async def process_task(self, task: Task) -> list[dict[str, Any]]:
        """Once it got so many."""
        while len(self.got) < task.input:
            await asyncio.sleep(POLL_S)
        return self.got


def _kind(message: Message) -> str:
    return message.model().__class__.__name__


class Slow(BaseAgent):
    """Writes each message that it is handed into a file, then dies in the middle of one if it is
    told to and has not yet."""

    capabilities = ("slow",)

    async def handle_message(self, message: Message) -> None:
        folder = Path(self.config["folder"])
        with (folder / "handed").open("a") as file:
            file.write(f"{message.content['n']} {message.delivery_id} {message.redelivered:d}\n")
        await self.send_message(message.from_agent, {"n": message.content["n"]}, type="note")
        if message.content["n"] == self.config["dies_at"] and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    async def process_task(self, task: Task) -> None:
        return None


class Resender(BaseAgent):
    """Sends, asks, and dies before its first attempt ends; the next does the same."""

    capabilities = ("resend",)

    async def process_task(self, task: Task) -> Any:
        for number in range(3):
            await self.send_message(task.input, {"type": "plain", "n": number})
        await self.send_message(task.input, {"type": "plain", "n": 0})
        answer = await self.request(task.input, {"type": "echo", "text": "hello"}, timeout=60)
        if task.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return [task.attempt, answer.content]
