"""Reading the log: short pages on connections that cannot write.

No read transaction outlives a page, so a slow reader never keeps a checkpoint from ending.
Connections are reused, each by one thread at a time, so any thread may read.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import apsw

from visionflow.adapters.chain import broken, verify
from visionflow.adapters.sqlite import schema
from visionflow.adapters.sqlite.database import Database
from visionflow.domain.errors import LogCorrupt, LogUnavailable
from visionflow.ports.log import GENESIS, Entry, Head

PAGE_ROWS = 500
PAGE_BYTES_MAX = 4_194_304
"""A page ends with the record that reaches this."""
IDLE_MAX = 4
UNKNOWN = b""
"""Stands for the hash of a record that was not read."""


class Page(NamedTuple):
    """Verified records, the last of them (or where the page began), and the fault after them."""

    entries: list[Entry]
    last: Head
    fault: LogCorrupt | None


def beginning(after: int) -> Head:
    """Where reading on from record `after` begins."""
    return Head(after, UNKNOWN) if after > 0 else Head(0, GENESIS)


class Readers:
    """The reading connections of one log file."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path = path
        self._vfs = vfs
        self._idle: list[Database] = []
        self._lock = threading.Lock()
        self._closed = False
        with self._connection():
            pass

    def head(self, stream: str) -> Head:
        """The last committed record of a stream."""
        with self._connection() as connection:
            rows = connection.execute(schema.TAIL, (stream,)).fetchall()
        for row in rows:
            return Head(*cast(tuple[int, bytes], row))
        return Head(0, GENESIS)

    def streams(self) -> tuple[str, ...]:
        """Names of all streams, sorted."""
        with self._connection() as connection:
            rows = connection.execute(schema.STREAMS).fetchall()
        return tuple(cast(str, row[0]) for row in rows)

    def page(self, stream: str, after: Head) -> Page:
        """Records right after `after`, verified, and where they end.

        Raises:
            LogUnavailable: the file could not be read.
        """
        unknown = after.hash == UNKNOWN
        entries: list[Entry] = []
        size = 0
        with self._connection() as connection:
            # Without its hash, record `after` is read too: in the same transaction, since it
            # may not be there yet.
            first = after.seq - 1 if unknown else after.seq
            cursor = connection.execute(schema.PAGE, (stream, first, PAGE_ROWS))
            for row in cursor:
                entry = Entry(*cast(tuple[int, bytes, bytes], row))
                entries.append(entry)
                size += len(entry.body)
                if size >= PAGE_BYTES_MAX and len(entries) > 1:
                    break
            cursor.close()
        if unknown and entries:
            base = entries.pop(0)
            if base.seq != after.seq:
                return Page([], after, broken(stream, after.seq, "it is missing"))
            after = Head(base.seq, base.hash)
        last, fault = verify(stream, after, entries)
        return Page(entries[: last.seq - after.seq], last, fault)

    def close(self) -> None:
        """Close the idle ones now, and those in use when their page ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Generator[Database, None, None]:
        connection = self._borrow()
        try:
            yield connection
        except apsw.CorruptError as error:
            raise LogCorrupt(f"The file {self._path} is damaged: {error}.") from error
        except apsw.Error as error:
            raise schema.unavailable(self._path, "read", error) from error
        finally:
            self._give_back(connection)

    def _borrow(self) -> Database:
        with self._lock:
            if self._closed:
                raise LogUnavailable(f"The log {self._path} is closed.")
            if self._idle:
                return self._idle.pop()
        return schema.open_reader(self._path, vfs=self._vfs)

    def _give_back(self, connection: Database) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()
