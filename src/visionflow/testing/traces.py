"""The trace that a topology leaves in a log: who assigned, in which order, who spoke to whom, and
what was refused.

The checkers hold every simulated log against the rules at each event (`tracelines`), over switches
of the topology too. `read_trace` reads a whole log by itself, and tells in figures what there was
of each trace: an empty list of faults says little of a log in which nothing happened.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from visionflow.testing.checkers import LogCheck

Change = Callable[[dict[str, Any]], dict[str, Any] | None]


class Trace(msgspec.Struct, frozen=True):
    """What a log shows of its topology."""

    faults: tuple[str, ...]
    """What the rules do not allow; empty: it left the trace that they demand."""
    counts: dict[str, int]
    """What there was, by `TOPOLOGY: KIND`."""
    pairs: dict[tuple[str, str], int]
    """Messages between agents, by sender and receiver."""
    assigners: dict[tuple[str | None, str], int]
    """Assignments, by who assigned and to whom."""

    def count(self, what: str) -> int:
        """How often there was something of this kind, under any topology."""
        return sum(times for name, times in self.counts.items() if name.endswith(f": {what}"))


def read_trace(bodies: Iterable[bytes]) -> Trace:
    """What the records of a log, from its first, show of its topology."""
    check = LogCheck()
    for body in bodies:
        check.record(body)
    trace = check.trace
    return Trace(tuple(trace.faults), dict(trace.counts), dict(trace.pairs), dict(trace.assigners))


def rewritten(bodies: Iterable[bytes], change: Change) -> list[bytes]:
    """The log again, each event as `change` leaves it; what it makes `None` is left out. For
    planting wrong traces."""
    found: list[bytes] = []
    for body in bodies:
        at_ms, events = msgspec.msgpack.decode(body)
        kept = [event for event in map(change, events) if event is not None]
        if kept:
            found.append(msgspec.msgpack.encode((at_ms, kept)))
    return found
