"""Many seeds: run them, on several cores if wished, and add up what they showed."""

import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from visionflow.testing.simulator.run import SeedResult, run_seed

AGENTS = 6
TASKS = 120
CHUNK = 4
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
    """Run seeds and yield each as it is done, in the order of the seeds when `jobs` is 1.

    With more jobs they run in processes of their own, started afresh.
    """
    work = ((seed, agents, tasks) for seed in seeds)
    if jobs <= 1:
        yield from map(_run, work)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run, work, CHUNK)


def _run(work: tuple[int, int, int]) -> SeedResult:
    return run_seed(*work)


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
