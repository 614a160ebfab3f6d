"""How long until an orchestrator that was killed answers again."""

import tempfile
import time
from pathlib import Path

from bench.figures import Row, Series
from bench.ours import in_the_file
from bench.processes import NotThere, end, start_module

QUEUED = 100_000


def restart(rounds: int, queued: int = QUEUED) -> Row:
    """kill -9 with tasks queued, then from the start of the process until it listens."""
    listening: list[float] = []
    answered: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        _queue_and_kill(name, queued)
        records, kinds = in_the_file(Path(name))
        for _ in range(rounds):
            first, second = _revive(name)
            listening.append(first)
            answered.append(second)
    return Row(
        "restart",
        f"after kill -9 with {queued:,} tasks queued, from the start of the new process",
        (
            Series("until it listens", "s", tuple(listening)),
            Series("until a command is answered", "s", tuple(answered)),
        ),
        {},
        (f"in the file: {records} records, {kinds['TaskSubmitted']} tasks submitted",),
    )


def _queue_and_kill(folder: str, queued: int) -> None:
    child = start_module("bench.crash_site", folder, str(queued))
    try:
        if child.stdout is None or child.stdout.readline().strip() != "ready":
            raise NotThere("the program that queues tasks ended before it was done")
        child.kill()
        child.wait(10)
    finally:
        end(child)


def _revive(folder: str) -> tuple[float, float]:
    began = time.perf_counter()
    child = start_module("bench.revived", folder)
    try:
        told: list[float] = []
        for word in ("listening", "answered"):
            if child.stdout is None or child.stdout.readline().strip() != word:
                raise NotThere(f"the revived program ended before it said {word!r}")
            told.append(time.perf_counter() - began)
        child.wait(30)
        return told[0], told[1]
    finally:
        end(child)
