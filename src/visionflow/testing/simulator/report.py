"""Many seeds: run them, on several cores if wished, and add up what they showed."""

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing.connection import wait

import msgspec

from visionflow.testing.simulator.run import SeedResult, run_seed

AGENTS = 6
TASKS = 120
CHUNK = 8
FAILED_KEPT_MAX = 100


class Report(msgspec.Struct):
    """What many seeds showed together."""

    seeds: int = 0
    transitions: dict[str, int] = {}
    """By `task queued -> assigned`, how often it happened."""
    injected: dict[str, int] = {}
    """Faults of the machine, by kind."""
    counts: dict[str, int] = {}
    """Events by kind, and what else was counted."""
    virtual_ms: int = 0
    failed: list[SeedResult] = []
    """Seeds with a fault of the system, the first hundred of them."""
    failures: int = 0
    """How many there were."""

    def add(self, result: SeedResult) -> None:
        """Count one seed more."""
        self.seeds += 1
        self.virtual_ms += result.virtual_ms
        for mine, more in (
            (self.transitions, result.transitions),
            (self.injected, result.injected),
            (self.counts, result.counts),
        ):
            for name, times in Counter(more).items():
                mine[name] = mine.get(name, 0) + times
        if result.faults:
            self.failures += 1
            if len(self.failed) < FAILED_KEPT_MAX:
                self.failed.append(result)

    def lines(self) -> Iterator[str]:
        """The report as text."""
        seconds = self.virtual_ms // 1_000
        yield f"{self.seeds} seeds, {seconds} simulated seconds, {self.failures} with a fault"
        for title, found in (
            ("transitions", self.transitions),
            ("faults of the machine", self.injected),
            ("events and what else was seen", self.counts),
        ):
            yield f"{title}:"
            for name, times in sorted(found.items()):
                yield f"  {times:>10,}  {name}"
        for result in sorted(self.failed, key=lambda failed: failed.seed):
            yield from told(result)


def told(result: SeedResult) -> Iterator[str]:
    """A failing seed as text: what was wrong, and how to run it again."""
    yield f"seed {result.seed} failed; run it again with: {result.again}"
    for fault in result.faults:
        yield f"  {fault}"


def results(
    seeds: Iterable[int], agents: int = AGENTS, tasks: int = TASKS, jobs: int = 1
) -> Iterator[SeedResult]:
    """Run seeds and yield each, in the order of the seeds.

    With more jobs they run in processes of their own, started afresh, which end with this one
    however it ends.
    """
    if jobs <= 1:
        for seed in seeds:
            yield run_seed(seed, agents, tasks)
        return
    # Forking a process with threads is what breaks; a fresh one costs 0.2 s.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _end_with_parent) as pool:
        yield from pool.map(run_seed, seeds, repeat(agents), repeat(tasks), chunksize=CHUNK)


def _end_with_parent() -> None:
    """In a process of the pool, which else would run all that is queued after a kill."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def simulate(
    seeds: Iterable[int], agents: int = AGENTS, tasks: int = TASKS, jobs: int = 1
) -> Report:
    """Run seeds and add up what they showed. `failures` is 0 when all is well.

    `agents` is also the swarm's limit; `tasks` is about how many are asked for.
    """
    report = Report()
    for result in results(seeds, agents, tasks, jobs):
        report.add(result)
    return report
