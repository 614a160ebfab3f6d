"""Durable no-op tasks, submit to checked result, through a worker process."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

from bench.contenders import Burst, Contender, timed
from bench.figures import Row, Series, ratio
from bench.ours import VisionFlow, in_the_file
from bench.rounds import Budget, all_contenders, interleaved
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.testing.syncs import CountingVfs

TRIAL = 300
"""Tasks by which the size of a peer's burst is set."""
UNIT = "tasks/s"
LIFE = ("TaskSubmitted", "TaskAssigned", "TaskCompleted")


def throughput(budget: Budget, window: int) -> Row:
    """All contenders at this window."""

    def measure(contender: Contender, _folder: Path) -> Burst:
        trial = timed(lambda: contender.run(TRIAL, window), TRIAL)
        tasks = min(budget.tasks, max(TRIAL, int(trial.rate * budget.seconds)))
        return timed(lambda: contender.run(tasks, window), tasks)

    found = interleaved(all_contenders(), budget.rounds, measure)
    series: list[Series] = []
    notes: list[str] = []
    for name, (bursts, why) in found.items():
        series.append(Series(name, UNIT, tuple(burst.rate for burst in bursts), why))
        if bursts:
            notes.append(_cpu(name, bursts))
    ratios = {f"to {peer.name}": ratio(series[0], peer) for peer in series[1:]}
    what = f"durable no-op tasks, at most {window} not yet checked, one worker process each"
    return Row(f"throughput-{window}", what, tuple(series), ratios, (*notes, *_syncs(window)))


def _cpu(name: str, bursts: Iterable[Burst]) -> str:
    best = min(bursts, key=lambda burst: burst.submitter_us + burst.others_us)
    inside = "submitter and orchestrator" if name == "visionflow" else "submitter"
    return (
        f"{name}: CPU a task {best.submitter_us:.0f} us ({inside}), "
        f"{best.others_us:.0f} us (workers and servers)"
    )


def _syncs(window: int, tasks: int = 3_000) -> tuple[str, ...]:
    """Counted in a run of its own, because counting slows SQLite down."""
    counting, ours, opened = CountingVfs(), VisionFlow(), SqliteLog.open

    def open_counted(path: Path) -> SqliteLog:
        return opened(path, vfs=counting.name)

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        try:
            with patch.object(SqliteLog, "open", open_counted):
                ours.open(Path(name))
            syncs, written = counting.syncs, counting.written_bytes
            ours.run(tasks, window)
            syncs, written = counting.syncs - syncs, counting.written_bytes - written
        finally:
            ours.close()
            counting.unregister()
        records, kinds = in_the_file(Path(name))
    each = f"{tasks / syncs:.1f} tasks an fsync, {written / tasks:.0f} bytes written a task"
    events = ", ".join(f"{kinds[kind]} {kind}" for kind in LIFE)
    return (
        f"visionflow, counted apart: {syncs} fsyncs for {tasks} tasks = {each}",
        f"in the file then, warm-up included: {records} records; {events}",
    )
