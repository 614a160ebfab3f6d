"""Agents whose processes misbehave, and a look at what the log of their fleet says."""

import asyncio
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from visionflow import BaseAgent, Task
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.agents.base import current_attempt
from visionflow.domain import messages as m
from visionflow.domain.events import AnyEvent, decode_record
from visionflow.domain.tasks import Payload

NEVER = re.compile(r"(a+)+$")
"""On many an `a` it computes for ages, in C code that lets nobody else have the interpreter."""


def events_of(folder: Path) -> list[AnyEvent]:
    """What the log of a closed fleet holds."""
    log = SqliteLog.open(folder / "log.db")
    try:
        streams = [stream for stream in log.streams() if stream != "fleet"]
        return [
            event
            for stream in streams
            for entry in log.read(stream)
            for event in decode_record(entry.body).events
        ]
    finally:
        log.close()


def mine() -> Any:
    """The session of this process, which no agent is meant to touch."""
    attempt: Any = current_attempt.get()
    return attempt._surroundings._reporter


class Spinner(BaseAgent):
    """Computes without end where the input says so, in C code, in the first attempt at a task."""

    async def process_task(self, task: Task) -> str:
        if task.input == "spin" and task.attempt == 1:
            NEVER.match("a" * 64 + "!")
        return "done"


class Liar(BaseAgent):
    """Speaks for another task, which the input names, beats for another worker, and floods."""

    async def process_task(self, task: Task) -> str:
        session, who = mine(), mine()._identity
        session.send(m.Result(str(task.input), 1, Payload(inline=b"\xa4mine")))
        session.send(m.Result(task.id, 7, Payload(inline=b"\xa4mine")))
        session._publish(who.heartbeats, m_frame(0, m.Heartbeat("w2", 1)))
        note = m_frame(0, m.Progress(task.id, task.attempt, None, "x" * 100))
        for _ in range(40):
            for _ in range(500):
                session._publish(who.commands, note)
            await asyncio.sleep(0)
        return "mine"


class Forger(BaseAgent):
    """Says that it is another worker, in its first attempt, and waits for what comes of it."""

    async def process_task(self, task: Task) -> str:
        session, who = mine(), mine()._identity
        if task.attempt == 1:
            session._publish(who.commands, m_frame(0, m.Hello("w2", 1, "0" * 32, who.pid)))
            await asyncio.sleep(600)
        return "honest"


def m_frame(number: int, message: m.Message) -> bytes:
    """A frame with one message."""
    return msgspec.msgpack.encode((number, [message]))


def children(folder: Path) -> list[int]:
    """Pids that forked children wrote down."""
    place = folder / "children"
    return [int(word) for word in place.read_text().split()] if place.exists() else []


class Forker(BaseAgent):
    """Leaves children behind that do not listen to SIGTERM, then ends its process at once."""

    async def process_task(self, task: Task) -> NoReturn:
        folder = Path(task.input)
        for _ in range(3):
            if os.fork() == 0:
                ignore()
                with open(folder / "children", "a") as file:
                    file.write(f"{os.getpid()}\n")
                while True:
                    time.sleep(60)
        while len(children(folder)) < 3:
            await asyncio.sleep(0.01)
        os._exit(9)


class Leaver(BaseAgent):
    """Starts a child in a session of its own, and then hangs or waits."""

    async def process_task(self, task: Task) -> None:
        folder, hangs = Path(task.input[0]), task.input[1]
        line = f"echo $$ >> {folder / 'children'}; exec sleep 600"
        subprocess.Popen(["sh", "-c", line], start_new_session=True)
        if hangs:
            time.sleep(600)
        await asyncio.sleep(600)


def ignore() -> None:
    """SIGTERM says nothing to this process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def flood_of_output(task: Task) -> str:
    """Prints far more than anybody reads."""
    for _ in range(task.input):
        os.write(1, b"y" * 65_535 + b"\n")
        os.write(2, b"n" * 65_535 + b"\n")
    return "printed"
