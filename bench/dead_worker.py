"""How long the task of a dead worker waits until it runs again: killed, and only stopped."""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.agents import Witness
from bench.figures import Row, Series, ratio
from bench.peers import dramatiq_side
from bench.processes import NotThere, wait_for
from visionflow import AgentOrchestrator, Limits, Task

CASES = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}
PEER_TRIES = 1
"""One takes minutes."""
NOTE = (
    "by their defaults, heartbeats of 5 s for us and a silence of 60 s for dramatiq; but each "
    "of its fetches looks for dead workers, by default one of a thousand does"
)


def dead_worker(tries: int) -> Row:
    """From the signal until the task runs again in another process."""
    series: list[Series] = []
    ratios: dict[str, float | None] = {}
    for name, number in CASES.items():
        ours = _measured(f"visionflow, {name}", tries, _ours, number)
        theirs = _measured(
            f"{dramatiq_side.NAME}, {name}", PEER_TRIES, dramatiq_side.dead_worker, number
        )
        series += [ours, theirs]
        ratios[f"{name}: dramatiq / visionflow"] = ratio(theirs, ours)
    return Row(
        "dead-worker",
        "a worker is killed or stopped under a task, until that runs again on another worker",
        tuple(series),
        ratios,
        (NOTE,),
    )


def _measured(
    name: str,
    tries: int,
    once: Callable[[Path, signal.Signals], float],
    number: signal.Signals,
) -> Series:
    taken: list[float] = []
    try:
        for _ in range(tries):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                taken.append(once(Path(folder), number))
    except NotThere as why:
        return Series(name, "s", tuple(taken), str(why))
    return Series(name, "s", tuple(taken))


def _ours(folder: Path, number: signal.Signals) -> float:
    with AgentOrchestrator(folder / "fleet", limits=Limits(workers_max=2)) as fleet:
        fleet.spawn(Witness, count=2)
        place = folder / "pid"
        handle = fleet.submit(Task(input=str(place)))
        wait_for("the first attempt", place.exists)
        hit = time.monotonic()
        os.kill(int(place.read_text()), number)
        return handle.result(60) - hit
