"""Views of the fleet in a SQLite file of their own. It may be deleted at any time.

Words are found by FTS5. What a user searches for never reaches its parser as more than quoted
words, so no search is a syntax error.
"""

import threading
from contextlib import suppress
from pathlib import Path
from typing import cast

import apsw

from visionflow.adapters.sqlite.database import Database, Value, not_written, open_views
from visionflow.ports.fleet_views import AuditRow, FleetChange, Gone, Kept, KeptRow

VERSION = 1
WORDS_MAX = 32
"""Of one search; further words are not looked for."""
SCHEMA = """
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
INSERT INTO position VALUES (1, 0);
CREATE TABLE memory (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, key TEXT NOT NULL, inline BLOB, blob TEXT,
    size_bytes INTEGER NOT NULL, stored_ms INTEGER NOT NULL, expires_ms INTEGER,
    "by" TEXT NOT NULL, UNIQUE (namespace, key)
) STRICT;
CREATE VIRTUAL TABLE words USING fts5(key, text, content='', contentless_delete=1, prefix='2 3');
CREATE TABLE audit (
    seq INTEGER NOT NULL, place INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
    "by" TEXT NOT NULL, role TEXT, face TEXT NOT NULL, tool TEXT, code TEXT,
    message TEXT NOT NULL, subject TEXT, swarm TEXT, call TEXT, count INTEGER NOT NULL,
    PRIMARY KEY (seq, place)
) STRICT, WITHOUT ROWID;
"""
KEPT = 'namespace, key, inline, blob, size_bytes, stored_ms, expires_ms, "by"'
AUDIT = (
    'seq, place, at_ms, kind, "by", role, face, tool, code, message, subject, swarm, call, count'
)
STORE = f"""
INSERT INTO memory ({KEPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, key) DO UPDATE SET
    inline = excluded.inline, blob = excluded.blob, size_bytes = excluded.size_bytes,
    stored_ms = excluded.stored_ms, expires_ms = excluded.expires_ms, "by" = excluded."by"
RETURNING id
"""
ALIVE = "(expires_ms IS NULL OR expires_ms > ?)"
FOUND = "id IN (SELECT rowid FROM words WHERE words MATCH ?)"


class SqliteFleetViews:
    """Satisfies `FleetViews`. One connection, one caller at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it anew when it is damaged or of another version.

        Raises:
            LogUnavailable: it cannot be made.
        """
        self._path = path
        self._lock = threading.Lock()
        self._connection = open_views(path, SCHEMA, VERSION)

    def _rows(self, statement: str, bindings: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            return self._connection.execute(statement, _values(bindings)).fetchall()

    def position(self) -> int:
        """See `FleetViews`."""
        return cast(int, self._rows("SELECT seq FROM position")[0][0])

    def apply(self, position: int, changes: list[FleetChange]) -> None:
        """See `FleetViews`."""
        with self._lock:
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                for change in changes:
                    _apply(connection, change)
                connection.execute("UPDATE position SET seq = ?", (position,))
                connection.execute("COMMIT")
            except BaseException as error:
                with suppress(apsw.Error):
                    connection.execute("ROLLBACK")
                if isinstance(error, apsw.Error):
                    raise not_written(self._path, error) from error
                raise

    def clear(self) -> None:
        """See `FleetViews`."""
        self._rows(
            "BEGIN IMMEDIATE; DELETE FROM memory; INSERT INTO words (words) VALUES ('delete-all'); "
            "DELETE FROM audit; UPDATE position SET seq = 0; COMMIT"
        )

    def memory(self, namespace: str, key: str) -> KeptRow | None:
        """See `FleetViews`."""
        rows = self._rows(
            f"SELECT {KEPT} FROM memory WHERE namespace = ? AND key = ?", (namespace, key)
        )
        return _kept(rows[0]) if rows else None

    def search(
        self, namespace: str | None, query: str, after: tuple[str, str], limit: int, now_ms: int
    ) -> list[KeptRow]:
        """See `FleetViews`."""
        where, bindings = [f"(namespace, key) > (?, ?) AND {ALIVE}"], [*after, now_ms]
        if namespace is not None:
            where.append("namespace = ?")
            bindings.append(namespace)
        words = match_of(query)
        if words is None and query.strip():
            return []
        if words is not None:
            where.append(FOUND)
            bindings.append(words)
        rows = self._rows(
            f"SELECT {KEPT} FROM memory WHERE {' AND '.join(where)} "
            "ORDER BY namespace, key LIMIT ?",
            (*bindings, limit),
        )
        return [_kept(row) for row in rows]

    def audit(
        self,
        after: tuple[int, int] | None,
        limit: int,
        since_ms: int = 0,
        by: str | None = None,
        newest_first: bool = False,
    ) -> list[AuditRow]:
        """See `FleetViews`."""
        where, bindings = ["at_ms >= ?"], list[object]([since_ms])
        if after is not None:
            where.append(f"(seq, place) {'<' if newest_first else '>'} (?, ?)")
            bindings.extend(after)
        if by is not None:
            where.append('"by" = ?')
            bindings.append(by)
        order = "seq DESC, place DESC" if newest_first else "seq, place"
        rows = self._rows(
            f"SELECT {AUDIT} FROM audit WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?",
            (*bindings, limit),
        )
        return [_audit(row) for row in rows]

    def close(self) -> None:
        """See `FleetViews`."""
        with self._lock:
            self._connection.close()


def match_of(query: str) -> str | None:
    """The expression for FTS5 that finds a user's words; `None` when there is none in it."""
    terms: list[str] = []
    for place, part in enumerate(query.replace("\x00", " ").split('"')):
        if place % 2:
            terms.append(f'"{part}"')
        else:
            terms.extend(f'"{word}"*' for word in part.split())
    terms = [term for term in terms if any(map(str.isalnum, term))]
    return " AND ".join(terms[:WORDS_MAX]) or None


def _values(bindings: tuple[object, ...]) -> tuple[Value, ...]:
    return cast("tuple[Value, ...]", bindings)


def _apply(connection: Database, change: FleetChange) -> None:
    match change:
        case Kept():
            row = change.row
            values = (
                row.namespace,
                row.key,
                row.inline,
                row.blob,
                row.size_bytes,
                row.stored_ms,
                row.expires_ms,
                row.by,
            )
            place = cast(int, connection.execute(STORE, _values(values)).fetchall()[0][0])
            connection.execute("DELETE FROM words WHERE rowid = ?", (place,))
            connection.execute(
                "INSERT INTO words (rowid, key, text) VALUES (?, ?, ?)",
                (place, row.key, change.text),
            )
        case Gone():
            gone = connection.execute(
                "DELETE FROM memory WHERE namespace = ? AND key = ? RETURNING id",
                (change.namespace, change.key),
            ).fetchall()
            for row in gone:
                connection.execute("DELETE FROM words WHERE rowid = ?", _values(row))
        case AuditRow():
            values = tuple(getattr(change, name.strip('"')) for name in AUDIT.split(", "))
            marks = ", ".join("?" * len(values))
            connection.execute(
                f"INSERT OR REPLACE INTO audit ({AUDIT}) VALUES ({marks})", _values(values)
            )


def _columns(names: str, row: tuple[object, ...]) -> dict[str, object]:
    return dict(zip((name.strip('"') for name in names.split(", ")), row, strict=True))


def _kept(row: tuple[object, ...]) -> KeptRow:
    return KeptRow(**_columns(KEPT, row))  # pyright: ignore[reportArgumentType]


def _audit(row: tuple[object, ...]) -> AuditRow:
    return AuditRow(**_columns(AUDIT, row))  # pyright: ignore[reportArgumentType]
