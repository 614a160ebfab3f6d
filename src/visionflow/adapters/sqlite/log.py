"""The log in one SQLite file: the face of `commits` (writing) and `readers` (reading)."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

from visionflow.adapters.files import make_folders, sync_folder
from visionflow.adapters.sqlite import schema
from visionflow.adapters.sqlite.commits import CHECKPOINT_PAGES, Commits, Pending, Waker
from visionflow.adapters.sqlite.readers import Readers, beginning
from visionflow.domain.errors import LogUnavailable
from visionflow.ports.log import Entry, Head

FOREIGN_POLL_S = 0.1
"""How often a follower looks for what another process appended; our own appends wake it."""


class SqliteLog:
    """A `Log` in a file. Append from a loop's thread; read from any thread.

    An append whose disk failed leaves the log broken until it is opened again. Whether that one
    record is there after a crash is then not known: it was never acknowledged.
    """

    def __init__(self, path: Path, readers: Readers, commits: Commits | None) -> None:
        self._path = path
        self._readers = readers
        self._commits = commits
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        create: bool = True,
        read_only: bool = False,
        vfs: str | None = None,
        checkpoint_pages: int = CHECKPOINT_PAGES,
    ) -> Self:
        """Open the log file at `path`, with its folders made durable when it is created.

        `vfs` names a registered apsw VFS that stands between SQLite and the disk;
        `checkpoint_pages` is the length of the write-ahead file that is worth a checkpoint.

        Raises:
            StoreTooOld: the SQLite library has a known corruption fault.
            LogUnavailable: no file there, not a log, or the disk refused.
        """
        where = Path(path).absolute()
        if read_only:
            return cls(where, Readers(where, vfs), None)
        try:
            if create:
                make_folders(where.parent)
            connection = schema.open_writer(where, create=create, vfs=vfs)
            sync_folder(where.parent)
        except OSError as error:
            raise schema.unavailable(where, "opened", error) from error
        return cls(where, Readers(where, vfs), Commits(where, connection, checkpoint_pages))

    @property
    def path(self) -> Path:
        """The log file."""
        return self._path

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        """See `visionflow.ports.log.Log.append`."""
        self._check_open()
        done: Future[Head] = asyncio.get_running_loop().create_future()
        if self._commits is None:
            done.set_exception(LogUnavailable(f"The log {self._path} was opened to read only."))
        else:
            self._commits.add(Pending(stream, expect, body, done))
        return done

    def head(self, stream: str) -> Head:
        """See `visionflow.ports.log.Log.head`."""
        self._check_open()
        return self._readers.head(stream)

    def read(self, stream: str, after: int = 0) -> Iterator[Entry]:
        """See `visionflow.ports.log.Log.read`."""
        self._check_open()
        return self._read(stream, after)

    def _read(self, stream: str, after: int) -> Iterator[Entry]:
        last = beginning(after)
        while True:
            page = self._readers.page(stream, last)
            yield from page.entries
            if page.fault is not None:
                raise page.fault
            if not page.entries:
                return
            last = page.last

    def follow(self, stream: str, after: int = 0) -> AsyncIterator[Entry]:
        """See `visionflow.ports.log.Log.follow`. It raises `LogUnavailable` after `close`."""
        self._check_open()
        return self._follow(stream, after)

    async def _follow(self, stream: str, after: int) -> AsyncIterator[Entry]:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        waker = Waker(loop, woken.set)
        if self._commits is not None:
            self._commits.watch(waker)
        try:
            last = beginning(after)
            while True:
                woken.clear()
                page = self._readers.page(stream, last)
                for entry in page.entries:
                    yield entry
                if page.fault is not None:
                    raise page.fault
                last = page.last
                if not page.entries:
                    timer = loop.call_later(FOREIGN_POLL_S, woken.set)
                    await woken.wait()
                    timer.cancel()
        finally:
            if self._commits is not None:
                self._commits.unwatch(waker)

    def streams(self) -> tuple[str, ...]:
        """See `visionflow.ports.log.Log.streams`."""
        self._check_open()
        return self._readers.streams()

    def close(self) -> None:
        """See `visionflow.ports.log.Log.close`. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._readers.close()
        if self._commits is not None:
            self._commits.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable(f"The log {self._path} is closed.")
