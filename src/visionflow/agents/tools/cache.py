"""Results of earlier readings, kept by the content they are of.

One SQLite file in a folder of ours, shared by all processes of this user. It is never needed: any
fault of it (a full disk, a torn file, another process that holds it too long) is a miss and no
error. What a key stands for is the caller's job: `key_of` over everything that the result depends
on. Values are opaque bytes; each is stored with a digest of itself, so that a torn one is a miss.

What tools say of a file quotes it: comments, constants, passwords. So a value is stored covered
with a stream that follows from its key, and in the key's place stands a digest of it. As a key is
made from the content that the value is of, who does not have that content reads nothing here.
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
_FORM = 1
"""Of what is stored; a file of another form, whose values anybody could read, is emptied."""
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
        wanted = {_row_of(key): key for key in keys}
        database = self._database() if wanted else None
        found: dict[str, bytes] = {}
        if database is None:
            return found
        try:
            listed = sorted(wanted)
            for start in range(0, len(listed), _KEYS_AT_ONCE):
                some = listed[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT key, used, value FROM results WHERE key IN ({marks})", some
                )
                for row, used, value in rows:
                    key = wanted[str(row)]
                    whole = _unsealed(key, value)
                    if whole is not None:
                        found[key] = whole
                        if isinstance(used, int) and used < self._turn - _STALE:
                            self._hit.add(str(row))
        except Exception as error:  # Whatever SQLite says of this file, it is a miss.
            self._fault(error)
            return {}
        return found

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Keep these. Values above `VALUE_BYTES_MAX` are not kept."""
        rows = [
            (_row_of(key), self._turn_now(), _sealed(key, value))
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
                    rows = [(turn, row) for row in sorted(self._hit)]
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
            if _number(database, "PRAGMA user_version") != _FORM:
                _emptied(database)
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


def _emptied(database: "apsw.Connection") -> None:
    """Forget what is of another form, so that none of the old values stays in the file."""
    database.execute("BEGIN IMMEDIATE")  # Another process may be at it, or done with it.
    try:
        held = _number(database, "SELECT count(*) FROM sqlite_schema WHERE name = 'results'")
        stale = _number(database, "PRAGMA user_version") != _FORM
        if stale:
            database.execute("DROP TABLE IF EXISTS results").fetchall()
            database.execute(f"PRAGMA user_version = {_FORM}").fetchall()
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
    if stale and held:
        database.execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _row_of(key: str) -> str:
    """What stands in the file for a key, which cannot be found from it."""
    return key_of("row", key)


def _sealed(key: str, value: bytes) -> bytes:
    return _covered(key, hashlib.sha256(value).digest()[:_DIGEST_BYTES] + value)


def _unsealed(key: str, stored: object) -> bytes | None:
    if not isinstance(stored, bytes) or len(stored) < _DIGEST_BYTES:
        return None
    plain = _covered(key, stored)
    value = plain[_DIGEST_BYTES:]
    return (
        value if hashlib.sha256(value).digest()[:_DIGEST_BYTES] == plain[:_DIGEST_BYTES] else None
    )


def _covered(key: str, value: bytes) -> bytes:
    """`value` under the stream of its key; covering it again uncovers it."""
    stream = hashlib.shake_256(f"value {key}".encode("utf-8", "surrogateescape"))
    size = len(value)
    mixed = int.from_bytes(value, "big") ^ int.from_bytes(stream.digest(size), "big")
    return mixed.to_bytes(size, "big")
