"""Results of earlier readings, kept by the content they are of.

One SQLite file in a folder of ours, shared by all processes of this user. It is never needed: any
fault of it (a full disk, a torn file, another process that holds it too long) is a miss and no
error. What a key stands for is the caller's job: `key_of` over everything that the result depends
on. Values are opaque bytes; each is stored with a digest of itself, so that a torn one is a miss.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

BYTES_MAX = 512 * 1024 * 1024
"""Of the file; beyond it what was not used for longest goes."""
VALUE_BYTES_MAX = 8 * 1024 * 1024
BUSY_MS = 2_000
FILE = "results.db"
_KEYS_AT_ONCE = 500
_STALE = 20
"""Openings of the cache after which a hit is noted as used again: not each one is a write."""
_DIGEST_BYTES = 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results
    (key TEXT PRIMARY KEY, used INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS results_used ON results (used);
"""


def key_of(*parts: str | bytes) -> str:
    """A key for a result that depends on these parts, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


class ResultCache:
    """A cache in a folder. Not for several threads at once; for several processes it is."""

    def __init__(self, folder: str | None, bytes_max: int = BYTES_MAX) -> None:
        """Opens nothing yet. `folder=None` stores nothing and knows nothing."""
        self._folder = folder
        self._bytes_max = bytes_max
        self._opened: apsw.Connection | None = None
        self._turn = 0
        self._hit: set[str] = set()

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """What is known of these keys."""
        wanted = sorted(set(keys))
        database = self._database() if wanted else None
        found: dict[str, bytes] = {}
        if database is None:
            return found
        try:
            for start in range(0, len(wanted), _KEYS_AT_ONCE):
                some = wanted[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT key, used, value FROM results WHERE key IN ({marks})", some
                )
                for key, used, value in rows:
                    whole = _unsealed(value)
                    if whole is not None:
                        found[str(key)] = whole
                        if isinstance(used, int) and used < self._turn - _STALE:
                            self._hit.add(str(key))
        except Exception as error:  # Whatever SQLite says of this file, it is a miss.
            self._fault(error)
            return {}
        return found

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Keep these. Values above `VALUE_BYTES_MAX` are not kept."""
        rows = [
            (key, self._turn_now(), _sealed(value))
            for key, value in sorted(items.items())
            if len(value) <= VALUE_BYTES_MAX
        ]
        database = self._database() if rows else None
        if database is None:
            return
        try:
            with database:
                database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
            self._shrink(database)
        except Exception as error:
            self._fault(error)

    def close(self) -> None:
        """Let go of the file. It opens again when it is asked again."""
        database, self._opened = self._opened, None
        if database is None:
            return
        try:
            if self._hit:
                turn = self._turn
                with database:
                    rows = [(turn, key) for key in sorted(self._hit)]
                    database.executemany("UPDATE results SET used = ? WHERE key = ?", rows)
        except Exception as error:
            self._fault(error)
        self._hit.clear()
        _closed(database)

    def __enter__(self) -> "ResultCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _turn_now(self) -> int:
        self._database()
        return self._turn

    def _database(self) -> "apsw.Connection | None":
        if self._opened is not None or self._folder is None:
            return self._opened
        import apsw

        database: apsw.Connection | None = None
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            database = apsw.Connection(str(Path(self._folder, FILE)))
            database.set_busy_timeout(BUSY_MS)
            database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").fetchall()
            if not database.execute("PRAGMA table_list(results)").fetchall():
                database.execute(_SCHEMA)
            self._turn = 1 + (_number(database, "SELECT max(used) FROM results") or 0)
        except Exception as error:
            if database is not None:
                _closed(database)
            self._fault(error)
            return None
        self._opened = database
        return database

    def _shrink(self, database: "apsw.Connection") -> None:
        page = _number(database, "PRAGMA page_size") or 0
        if page * _pages(database) <= self._bytes_max:
            return
        with database:
            rows = _number(database, "SELECT count(*) FROM results") or 0
            database.execute(
                "DELETE FROM results WHERE key IN (SELECT key FROM results ORDER BY used LIMIT ?)",
                (max(1, rows // 2),),
            )

    def _fault(self, error: Exception) -> None:
        """From here on this object knows nothing; a file that is none of SQLite's is dropped."""
        import apsw

        database, self._opened = self._opened, None
        folder, self._folder = self._folder, None
        if database is not None:
            _closed(database)
        if folder is not None and isinstance(error, apsw.CorruptError | apsw.NotADBError):
            for end in ("", "-wal", "-shm"):
                Path(folder, FILE + end).unlink(missing_ok=True)


def _number(database: "apsw.Connection", query: str) -> int | None:
    row = database.execute(query).fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else None


def _pages(database: "apsw.Connection") -> int:
    """Pages in use."""
    whole = _number(database, "PRAGMA page_count") or 0
    return whole - (_number(database, "PRAGMA freelist_count") or 0)


def _closed(database: "apsw.Connection") -> None:
    import contextlib

    import apsw

    with contextlib.suppress(apsw.Error):
        database.close()


def _sealed(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()[:_DIGEST_BYTES] + value


def _unsealed(stored: object) -> bytes | None:
    if not isinstance(stored, bytes) or len(stored) < _DIGEST_BYTES:
        return None
    value = stored[_DIGEST_BYTES:]
    return (
        value if hashlib.sha256(value).digest()[:_DIGEST_BYTES] == stored[:_DIGEST_BYTES] else None
    )
