"""What views can count: figures of a stretch of time, each of which the log bears out.

A stretch is from one millisecond (left out) to another (taken in). An attempt belongs to the
stretch in which it ended. One whose end somebody asked for is neither a success nor a failure, and
neither is one whose process or agent supervision ended on purpose, nor one that was throttled:
somebody outside asked for patience.
"""

import msgspec


class AgentFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent did in a stretch of time."""

    agent: str
    completed: int = 0
    failed: int = 0
    """Attempts that ended without a result."""
    worked_us: int = 0
    """How long the completed attempts took, together."""
    busy_ms: int = 0
    """Time in which it held at least one attempt."""
    open: int = 0
    """Attempts that it holds now."""


class FailureRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed."""

    task: str
    type: str
    """Of the task."""
    agent: str
    kind: str
    reason: str
    ended_ms: int


class TypeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of tasks of one type in a stretch of time. Times are in microseconds, and
    `None` where nothing completed."""

    type: str
    completed: int
    mean_us: int | None
    median_us: int | None
    p95_us: int | None
    longest_us: int | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A swarm in a stretch of time."""

    submitted: int
    ended: dict[str, int]
    """How many tasks ended, by status."""
    open: dict[str, int]
    """How many tasks there are now that have not ended, by status."""
    attempts_completed: int
    attempts_failed: int
    attempts_throttled: int
    attempts_cancelled: int
    """Told to stop, given back before they began, ended with their process or agent on purpose, or
    with an outside effect in doubt."""
    worked_us: int
    """How long the completed attempts took, together."""
    failures: dict[str, int]
    """Failed attempts by kind, the most frequent first."""
    recent: list[FailureRow]
    """The last of them, latest first."""
    agents: list[AgentFigures]
    types: list[TypeFigures] = []
    """Only where they were asked for; the most frequent first."""
