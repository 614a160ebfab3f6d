"""VisionFlow as a contender: the embedded orchestrator with worker processes, as in the README."""

import time
from collections import Counter, deque
from pathlib import Path

from bench.agents import Doubler
from bench.contenders import check
from visionflow import AgentOrchestrator, Limits, Task
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.events import decode_record
from visionflow.interfaces.handles import TaskHandle
from visionflow.interfaces.orchestrator import Fleet

SWARM = "swarm"
WARM_UP = 500
AGENTS = 4
"""They share a worker's process; each is given up to 65 short tasks ahead."""


class VisionFlow:
    """`submit` and `result`, one call a task, with the oldest result checked first."""

    def __init__(self, workers: int = 1) -> None:
        self.name = "visionflow"
        self._workers = workers
        self._orchestrator: AgentOrchestrator | None = None
        self._fleet: Fleet | None = None

    def open(self, folder: Path) -> None:
        """See `Contender.open`."""
        self._orchestrator = AgentOrchestrator(folder, limits=Limits(workers_max=self._workers))
        self._fleet = self._orchestrator.open()
        self._fleet.spawn(Doubler, count=AGENTS * self._workers)
        self.run(WARM_UP, 32)

    def run(self, tasks: int, window: int) -> None:
        """See `Contender.run`."""
        fleet = self.fleet
        under_way: deque[tuple[int, TaskHandle]] = deque()
        for number in range(tasks):
            if len(under_way) == window:
                oldest, handle = under_way.popleft()
                check(oldest, handle.result(60))
            under_way.append((number, fleet.submit(Task(input=number))))
        for oldest, handle in under_way:
            check(oldest, handle.result(60))

    def singles(self, tasks: int) -> list[float]:
        """See `Contender.singles`."""
        fleet, taken = self.fleet, []
        for number in range(tasks):
            began = time.perf_counter()
            check(number, fleet.submit(Task(input=number)).result(60))
            taken.append(time.perf_counter() - began)
        return taken

    @property
    def fleet(self) -> Fleet:
        """The open fleet."""
        if self._fleet is None:
            raise RuntimeError("open it first")
        return self._fleet

    def close(self) -> None:
        """See `Contender.close`."""
        if self._orchestrator is not None:
            self._orchestrator.close()
        self._orchestrator = self._fleet = None


def in_the_file(folder: Path) -> tuple[int, Counter[str]]:
    """Records in the log of a closed folder, and its events by kind."""
    log = SqliteLog.open(folder / "log.db", read_only=True)
    kinds: Counter[str] = Counter()
    records = 0
    try:
        for entry in log.read(SWARM):
            records += 1
            kinds.update(type(event).__name__ for event in decode_record(entry.body).events)
    finally:
        log.close()
    return records, kinds
