"""autogen-core's runtime of one process: agents that are handed messages, and answer."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.processes import NotThere

RECEIVER = "receiver"


@dataclass
class Number:
    """What is sent."""

    n: int


class AutoGen:
    """`runtime.send_message`, awaited until the handler has returned."""

    name = "autogen-core (in memory, one process)"

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runtime: Any = None
        self._target: Any = None

    def open(self, folder: Path) -> None:
        """See `Carrier.open`."""
        del folder
        if find_spec("autogen_core") is None:
            raise NotThere("autogen-core is not installed; `make bench` installs it")
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        from autogen_core import (  # type: ignore[import-not-found]
            AgentId,
            MessageContext,
            RoutedAgent,
            SingleThreadedAgentRuntime,
            message_handler,
        )

        class Receiver(RoutedAgent):
            """Answers with what it is sent."""

            @message_handler
            async def handle(self, message: Number, ctx: MessageContext) -> Number:
                return message

        self._runtime = SingleThreadedAgentRuntime()
        await Receiver.register(self._runtime, RECEIVER, lambda: Receiver("It answers."))
        self._target = AgentId(RECEIVER, "default")
        self._runtime.start()

    def run(self, tasks: int, window: int) -> None:
        """See `Carrier.run`."""
        self._wait(self._sent(tasks, window))

    async def _sent(self, tasks: int, window: int) -> None:
        under_way: deque[asyncio.Task[Any]] = deque()
        for number in range(tasks):
            if len(under_way) == window:
                _check(await under_way.popleft())
            sending = self._runtime.send_message(Number(number), self._target)
            under_way.append(asyncio.ensure_future(sending))
        for each in under_way:
            _check(await each)

    def singles(self, tasks: int) -> list[float]:
        """See `Carrier.singles`."""
        return self._wait(self._asked(tasks))

    async def _asked(self, tasks: int) -> list[float]:
        taken: list[float] = []
        for number in range(tasks):
            began = time.perf_counter()
            answer = await self._runtime.send_message(Number(number), self._target)
            if answer.n != number:
                raise AssertionError(f"{answer} answers {number}")
            taken.append(time.perf_counter() - began)
        return taken

    def _wait(self, work: Any) -> Any:
        if self._loop is None:
            raise RuntimeError("open it first")
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        """See `Carrier.close`."""
        if self._loop is not None:
            if self._runtime is not None:
                self._loop.run_until_complete(self._runtime.stop())
            self._loop.close()
        self._loop = self._runtime = None


def _check(answer: object) -> None:
    if not isinstance(answer, Number):
        raise AssertionError(f"{answer!r} is no answer")
