"""Rows of the parts that need no disk, socket or process. Seconds are of processor time."""

from bench.engine import crew, tasks
from bench.figures import Row, Series
from bench.matching import nothing_fits, saturated, usual, worst

QUEUED = 100_000
TASKS = 30_000


def matching(rounds: int, queued: int = QUEUED) -> Row:
    """The index of queued tasks and free agents, alone."""
    cases = {
        "a pass for every 100 agents that come free": lambda: usual(queued, 100),
        "a pass for every agent that comes free": lambda: usual(queued, 1),
        "one agent free at a time, all others busy": lambda: saturated(queued),
        "worst known: 1,000 classes, one agent at a time": lambda: worst(queued, 1),
    }
    found = {name: tuple(run() for _ in range(rounds)) for name, run in cases.items()}
    series = [Series(name, "assignments/s", samples) for name, samples in found.items()]
    looks = tuple(nothing_fits(queued) for _ in range(rounds))
    what = f"{queued:,} queued, 1,000 agents in 100 classes, 200 capability sets, in memory"
    return Row("matching", what, (*series, Series("nothing fits", "looks/s", looks)))


def engine(rounds: int, count: int = TASKS) -> Row:
    """Deciding and folding a task's three events: the floor of what the orchestrator costs."""
    series = [
        Series(
            f"window {window}, {agents} agents",
            "us/task",
            tuple(1e6 * tasks(crew(agents), count, window, batch) / count for _ in range(rounds)),
        )
        for agents, window, batch in ((3, 32, 16), (12, 256, 128))
    ]
    return Row("engine", "decide and fold, submit to completion, in memory", tuple(series))
