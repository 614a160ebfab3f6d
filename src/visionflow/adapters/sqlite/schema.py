"""The file format of the log in SQLite, and how a connection to it is opened.

What is appended when is the commit thread's business (`commits`), what is read the readers'
(`readers`).
"""

from pathlib import Path

import apsw

from visionflow.adapters.sqlite.database import Database, connect
from visionflow.domain.errors import LogUnavailable, StoreTooOld

OLDEST_SQLITE = (3, 51, 3)
"""Older libraries lose data when a WAL is reset while another connection checkpoints."""
APPLICATION_ID = 0x56_46_4C_47
FORMAT = 1
BUSY_MS = 5_000
"""How long a connection waits for another process's lock before the log counts as broken."""

TABLE = """
CREATE TABLE records (
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID
"""
# The primary key is the compare-and-set of last resort: even a commit thread with a wrong
# idea of the tail cannot store a number twice.
INSERT = "INSERT INTO records (stream, seq, body, hash) VALUES (?, ?, ?, ?)"
TAIL = "SELECT seq, hash FROM records WHERE stream = ? ORDER BY seq DESC LIMIT 1"
HASH = "SELECT hash FROM records WHERE stream = ? AND seq = ?"
PAGE = """
SELECT seq, body, hash FROM records WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?
"""
# One index probe a stream: DISTINCT would walk every record.
STREAMS = """
WITH RECURSIVE names (name) AS (
    SELECT min(stream) FROM records
    UNION ALL
    SELECT (SELECT min(stream) FROM records WHERE stream > name) FROM names WHERE name NOT NULL
)
SELECT name FROM names WHERE name NOT NULL
"""


def check_library(version: str | None = None) -> None:
    """Refuse a SQLite that is known to lose data.

    Raises:
        StoreTooOld: it is older than `OLDEST_SQLITE`.
    """
    found = apsw.sqlite_lib_version() if version is None else version
    if tuple(int(part) for part in found.split(".")[:3]) < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreTooOld(
            f"SQLite {found} can corrupt a log when its write-ahead file is reset; {wanted} or "
            "newer is needed.",
            hint="Install a newer apsw: pip install -U apsw.",
        )


def unavailable(path: Path, what: str, error: Exception) -> LogUnavailable:
    """The error of a log at `path` that could not be opened, read or written."""
    return LogUnavailable(
        f"The log {path} could not be {what}: {type(error).__name__}: {error}.",
        hint="Check free space and permissions, then start again; acknowledged records are safe.",
    )


def open_writer(path: Path, *, create: bool, vfs: str | None) -> Database:
    """The one connection that appends: WAL, every commit synced. Makes the table if need be.

    Raises:
        StoreTooOld, LogUnavailable
    """
    check_library()
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    try:
        connection = connect(str(path), flags, vfs)
        try:
            _prepare(path, connection)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise unavailable(path, "opened", error) from error
    return connection


def _prepare(path: Path, connection: Database) -> None:
    connection.set_busy_timeout(BUSY_MS)
    # Whose file it is comes first: a stranger's is not to be changed to WAL either.
    if not _is_log(path, connection):
        connection.execute("BEGIN IMMEDIATE")
        # Looked at again under the lock: another process may be making it at the same time.
        if not _is_log(path, connection):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute(TABLE)
        connection.execute("COMMIT")
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise LogUnavailable(
            f"The log {path} could not be opened: SQLite offers journal mode {mode!r} there "
            "instead of WAL.",
            hint="Use a folder on a local disk.",
        )
    connection.execute("PRAGMA synchronous = FULL")
    # On macOS a plain fsync does not reach the platter; elsewhere these do nothing.
    connection.execute("PRAGMA fullfsync = 1")
    connection.execute("PRAGMA checkpoint_fullfsync = 1")
    # Checkpoints are run between commits, not within one that somebody waits for.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def open_reader(path: Path, *, vfs: str | None) -> Database:
    """A connection that cannot write.

    Raises:
        StoreTooOld, LogUnavailable
    """
    check_library()
    try:
        connection = connect(str(path), apsw.SQLITE_OPEN_READONLY, vfs)
        try:
            connection.set_busy_timeout(BUSY_MS)
            if not _is_log(path, connection):
                raise LogUnavailable(f"The file {path} is empty: no log was ever written to it.")
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise unavailable(path, "opened", error) from error
    return connection


def _is_log(path: Path, connection: Database) -> bool:
    """Whether the file is a log of this format; false when it holds nothing at all.

    Raises:
        LogUnavailable: it is something else.
    """
    kind = connection.pragma("application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    if kind == 0 and tables == [(0,)]:
        return False
    if kind != APPLICATION_ID:
        raise LogUnavailable(
            f"The file {path} is a SQLite database of another program, not a log.",
            hint="Name another file or folder.",
        )
    version = connection.pragma("user_version")
    if version != FORMAT:
        raise LogUnavailable(
            f"The log {path} has format {version}; this version of VisionFlow knows {FORMAT}.",
            hint="Use the version of VisionFlow that wrote it, or a newer one.",
        )
    return True
