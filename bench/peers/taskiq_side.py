"""taskiq with Redis streams, AOF always, and its worker in a process of its own.

The submitter lives in a loop, as taskiq's users do; so many coroutines as the window is wide each
submit a task and wait for its result.
"""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from importlib import import_module, reload
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.contenders import check
from bench.peers.redis_server import RedisServer
from bench.processes import NotThere, end, start

WARM_UP = 200
POLL_S = 0.001
"""How often a coroutine asks for its result: the backend cannot wake it."""
POLLERS = 8
"""So many ask at a time: the fastest of those tried (1, 2, 4, 8, all)."""


class Taskiq:
    """`await double.kiq(n)` and `await task.wait_result()`."""

    def __init__(self, workers: int = 1) -> None:
        self.name = "taskiq (Redis, AOF always)"
        self._workers = workers
        self._redis: RedisServer | None = None
        self._child: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: Any = None

    def open(self, folder: Path) -> None:
        """See `Contender.open`."""
        if find_spec("taskiq_redis") is None:
            raise NotThere("taskiq is not installed; `make bench` installs it")
        self._redis = RedisServer(folder)
        os.environ["TASKIQ_BENCH_REDIS"] = self._redis.url
        module = import_module("bench.peers.taskiq_tasks")
        self._tasks = reload(module) if module.URL != self._redis.url else module
        argv = [sys.executable, "-m", "taskiq", "worker", "bench.peers.taskiq_tasks:broker"]
        options = ["--workers", str(self._workers), "--no-parse", "--log-level", "ERROR"]
        self._child = start([*argv, *options], folder / "worker.log")
        self._loop = asyncio.new_event_loop()
        self._in_loop(self._tasks.broker.startup())
        self.run(WARM_UP, 32)

    def run(self, tasks: int, window: int) -> None:
        """See `Contender.run`."""
        self._in_loop(self._run(tasks, window))

    async def _run(self, tasks: int, window: int) -> None:
        numbers = iter(range(tasks))
        gates = [asyncio.Lock() for _ in range(POLLERS)]

        async def serve(gate: asyncio.Lock) -> None:
            for number in numbers:
                task = await self._tasks.double.kiq(number)
                # If all asked at once, asking would be most of what they and Redis do.
                async with gate:
                    await self._checked(task, number, POLL_S)

        async with asyncio.TaskGroup() as group:
            for place in range(window):
                group.create_task(serve(gates[place % POLLERS]))

    async def _checked(self, task: Any, number: int, poll_s: float) -> None:
        result = await task.wait_result(check_interval=poll_s, timeout=60)
        check(number, result.return_value)

    def singles(self, tasks: int) -> list[float]:
        """See `Contender.singles`."""
        return self._in_loop(self._singles(tasks))

    async def _singles(self, tasks: int) -> list[float]:
        taken: list[float] = []
        for number in range(tasks):
            began = time.perf_counter()
            task = await self._tasks.double.kiq(number)
            await self._checked(task, number, POLL_S)
            taken.append(time.perf_counter() - began)
        return taken

    def close(self) -> None:
        """See `Contender.close`."""
        if self._loop is not None:
            self._in_loop(self._tasks.broker.shutdown())
            self._loop.close()
            self._loop = None
        if self._child is not None:
            end(self._child)
            self._child = None
        if self._redis is not None:
            self._redis.close()
            self._redis = None

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            raise RuntimeError("open it first")
        return self._loop.run_until_complete(work)
