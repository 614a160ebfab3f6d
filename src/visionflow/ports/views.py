"""Port: views: what lists and searches read, folded from the log and never in its way.

A view holds rows of plain values and how far into the log they reach. It may be deleted at any
time and is then made anew.
"""

from typing import Protocol

import msgspec

from visionflow.ports.figures import FailureRow, Figures

Scalar = str | int | bytes | None


OPEN_ATTEMPTS = "open_attempts"
"""As the table of a change: the attempts of a task (its key) that have not ended, if any."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One row of a table, made if it is not there, with these columns set."""

    table: str
    key: tuple[Scalar, ...]
    columns: dict[str, Scalar]


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A task as a list shows it. Times are milliseconds since the epoch."""

    id: str
    type: str
    description: str
    status: str
    priority: int
    agent: str | None
    attempt: int
    parent: str | None
    phase: str | None
    reason: str | None
    submitted_ms: int
    changed_ms: int
    result: bytes | None
    """The result as MessagePack, when it is small."""
    result_blob: str | None
    capabilities: tuple[str, ...] = ()
    agent_type: str | None = None
    wanted_agent: str | None = None
    """The only agent that may have it."""
    timeout_ms: int | None = None
    deadline_ms: int | None = None
    ended_ms: int | None = None
    kind: str | None = None
    """The kind of failure that it ended with."""
    stepped_ms: int | None = None
    """When a step of it was last finished."""
    duration_us: int | None = None
    """How long the attempt that completed it took."""
    phases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of a plan: its phases in order, each with the ids of its tasks."""


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks a list shows: those that meet all that is given."""

    statuses: tuple[str, ...] = ()
    """Any of these; none given: all."""
    agent: str | None = None
    """That this agent holds, held, or is the only one to have."""
    parent: str | None = None
    type: str | None = None
    reason_begins: str | None = None


EVERY_TASK = TaskFilter()


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a task. `outcome` is `None` while it is open."""

    task: str
    attempt: int
    agent: str
    score_bp: int
    assigned_ms: int
    ended_ms: int | None
    outcome: str | None
    reason: str | None
    started_ms: int | None = None
    """`None` also for an attempt that was over before its beginning was told."""
    cancelled_ms: int | None = None
    """When it was told to stop."""
    duration_us: int | None = None
    """What the agent took, of one that completed."""


class AgentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, alive or gone."""

    id: str
    type: str
    name: str
    status: str
    worker: str
    capabilities: tuple[str, ...]
    reason: str | None
    spawned_ms: int
    changed_ms: int
    ready_ms: int | None = None
    """When it was ready for the first time."""
    ended_ms: int | None = None
    """When it failed for good or was gone."""


class EffectRow(msgspec.Struct, frozen=True, kw_only=True):
    """An outside effect, whatever became of it."""

    key: str
    name: str
    kind: str
    """Its class: what can be known of it after a crash."""
    status: str
    task: str
    attempt: int
    """The last that was allowed to carry it out, or said how it went."""
    request: str
    digest: str
    reserved_ms: int
    """When it was reserved for the first time."""
    changed_ms: int
    reason: str | None = None
    """Why it failed, or is in doubt."""
    resolution: str | None = None
    by: str | None = None
    note: str | None = None
    result: bytes | None = None
    result_blob: str | None = None


class EffectFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which effects a list shows: those that meet all that is given."""

    statuses: tuple[str, ...] = ()
    task: str | None = None


EVERY_EFFECT = EffectFilter()


class Views(Protocol):
    """Rows by table, for one stream. May be used from any thread; calls block on the disk."""

    def position(self) -> int:
        """The number of the last record that the rows reflect."""
        ...

    def apply(self, position: int, changes: list[Change]) -> None:
        """Make these changes and move to this position, both or neither."""
        ...

    def task(self, task: str) -> TaskRow | None:
        """One task."""
        ...

    def tasks(self, wanted: TaskFilter, after: tuple[int, str], limit: int) -> list[TaskRow]:
        """Tasks in the order of submission, those after (submitted_ms, id), at most `limit`."""
        ...

    def attempts(self, task: str) -> list[AttemptRow]:
        """All attempts at a task, first to last."""
        ...

    def agents(self) -> list[AgentRow]:
        """All agents, first to last."""
        ...

    def effects(self, wanted: EffectFilter, after: tuple[int, str], limit: int) -> list[EffectRow]:
        """Outside effects in the order in which they were reserved first, those after
        (reserved_ms, key), at most `limit`."""
        ...

    def effect(self, key: str) -> EffectRow | None:
        """One of them."""
        ...

    def counts(self) -> dict[str, int]:
        """How many tasks there are by status."""
        ...

    def completion_ms(self) -> float | None:
        """What completed tasks took from submission to completion, in milliseconds, on average."""
        ...

    def figures(self, from_ms: int, to_ms: int, recent: int, types: int) -> Figures:
        """What happened after `from_ms`, up to and with `to_ms`, with so many of the latest
        failures and so many of the most frequent types."""
        ...

    def failures_of(self, agent: str, last: int) -> list[FailureRow]:
        """The last attempts of one agent that failed, latest first. That one was ended to undo a
        deadlock is no failure of its agent."""
        ...

    def durations(self, type: str, last: int) -> list[int]:
        """How long the last completed tasks of a type took, in microseconds, latest first."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
