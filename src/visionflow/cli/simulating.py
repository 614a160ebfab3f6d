"""`visionflow simulate`: many seeds on all cores, what occurred how often, and which seeds failed.

What a seed is and when it fails is `visionflow.testing.simulator`'s business.
"""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import IO

import msgspec

from visionflow.cli.result import print_json
from visionflow.cli.terminal import Paint, colours, say
from visionflow.testing.simulator.run import SeedResult, run_seed

IN_ONE_PROCESS = 16
"""Fewer seeds than this are not worth starting processes for."""
CHUNK = 8
FAILURES_MAX = 10
FAULTS_MAX = 5
PROGRESS_S = 5.0


class Totals(msgspec.Struct):
    """What a number of seeds showed together."""

    seeds: int
    agents: int
    tasks: int
    first_seed: int
    done: int = 0
    failed: list[SeedResult] = []
    transitions: dict[str, int] = {}
    injected: dict[str, int] = {}
    counts: dict[str, int] = {}

    def add(self, result: SeedResult) -> None:
        """Count one more seed."""
        self.done += 1
        if result.faults:
            self.failed.append(result)
        self.transitions = _sum(self.transitions, result.transitions)
        self.injected = _sum(self.injected, result.injected)
        self.counts = _sum(self.counts, result.counts)


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    total = Counter(one)
    total.update(other)
    return dict(sorted(total.items()))


def simulate_and_print(totals: Totals, as_json: bool, out: IO[str]) -> int:
    """Run the seeds that `totals` asks for, print what they showed; 1 when one of them failed."""
    began = told = time.monotonic()
    for result in _results(totals):
        totals.add(result)
        now = time.monotonic()
        if now - told > PROGRESS_S and totals.done < totals.seeds:
            told = now
            say(f"{totals.done} of {totals.seeds} seeds, {len(totals.failed)} failed")
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        print_json(_object(totals, seconds))
    else:
        print("\n".join(_lines(totals, seconds, Paint(colours(out)))))
    return 1 if totals.failed else 0


def _results(totals: Totals) -> Iterator[SeedResult]:
    seeds = range(totals.first_seed, totals.first_seed + totals.seeds)
    processes = min(os.cpu_count() or 1, totals.seeds // CHUNK)
    if totals.seeds < IN_ONE_PROCESS or processes < 2:
        for seed in seeds:
            yield run_seed(seed, totals.agents, totals.tasks)
        return
    # Forking a process with threads is what breaks; a fresh one costs 0.2 s.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        yield from pool.map(
            run_seed, seeds, repeat(totals.agents), repeat(totals.tasks), chunksize=CHUNK
        )


def _object(totals: Totals, seconds: float) -> dict[str, object]:
    return {
        "seeds": totals.seeds,
        "agents": totals.agents,
        "tasks": totals.tasks,
        "first_seed": totals.first_seed,
        "failed": [
            {"seed": each.seed, "faults": list(each.faults), "again": each.again}
            for each in totals.failed
        ],
        "transitions": totals.transitions,
        "injected": totals.injected,
        "counts": totals.counts,
        "seconds": seconds,
    }


def _lines(totals: Totals, seconds: float, paint: Paint) -> Iterator[str]:
    for title, counts in (
        ("Transitions", totals.transitions),
        ("Faults brought about", totals.injected),
        ("Seen besides", totals.counts),
    ):
        yield paint("bold", title)
        for name, count in counts.items():
            yield f"  {count:>9,}  {name.replace('_', ' ')}"
    for result in totals.failed[:FAILURES_MAX]:
        yield paint("bad", f"Seed {result.seed} failed:")
        for fault in result.faults[:FAULTS_MAX]:
            yield f"  {fault}"
        yield f"  again: {result.again}"
    if len(totals.failed) > FAILURES_MAX:
        others = ", ".join(str(each.seed) for each in totals.failed[FAILURES_MAX:])
        yield f"Also failed: {others}"
    passed = totals.done - len(totals.failed)
    style = "bad" if totals.failed else "good"
    world = f"{totals.agents} agents and {totals.tasks} tasks each"
    yield paint(style, f"{passed} of {totals.done} seeds passed") + f", {world}, {seconds:.1f} s."
