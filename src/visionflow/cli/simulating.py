"""`visionflow simulate`: many seeds on all cores, what occurred how often, and which seeds failed.

What a seed is and when it fails is `visionflow.testing.simulator`'s business.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from visionflow.cli.result import print_json
from visionflow.cli.terminal import Paint, colours, say
from visionflow.domain.errors import UsageError
from visionflow.testing import mesh_scale
from visionflow.testing.simulator.report import CHUNK, results
from visionflow.testing.simulator.run import SeedResult
from visionflow.testing.simulator.storm import StormFigures, StormOrder, run_storm
from visionflow.testing.vote_study import study, table, write

IN_ONE_PROCESS = 16
"""Fewer seeds than this are not worth starting processes for."""
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


def storm_and_print(totals: Totals, as_json: bool, out: IO[str]) -> int:
    """Simulate so many storms, one after the other, and print the figures; 1 when one of them
    failed."""
    found: list[StormFigures] = []
    for seed in range(totals.first_seed, totals.first_seed + totals.seeds):
        found.append(run_storm(StormOrder(seed, totals.agents, totals.tasks)))
        if not as_json:
            print("\n".join(_storm_lines(found[-1], Paint(colours(out)))), flush=True)
    if as_json:
        print_json({"storms": [{**msgspec.to_builtins(each)} for each in found]})
    return 1 if any(each.faults for each in found) else 0


def votes_and_print(seeds: int, docs: Path | None, as_json: bool) -> int:
    """Put so many worlds to each way of voting and print how often each was wrong; where `docs` is
    given, write that into the page there too."""
    rows = list(study(seeds))
    if docs is not None:
        try:
            write(docs, rows, seeds)
        except (OSError, IndexError) as error:
            raise UsageError(
                f"{docs} holds no page of votes to write: {error}.", hint="Name our docs folder."
            ) from error
    if as_json:
        print_json(
            {
                "seeds": seeds,
                "rows": [
                    {
                        "members": members,
                        "planted": planted,
                        "ways": {way: cell._asdict() for way, cell in cells.items()},
                    }
                    for members, planted, cells in rows
                ],
            }
        )
    else:
        print(f"Wrong / undecided, % of {seeds:,} seeds\n\n{table(rows, seeds)}")
    return 0


def meshes_and_print(agents: int, seed: int, docs: Path | None, as_json: bool) -> int:
    """Measure meshes up to so many agents and print what was sent and how long things took; where
    `docs` is given, write that into the page there too. 1 when something was never known to all."""
    scales: list[mesh_scale.Scale] = []
    for size in mesh_scale.sizes(agents):
        say(f"A mesh of {size:,}")
        scales.append(mesh_scale.measure(size, seed))
    if docs is not None:
        try:
            mesh_scale.write(docs, scales)
        except (OSError, IndexError) as error:
            raise UsageError(
                f"{docs} holds no page of meshes to write: {error}.", hint="Name our docs folder."
            ) from error
    if as_json:
        print_json({"meshes": [msgspec.to_builtins(each) for each in scales]})
    else:
        print(mesh_scale.table(scales))
    return 1 if any(stage.ms is None for each in scales for stage in each.stages) else 0


def _storm_lines(found: StormFigures, paint: Paint) -> Iterator[str]:
    order = found.order
    yield paint("bold", f"Storm {order.seed}: {order.agents:,} agents, {order.tasks:,} tasks")
    for name, value in (
        ("completed", found.completed),
        ("ended otherwise", found.other_ends),
        ("attempts", found.attempts),
        *((f"attempts that ended with {kind}", n) for kind, n in found.failed_attempts.items()),
        ("places of workers", found.workers),
        ("starts of workers", found.worker_starts),
        ("deaths of workers by themselves", found.own_deaths),
        ("workers given up, of so many doomed: " + f"{found.doomed:,}", found.given_up),
        ("most restarts of one worker in a minute, after deaths by itself", found.restarts_most),
        ("most starts of workers in a second", found.restarts_peak),
        ("ms until a task was given out, in the median", found.waited_ms),
        ("ms until a struck task was given out again, in the median", found.again_ms),
        ("ms, the same at worst", found.again_worst_ms),
        ("tasks completed in a second, in the median", found.flow_median),
        ("the same in the worst second", found.flow_least),
        ("simulated ms", found.virtual_ms),
    ):
        yield f"  {'unknown' if value is None else f'{value:,}':>9}  {name}"
    for fault in found.faults:
        yield paint("bad", f"  {fault}")
    if found.faults:
        yield f"  again: {order.again}"


def _results(totals: Totals) -> Iterator[SeedResult]:
    seeds = range(totals.first_seed, totals.first_seed + totals.seeds)
    processes = min(os.cpu_count() or 1, totals.seeds // CHUNK)
    jobs = 1 if totals.seeds < IN_ONE_PROCESS else processes
    yield from results(seeds, totals.agents, totals.tasks, jobs)


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
