"""What is measured against what: one interface for us and for each peer.

One task is one submit, a Python function in another process on its own payload, and a result
that the submitter checks.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from bench.processes import descendants_cpu_s


class Burst(msgspec.Struct, frozen=True):
    """What a number of tasks under one load cost."""

    tasks: int
    seconds: float
    submitter_cpu_s: float
    """Of this process: the submitter, and for us the orchestrator with it."""
    others_cpu_s: float
    """Of every process below this one: workers, and for a peer its server."""

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    @property
    def submitter_us(self) -> float:
        """CPU of this process a task."""
        return 1e6 * self.submitter_cpu_s / self.tasks

    @property
    def others_us(self) -> float:
        """CPU of the other processes a task."""
        return 1e6 * self.others_cpu_s / self.tasks


class WrongResult(Exception):
    """A task came back with something else than twice its input: the figure would be worthless."""


def check(number: int, result: object) -> None:
    """Every task doubles its number.

    Raises:
        WrongResult: it did not.
    """
    if result != 2 * number:
        raise WrongResult(f"task {number} came back with {result!r}")


class Contender(Protocol):
    """Somebody who runs tasks. Opened for a round, in a folder of its own, and closed after it."""

    name: str

    def open(self, folder: Path) -> None:
        """Start servers and workers, and run a few tasks to warm up.

        Raises:
            NotThere: it cannot be started here; the text says why.
        """
        ...

    def run(self, tasks: int, window: int) -> None:
        """Submit so many, with at most `window` not yet checked, and check each."""
        ...

    def singles(self, tasks: int) -> list[float]:
        """One after the other: seconds from the submit to the checked result, of each."""
        ...

    def close(self) -> None:
        """End all that was started."""
        ...


def timed(run: Callable[[], None], tasks: int) -> Burst:
    """Run it and say what it cost."""
    cpu, below = time.process_time(), descendants_cpu_s()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    return Burst(tasks, seconds, time.process_time() - cpu, descendants_cpu_s() - below)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
