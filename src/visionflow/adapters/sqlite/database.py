"""The few words of apsw that the log uses, typed for what it does with them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

import apsw

from visionflow.domain.errors import LogUnavailable

Value = str | int | bytes


class Rows(Protocol):
    """The rows of a statement under way."""

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        """Row by row."""
        ...

    def fetchall(self) -> list[tuple[object, ...]]:
        """All that are left."""
        ...

    def close(self) -> None:
        """End the statement, and with it a read transaction."""
        ...


class Database(Protocol):
    """A connection to a SQLite file. Its calls raise `apsw.Error`."""

    def execute(self, statements: str, bindings: tuple[Value, ...] = ()) -> Rows:
        """Run a statement."""
        ...

    def executemany(self, statements: str, bindings: Iterable[tuple[Value, ...]]) -> Rows:
        """Run a statement once for each tuple."""
        ...

    def pragma(self, name: str, value: Value | None = None) -> object:
        """Read or set a setting, and say what it is now."""
        ...

    def set_busy_timeout(self, milliseconds: int) -> None:
        """How long to wait for another connection's lock."""
        ...

    def set_wal_hook(self, hook: Callable[[object, str, int], int]) -> None:
        """After each commit: call with the number of pages in the write-ahead file."""
        ...

    def wal_checkpoint(self, dbname: str | None = None, mode: int = 0) -> tuple[int, int]:
        """Move pages from the write-ahead file to the database file."""
        ...

    def close(self) -> None:
        """Let go of the file; the last connection checkpoints first."""
        ...


def connect(path: str, flags: int, vfs: str | None) -> Database:
    """Open a file."""
    return cast(Database, apsw.Connection(path, flags=flags, vfs=vfs))


def open_views(path: Path, schema: str, version: int) -> Database:
    """Open a file of views, or make it anew when it is damaged or of another version.

    Raises:
        LogUnavailable: it cannot be made.
    """
    try:
        return _open_views(path, schema, version)
    except apsw.Error:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").unlink()
    try:
        return _open_views(path, schema, version)
    except apsw.Error as error:
        raise LogUnavailable(f"The views {path} cannot be made: {error}.") from error


def _open_views(path: Path, schema: str, version: int) -> Database:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = connect(str(path), flags, None)
    try:
        connection.set_busy_timeout(5_000)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        found = connection.pragma("user_version")
        if found == 0:
            connection.execute(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT")
        elif found != version:
            raise apsw.SchemaChangeError("another version's views")
    except BaseException:
        connection.close()
        raise
    return connection


def not_written(path: object, error: apsw.Error) -> LogUnavailable:
    """Views could not be brought up to the log, so that what they tell would be old."""
    full = isinstance(error, apsw.FullError)
    return LogUnavailable(
        f"The views {path} cannot be written: {'the disk is full' if full else error}.",
        hint="Nothing that was acknowledged is lost. "
        + ("Make room on the disk, and ask again." if full else "Look at the disk."),
    )
