"""Views in a SQLite file of their own, `views.db`. It may be deleted at any time.

It is not synced on every change: after a power cut it is behind the log, or not readable and
made anew.
"""

import threading
from contextlib import suppress
from pathlib import Path
from typing import cast

import apsw
import msgspec

from visionflow.adapters.sqlite.database import Rows, Value, not_written, open_views
from visionflow.adapters.sqlite.figures import durations_of, failures_of, figures_of
from visionflow.ports.figures import FailureRow, Figures
from visionflow.ports.views import (
    OPEN_ATTEMPTS,
    AgentRow,
    AttemptRow,
    Change,
    EffectFilter,
    EffectRow,
    TaskFilter,
    TaskRow,
)

VERSION = 5
KEYS = {"tasks": ("id",), "attempts": ("task", "attempt"), "agents": ("id",), "effects": ("key",)}
FIRST = {"agents": ("ready_ms", "ended_ms"), "effects": ("reserved_ms",)}
"""Columns that keep the value they were given first."""
SCHEMA = """
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
INSERT INTO position VALUES (1, 0);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, type TEXT, description TEXT, status TEXT, priority INTEGER,
    agent TEXT, attempt INTEGER NOT NULL DEFAULT 0, parent TEXT, phase TEXT, reason TEXT,
    submitted_ms INTEGER, changed_ms INTEGER, result BLOB, result_blob TEXT, capabilities TEXT,
    agent_type TEXT, wanted_agent TEXT, timeout_ms INTEGER, deadline_ms INTEGER,
    ended_ms INTEGER, kind TEXT, stepped_ms INTEGER, duration_us INTEGER, phases TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_time ON tasks (submitted_ms, id);
CREATE INDEX tasks_by_status ON tasks (status, submitted_ms, id);
CREATE INDEX tasks_by_end ON tasks (status, ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX tasks_by_type ON tasks (type, ended_ms, duration_us) WHERE duration_us IS NOT NULL;
CREATE INDEX tasks_by_parent ON tasks (parent, submitted_ms, id) WHERE parent IS NOT NULL;
CREATE TABLE attempts (
    task TEXT, attempt INTEGER, agent TEXT, score_bp INTEGER, assigned_ms INTEGER,
    ended_ms INTEGER, outcome TEXT, reason TEXT, started_ms INTEGER, cancelled_ms INTEGER,
    duration_us INTEGER, excused INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_open ON attempts (agent) WHERE ended_ms IS NULL;
CREATE INDEX attempts_by_end ON attempts (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE TABLE agents (
    id TEXT PRIMARY KEY, type TEXT, name TEXT, status TEXT, worker TEXT, capabilities TEXT,
    reason TEXT, spawned_ms INTEGER, changed_ms INTEGER, ready_ms INTEGER, ended_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE effects (
    key TEXT PRIMARY KEY, name TEXT, kind TEXT, status TEXT, task TEXT, attempt INTEGER,
    request TEXT, digest TEXT, reserved_ms INTEGER, changed_ms INTEGER, reason TEXT,
    resolution TEXT, by TEXT, note TEXT, result BLOB, result_blob TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX effects_by_time ON effects (reserved_ms, key);
CREATE INDEX effects_by_status ON effects (status, reserved_ms, key);
CREATE INDEX effects_by_task ON effects (task, reserved_ms, key);
"""
TASK = (
    "id, type, description, status, priority, agent, attempt, parent, phase, reason, "
    "submitted_ms, changed_ms, result, result_blob, agent_type, wanted_agent, timeout_ms, "
    "deadline_ms, ended_ms, kind, stepped_ms, duration_us, capabilities, phases"
)
TASK_NAMES = TASK.split(", ")
BUSY = "EXISTS (SELECT 1 FROM attempts WHERE agent = agents.id AND ended_ms IS NULL)"
STATUS = f"CASE WHEN status = 'ready' AND {BUSY} THEN 'processing' ELSE status END"
AGENT = (
    "id, type, name, status, worker, capabilities, reason, spawned_ms, changed_ms, ready_ms, "
    "ended_ms"
)
ATTEMPT = (
    "task, attempt, agent, score_bp, assigned_ms, ended_ms, outcome, reason, started_ms, "
    "cancelled_ms, duration_us"
)
_phases = msgspec.json.Decoder(tuple[tuple[str, tuple[str, ...]], ...])


EFFECT = (
    "key, name, kind, status, task, attempt, request, digest, reserved_ms, changed_ms, reason, "
    "resolution, by, note, result, result_blob"
)
EFFECT_NAMES = EFFECT.split(", ")


class SqliteViews:
    """Satisfies `Views`. One connection, one caller at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it anew when it is damaged or of another version.

        Raises:
            LogUnavailable: it cannot be made.
        """
        self._path = path
        self._lock = threading.Lock()
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        self._connection = open_views(path, SCHEMA, VERSION)

    def _rows(self, statement: str, bindings: tuple[Value, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            rows: Rows = self._connection.execute(statement, bindings)
            return rows.fetchall()

    def position(self) -> int:
        """See `Views`."""
        return cast(int, self._rows("SELECT seq FROM position")[0][0])

    def apply(self, position: int, changes: list[Change]) -> None:
        """See `Views`."""
        with self._lock:
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                for change in changes:
                    values = (*change.key, *change.columns.values())
                    connection.execute(self._upsert(change), cast("tuple[Value, ...]", values))
                connection.execute("UPDATE position SET seq = ?", (position,))
                connection.execute("COMMIT")
            except BaseException as error:
                with suppress(apsw.Error):
                    connection.execute("ROLLBACK")
                if isinstance(error, apsw.Error):
                    raise not_written(self._path, error) from error
                raise

    def _upsert(self, change: Change) -> str:
        names = tuple(change.columns)
        statement = self._statements.get((change.table, names))
        if statement is None:
            statement = self._statements[change.table, names] = _statement(change.table, names)
        return statement

    def task(self, task: str) -> TaskRow | None:
        """See `Views`."""
        rows = self._rows(f"SELECT {TASK} FROM tasks WHERE id = ?", (task,))
        return _task(rows[0]) if rows else None

    def tasks(self, wanted: TaskFilter, after: tuple[int, str], limit: int) -> list[TaskRow]:
        """See `Views`."""
        where, bindings = _conditions(wanted)
        rows = self._rows(
            f"SELECT {TASK} FROM tasks WHERE {where}(submitted_ms, id) > (?, ?) "
            "ORDER BY submitted_ms, id LIMIT ?",
            (*bindings, *after, limit),
        )
        return [_task(row) for row in rows]

    def attempts(self, task: str) -> list[AttemptRow]:
        """See `Views`."""
        rows = self._rows(
            f"SELECT {ATTEMPT} FROM attempts WHERE task = ? ORDER BY attempt", (task,)
        )
        names = ATTEMPT.split(", ")
        return [AttemptRow(**dict(zip(names, row, strict=True))) for row in rows]  # pyright: ignore[reportArgumentType]

    def agents(self) -> list[AgentRow]:
        """See `Views`."""
        found: list[AgentRow] = []
        wanted = AGENT.replace("status", STATUS, 1)
        for row in self._rows(f"SELECT {wanted} FROM agents ORDER BY spawned_ms, id"):
            columns = dict(zip(AGENT.split(", "), row, strict=True))
            words = cast(str, columns.pop("capabilities"))
            capabilities = tuple(words.split("\n")) if words else ()
            found.append(AgentRow(capabilities=capabilities, **columns))  # pyright: ignore[reportArgumentType]
        return found

    def effects(self, wanted: EffectFilter, after: tuple[int, str], limit: int) -> list[EffectRow]:
        """See `Views`."""
        where, bindings = "", list[Value]()
        if wanted.statuses:
            where = f"status IN ({', '.join('?' * len(wanted.statuses))}) AND "
            bindings.extend(wanted.statuses)
        if wanted.task is not None:
            where, bindings = f"{where}task = ? AND ", [*bindings, wanted.task]
        rows = self._rows(
            f"SELECT {EFFECT} FROM effects WHERE {where}(reserved_ms, key) > (?, ?) "
            "ORDER BY reserved_ms, key LIMIT ?",
            (*bindings, *after, limit),
        )
        return [_effect(row) for row in rows]

    def effect(self, key: str) -> EffectRow | None:
        """See `Views`."""
        rows = self._rows(f"SELECT {EFFECT} FROM effects WHERE key = ?", (key,))
        return _effect(rows[0]) if rows else None

    def counts(self) -> dict[str, int]:
        """See `Views`."""
        rows = self._rows("SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status")
        return {cast(str, row[0]): cast(int, row[1]) for row in rows}

    def completion_ms(self) -> float | None:
        """See `Views`."""
        took = "SELECT avg(ended_ms - submitted_ms) FROM tasks WHERE status = 'completed'"
        return cast("float | None", self._rows(took)[0][0])

    def figures(self, from_ms: int, to_ms: int, recent: int, types: int) -> Figures:
        """See `Views`."""
        return figures_of(self._rows, from_ms, to_ms, recent, types)

    def failures_of(self, agent: str, last: int) -> list[FailureRow]:
        """See `Views`."""
        return failures_of(self._rows, agent, last)

    def durations(self, type: str, last: int) -> list[int]:
        """See `Views`."""
        return durations_of(self._rows, type, last)

    def close(self) -> None:
        """See `Views`."""
        with self._lock:
            self._connection.close()


def _statement(table: str, names: tuple[str, ...]) -> str:
    """What changes these columns of a row; bound are its key, then they."""
    if table == OPEN_ATTEMPTS:
        update = ", ".join(f"{name} = ?{place}" for place, name in enumerate(names, 2))
        return f"UPDATE attempts SET {update} WHERE task = ?1 AND ended_ms IS NULL"
    key = KEYS[table]
    columns = ", ".join((*key, *names))
    marks = ", ".join("?" * (len(key) + len(names)))
    kept = FIRST.get(table, ())
    update = ", ".join(
        f"{name} = coalesce({name}, excluded.{name})"
        if name in kept
        else f"{name} = excluded.{name}"
        for name in names
    )
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {update}"
    )


def _conditions(wanted: TaskFilter) -> tuple[str, tuple[Value, ...]]:
    """A filter as conditions, each followed by AND, and what is bound in them."""
    found: list[str] = []
    bindings: list[Value] = []
    if wanted.statuses:
        found.append(f"status IN ({', '.join('?' * len(wanted.statuses))})")
        bindings.extend(wanted.statuses)
    if wanted.agent is not None:
        found.append(
            "(wanted_agent = ? OR EXISTS "
            "(SELECT 1 FROM attempts WHERE task = tasks.id AND agent = ?))"
        )
        bindings.extend((wanted.agent, wanted.agent))
    for column, value in (("parent", wanted.parent), ("type", wanted.type)):
        if value is not None:
            found.append(f"{column} = ?")
            bindings.append(value)
    if wanted.reason_begins is not None:
        found.append("substr(reason, 1, ?) = ?")
        bindings.extend((len(wanted.reason_begins), wanted.reason_begins))
    return "".join(f"{each} AND " for each in found), tuple(bindings)


def _effect(row: tuple[object, ...]) -> EffectRow:
    return EffectRow(**dict(zip(EFFECT_NAMES, row, strict=True)))  # pyright: ignore[reportArgumentType]


def _task(row: tuple[object, ...]) -> TaskRow:
    words, phases = cast("tuple[str | None, str | None]", row[-2:])
    columns: dict[str, object] = dict(zip(TASK_NAMES, row, strict=True))
    columns["capabilities"] = tuple(words.split("\n")) if words else ()
    columns["phases"] = _phases.decode(phases) if phases else ()
    return TaskRow(**columns)  # pyright: ignore[reportArgumentType]
