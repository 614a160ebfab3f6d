"""How long a task of a worker that was killed waits until it runs again."""

import os
import signal
import tempfile
import time
from pathlib import Path

from bench.agents import Witness
from bench.figures import Row, Series
from bench.processes import wait_for
from visionflow import AgentOrchestrator, Limits, Task

TRIES = 5
PEERS = "peers by their defaults, not waited for here: taskiq 600 s (idle_timeout), huey never"


def failover(tries: int = TRIES) -> Row:
    """From SIGKILL of the worker until the next attempt begins in another process."""
    taken: list[float] = []
    for _ in range(tries):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            taken.append(_once(folder))
    return Row(
        "failover",
        "SIGKILL of a worker under a task, until its next attempt begins on another worker",
        (Series("visionflow", "s", tuple(taken)),),
        {},
        (PEERS,),
    )


def _once(folder: str) -> float:
    with AgentOrchestrator(Path(folder) / "fleet", limits=Limits(workers_max=2)) as fleet:
        fleet.spawn(Witness, count=2)
        place = Path(folder) / "pid"
        handle = fleet.submit(Task(input=str(place)))
        wait_for("the first attempt", place.exists)
        killed = time.monotonic()
        os.kill(int(place.read_text()), signal.SIGKILL)
        return handle.result(60) - killed
