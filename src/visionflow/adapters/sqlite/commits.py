"""The commit thread: it alone writes, and whatever waits becomes one transaction.

While the disk works on one transaction, the next appends gather; so the load sets the size of a
commit and nothing needs tuning. Futures are resolved by one call into the loop for each commit,
and checkpoints run after that call, so nobody waits for one who needs not.

A record that does not fit its stream's tail fails alone. Any other failure is for good: what
SQLite and the disk think of the file after it is not known, so all later appends fail too.
"""

import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple, cast

import apsw

from visionflow.adapters.chain import chained
from visionflow.adapters.sqlite import schema
from visionflow.adapters.sqlite.database import Database
from visionflow.domain.errors import LogConflict, LogUnavailable, VisionFlowError
from visionflow.ports.log import GENESIS, Head

CHECKPOINT_PAGES = 1_000
"""Pages in the write-ahead file (4 kB each) after which they are moved to the log file."""
CLOSE_S_MAX = 60.0


class Pending(NamedTuple):
    """An append that waits for the disk."""

    stream: str
    expect: int
    body: bytes
    done: "Future[Head]"


class Waker(NamedTuple):
    """A call into a loop after each commit."""

    loop: AbstractEventLoop
    call: Callable[[], None]


class Commits:
    """Owns the writing connection and its thread, from the first append until `close`."""

    def __init__(self, path: Path, connection: Database, checkpoint_pages: int) -> None:
        self._path = path
        self._connection = connection
        self._checkpoint_pages = checkpoint_pages
        self._wal_pages = 0
        self._failure: str | None = None
        self._tails: dict[str, Head] = {}
        self._queue: SimpleQueue[Pending | None] = SimpleQueue()
        self._wakers: list[Waker] = []
        self._wakers_lock = threading.Lock()
        connection.set_wal_hook(self._note_wal)
        self._thread = threading.Thread(target=self._run, name="visionflow-log", daemon=True)
        self._thread.start()

    def add(self, pending: Pending) -> None:
        """Take an append; its future is settled from its loop."""
        self._queue.put(pending)

    def watch(self, waker: Waker) -> None:
        """Call it after each commit from now on."""
        with self._wakers_lock:
            self._wakers.append(waker)

    def unwatch(self, waker: Waker) -> None:
        """Stop calling it."""
        with self._wakers_lock:
            self._wakers.remove(waker)

    def close(self) -> None:
        """Commit what waits, move it into the log file and let go of the file.

        Raises:
            LogUnavailable: the disk did not finish within a minute.
        """
        self._queue.put(None)
        self._thread.join(CLOSE_S_MAX)
        if self._thread.is_alive():
            raise LogUnavailable(f"The log {self._path} could not be closed: the disk hangs.")

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._take()
            if batch:
                outcomes = self._commit(batch)
                self._deliver(batch, outcomes)
                self._checkpoint()
        # The last connection to close checkpoints; where the disk fails even that, the
        # write-ahead file stays and the next one to open it reads it.
        with suppress(Exception):
            self._connection.close()

    def _take(self) -> tuple[list[Pending], bool]:
        """All that waits (at least one item), and whether more may come."""
        batch: list[Pending] = []
        item = self._queue.get()
        with suppress(Empty):
            while item is not None:
                batch.append(item)
                item = self._queue.get_nowait()
            return batch, False
        return batch, True

    def _commit(self, batch: list[Pending]) -> list[Head | VisionFlowError]:
        """What became of each append, in order."""
        if self._failure is None:
            # A VFS written in Python raises what it likes, so no narrower class will do.
            try:
                return self._append_one(batch) or self._transact(batch)
            except Exception as error:
                self._fail(error)
        return [self._broken() for _ in batch]

    def _append_one(self, batch: list[Pending]) -> list[Head | VisionFlowError] | None:
        """The usual case, as one statement: each more would let go of the interpreter and have
        to wait for it again. `None` when it is not that case."""
        stream, expect, body, _ = batch[0]
        tail = self._tails.get(stream)
        if len(batch) > 1 or tail is None or tail.seq != expect:
            return None
        head = Head(expect + 1, chained(tail.hash, expect + 1, body))
        try:
            self._connection.execute(schema.INSERT, (stream, head.seq, body, head.hash))
        except apsw.ConstraintError:
            # Another process was first: the primary key says so, and the tail must be read.
            del self._tails[stream]
            return None
        self._tails[stream] = head
        return [head]

    def _transact(self, batch: list[Pending]) -> list[Head | VisionFlowError]:
        connection = self._connection
        tails: dict[str, Head] = {}
        rows: list[tuple[str, int, bytes, bytes]] = []
        outcomes: list[Head | VisionFlowError] = []
        connection.execute("BEGIN IMMEDIATE")
        for stream, expect, body, _ in batch:
            # Read in the transaction: another process may have appended since the last one.
            tail = tails.get(stream) or self._tail(stream)
            if tail.seq != expect:
                tails[stream] = tail
                outcomes.append(_conflict(stream, expect, tail.seq))
                continue
            head = Head(expect + 1, chained(tail.hash, expect + 1, body))
            rows.append((stream, head.seq, body, head.hash))
            tails[stream] = head
            outcomes.append(head)
        connection.executemany(schema.INSERT, rows)
        connection.execute("COMMIT")
        self._tails = tails
        return outcomes

    def _tail(self, stream: str) -> Head:
        for row in self._connection.execute(schema.TAIL, (stream,)).fetchall():
            return Head(*cast(tuple[int, bytes], row))
        return Head(0, GENESIS)

    def _fail(self, error: Exception) -> None:
        self._failure = f"{type(error).__name__}: {error}"
        # Some failures have rolled back by themselves; then this one is refused.
        with suppress(Exception):
            self._connection.execute("ROLLBACK")

    def _broken(self) -> LogUnavailable:
        return LogUnavailable(
            f"The log {self._path} could not be written: {self._failure}.",
            hint="Nothing of it was acknowledged. Free the disk and open the log again.",
        )

    def _deliver(self, batch: list[Pending], outcomes: list[Head | VisionFlowError]) -> None:
        """Settle the futures, then wake followers: one call a loop."""
        calls: dict[AbstractEventLoop, list[Callable[[], None]]] = {}
        settled: dict[AbstractEventLoop, list[tuple[Future[Head], Head | VisionFlowError]]] = {}
        for pending, outcome in zip(batch, outcomes, strict=True):
            loop = pending.done.get_loop()
            settled.setdefault(loop, []).append((pending.done, outcome))
        with self._wakers_lock:
            for waker in self._wakers:
                calls.setdefault(waker.loop, []).append(waker.call)
        for loop in settled.keys() | calls.keys():
            # A loop that is closed has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, settled.get(loop, []), calls.get(loop, []))

    def _checkpoint(self) -> None:
        if self._wal_pages < self._checkpoint_pages or self._failure is not None:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except Exception as error:
            self._fail(error)

    def _note_wal(self, connection: object, database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def _conflict(stream: str, expect: int, tail: int) -> LogConflict:
    return LogConflict(
        f"Stream {stream!r} ends at record {tail}, not at {expect}: another writer was first.",
        hint="This process no longer owns the log; it must end and read it again.",
    )


def _settle(
    settled: "list[tuple[Future[Head], Head | VisionFlowError]]", wakes: list[Callable[[], None]]
) -> None:
    """Runs in the loop."""
    for future, outcome in settled:
        if future.done():
            continue
        if isinstance(outcome, Head):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
    for wake in wakes:
        wake()
