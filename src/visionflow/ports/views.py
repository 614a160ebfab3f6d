"""Port: views: what lists and searches read, folded from the log and never in its way.

A view holds rows of plain values and how far into the log they reach. It may be deleted at any
time and is then made anew.
"""

from typing import Protocol

import msgspec

Scalar = str | int | bytes | None


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

    def tasks(self, status: str | None, after: tuple[int, str], limit: int) -> list[TaskRow]:
        """Tasks in the order of submission, those after (submitted_ms, id), at most `limit`."""
        ...

    def attempts(self, task: str) -> list[AttemptRow]:
        """All attempts at a task, first to last."""
        ...

    def agents(self) -> list[AgentRow]:
        """All agents, first to last."""
        ...

    def counts(self) -> dict[str, int]:
        """How many tasks there are by status."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
