"""What a log says of workers, and what must not happen to them: for `checkers`, and as apart from
the engine as those."""

from collections.abc import Iterable, Iterator
from typing import Any

Fact = dict[str, Any]

STAYS = frozenset({"worker_suspected", "worker_trusted", "worker_recycling", "worker_restarting"})
"""What happens to a worker's living process and leaves it one."""


class WorkerLine:
    """What the log says of one worker."""

    def __init__(self) -> None:
        self.incarnation = 0
        self.pid: int | None = None
        self.joined = False
        self.alive = False
        self.awaited = False
        """It lives on from before a recovery and has yet to say hello."""
        self.suspected = False


def worker_event(line: WorkerLine, kind: str, event: Fact) -> Iterator[str]:
    """Fold an event about a worker into its line; what is wrong with it."""
    name, number = event["worker"], event["incarnation"]
    if kind == "worker_started":
        if line.alive or number <= line.incarnation:
            yield f"{name}.{number} starts after {name}.{line.incarnation}"
        line.incarnation, line.pid = number, event["pid"]
        line.alive, line.joined = True, False
        return
    current = line.alive and number == line.incarnation
    if kind == "worker_joined":
        if not current:
            yield f"{name}.{number} joins and is not the one that was started"
        line.joined = True
    elif kind == "worker_adopted":
        if not current or not line.awaited:
            yield f"{name}.{number} is adopted and was not awaited"
        line.joined, line.awaited, line.suspected = True, False, False
    elif kind in STAYS:
        if not current:
            yield f"{kind} of {name}.{number}, and the living one is {line.incarnation}"
        yield from _opinion(line, kind, name)
    else:
        line.incarnation = max(line.incarnation, number)
        line.alive = line.joined = line.awaited = line.suspected = False
        line.pid = None


def _opinion(line: WorkerLine, kind: str, name: str) -> Iterator[str]:
    if kind == "worker_suspected":
        if line.suspected or not line.joined:
            yield f"{name} is suspected again, or before it said hello"
        line.suspected = True
    elif kind == "worker_trusted":
        if not line.suspected:
            yield f"{name} is trusted again and was not suspected"
        line.suspected = False


def recovered(lines: dict[str, WorkerLine], kept: Iterable[str]) -> Iterator[str]:
    """A recovery keeps these; the processes of all others are told to be lost right after."""
    names = set(kept)
    for name in sorted(names - lines.keys()):
        yield f"a recovery keeps {name}, which is no worker"
    for name, line in lines.items():
        line.awaited = name in names
        if line.awaited and not line.alive:
            yield f"a recovery keeps {name}, which has no process"
