"""huey with its SQLite storage and fsync, and its consumer in a process of its own."""

import os
import sys
import time
from collections import deque
from importlib import import_module, reload
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.contenders import check
from bench.processes import NotThere, end, start

POLL_S = 0.001
"""How often consumer and submitter look: huey's storage cannot wake them."""
WARM_UP = 50


class Huey:
    """`double(n)` and `result.get(blocking=True)`."""

    def __init__(self, workers: int = 1) -> None:
        self.name = "huey (SQLite, fsync)"
        self._workers = workers
        self._child: Any = None
        self._tasks: Any = None

    def open(self, folder: Path) -> None:
        """See `Contender.open`."""
        if find_spec("huey") is None:
            raise NotThere("huey is not installed; `make bench` installs it")
        file = str(folder / "huey.db")
        os.environ["HUEY_BENCH_FILE"] = file
        module = import_module("bench.peers.huey_tasks")
        self._tasks = reload(module) if module.huey.storage.filename != file else module
        argv = [sys.executable, "-m", "huey.bin.huey_consumer", "bench.peers.huey_tasks.huey"]
        options = ["-k", "process", "-w", str(self._workers), "-d", str(POLL_S), "-m", "0.005"]
        self._child = start([*argv, *options, "-q", "-n"], folder / "consumer.log")
        self.run(WARM_UP, 32)

    def run(self, tasks: int, window: int) -> None:
        """See `Contender.run`."""
        double = self._tasks.double
        under_way: deque[tuple[int, Any]] = deque()
        for number in range(tasks):
            if len(under_way) == window:
                oldest, result = under_way.popleft()
                check(oldest, _got(result))
            under_way.append((number, double(number)))
        for oldest, result in under_way:
            check(oldest, _got(result))

    def singles(self, tasks: int) -> list[float]:
        """See `Contender.singles`."""
        taken: list[float] = []
        for number in range(tasks):
            began = time.perf_counter()
            check(number, _got(self._tasks.double(number)))
            taken.append(time.perf_counter() - began)
        return taken

    def close(self) -> None:
        """See `Contender.close`."""
        if self._child is not None:
            end(self._child)
            self._child = None
        if self._tasks is not None:
            self._tasks.huey.storage.close()


def _got(result: Any) -> object:
    return result.get(blocking=True, timeout=60, backoff=1.0, max_delay=POLL_S)
