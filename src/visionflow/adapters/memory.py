"""Log and blobs in memory, for tests and simulations: the same behaviour, no disk.

What a disk would hold is a value of its own (`Records`), so that a log can be closed, or
abandoned as in a crash, and opened again on it. `FaultyLog` can be told to hold commits back and
to fail.
"""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from visionflow.adapters.chain import chained, verify
from visionflow.domain.errors import BlobMissing, LogConflict, LogUnavailable, VisionFlowError
from visionflow.ports.log import GENESIS, Entry, Head

PAGE_ROWS = 500


class Records:
    """What is durable: the entries of each stream, and who waits for more."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Entry]] = {}
        self.waiting: dict[Callable[[], None], None] = {}

    def head(self, stream: str) -> Head:
        """The last entry of a stream."""
        entries = self.streams.get(stream)
        return Head(entries[-1].seq, entries[-1].hash) if entries else Head(0, GENESIS)


class _Pending(NamedTuple):
    stream: str
    expect: int
    body: bytes
    done: "Future[Head]"


class MemoryLog:
    """A `Log` without a disk, for one loop's thread.

    Appends become "durable" together, in a later turn of the loop: `commit_later` says when, and
    is `loop.call_soon` unless a simulation gives a slower disk. Two logs on one `Records` see
    each other's records, as two processes on one file do.
    """

    def __init__(
        self,
        records: Records | None = None,
        *,
        commit_later: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.records = Records() if records is None else records
        self._commit_later = commit_later
        self._pending: list[_Pending] = []
        self._followers: dict[Callable[[], None], None] = {}
        self._closed = False

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        """See `visionflow.ports.log.Log.append`."""
        self._check_open()
        loop = asyncio.get_running_loop()
        done: Future[Head] = loop.create_future()
        self._pending.append(_Pending(stream, expect, bytes(body), done))
        if len(self._pending) == 1:
            (self._commit_later or loop.call_soon)(self.commit)
        return done

    def commit(self) -> None:
        """Make durable what waits, then settle its futures, then wake followers."""
        batch, self._pending = self._pending, []
        settled = [(pending.done, self._store(pending)) for pending in batch]
        for done, outcome in settled:
            if done.done() or done.get_loop().is_closed():
                continue
            if isinstance(outcome, Head):
                done.set_result(outcome)
            else:
                done.set_exception(outcome)
        for wake in tuple(self.records.waiting):
            wake()

    def _store(self, pending: _Pending) -> Head | VisionFlowError:
        tail = self.records.head(pending.stream)
        if tail.seq != pending.expect:
            return LogConflict(
                f"Stream {pending.stream!r} ends at record {tail.seq}, not at {pending.expect}: "
                "another writer was first."
            )
        seq = tail.seq + 1
        entry = Entry(seq, pending.body, chained(tail.hash, seq, pending.body))
        self.records.streams.setdefault(pending.stream, []).append(entry)
        return Head(seq, entry.hash)

    def head(self, stream: str) -> Head:
        """See `visionflow.ports.log.Log.head`."""
        self._check_open()
        return self.records.head(stream)

    def read(self, stream: str, after: int = 0) -> Iterator[Entry]:
        """See `visionflow.ports.log.Log.read`."""
        self._check_open()
        return self._read(stream, max(after, 0))

    def _read(self, stream: str, after: int) -> Iterator[Entry]:
        while page := self.records.streams.get(stream, [])[after : after + PAGE_ROWS]:
            self._check_open()
            before = self.records.streams[stream][after - 1].hash if after else GENESIS
            last, fault = verify(stream, Head(after, before), page)
            yield from page[: last.seq - after]
            if fault is not None:
                raise fault
            after = last.seq

    def follow(self, stream: str, after: int = 0) -> AsyncIterator[Entry]:
        """See `visionflow.ports.log.Log.follow`. It raises `LogUnavailable` after `close`."""
        self._check_open()
        return self._follow(stream, max(after, 0))

    async def _follow(self, stream: str, after: int) -> AsyncIterator[Entry]:
        woken = asyncio.Event()
        wake = woken.set
        self.records.waiting[wake] = None
        self._followers[wake] = None
        try:
            while True:
                self._check_open()
                woken.clear()
                for entry in self._read(stream, after):
                    after = entry.seq
                    yield entry
                await woken.wait()
        finally:
            self.records.waiting.pop(wake, None)
            self._followers.pop(wake, None)

    def streams(self) -> tuple[str, ...]:
        """See `visionflow.ports.log.Log.streams`."""
        self._check_open()
        return tuple(sorted(self.records.streams))

    def close(self) -> None:
        """See `visionflow.ports.log.Log.close`. Closing twice is harmless."""
        if self._closed:
            return
        self.commit()
        self._closed = True
        for wake in tuple(self._followers):
            wake()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("The log in memory is closed.")


class FaultyLog(MemoryLog):
    """A log in memory that holds commits back, or fails, when told to.

    `hold()` keeps appends in flight until `release()`; `fail()` makes every append, those in
    flight too, end with `LogUnavailable`, as a full disk does; `depose()` appends to a stream as
    another process would, so that the owner's next append is a conflict.
    """

    def __init__(
        self,
        records: Records | None = None,
        *,
        commit_later: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        super().__init__(records, commit_later=commit_later)
        self._held = False
        self._failure: str | None = None

    @property
    def in_flight(self) -> int:
        """How many appends wait for the disk."""
        return len(self._pending)

    def hold(self) -> None:
        """Commit nothing from now on."""
        self._held = True

    def release(self) -> None:
        """Commit what waited, and go on as usual."""
        self._held = False
        self.commit()

    def fail(self, why: str = "no space left on device") -> None:
        """Fail from now on, for good."""
        self._failure = why

    def depose(self, stream: str, body: bytes = b"somebody else") -> None:
        """Append a record behind the owner's back."""
        tail = self.records.head(stream)
        entry = Entry(tail.seq + 1, body, chained(tail.hash, tail.seq + 1, body))
        self.records.streams.setdefault(stream, []).append(entry)

    def commit(self) -> None:
        """See `MemoryLog.commit`; does nothing while held."""
        if not self._held:
            super().commit()

    def close(self) -> None:
        """Close; what is held back is committed or fails first."""
        self._held = False
        super().close()

    def _store(self, pending: _Pending) -> Head | VisionFlowError:
        if self._failure is not None:
            return LogUnavailable(f"The log in memory was told to fail: {self._failure}.")
        return super()._store(pending)


class MemoryBlobs:
    """A `Blobs` in a dict."""

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        self.contents: dict[str, bytes] = {} if contents is None else contents
        self._failure: str | None = None

    def fail(self, why: str = "no space left on device") -> None:
        """Store nothing new from now on."""
        self._failure = why

    def put(self, content: bytes) -> str:
        """See `visionflow.ports.blobs.Blobs.put`."""
        if self._failure is not None:
            raise LogUnavailable(f"The blobs in memory were told to fail: {self._failure}.")
        name = sha256(content).hexdigest()
        self.contents[name] = bytes(content)
        return name

    def get(self, name: str) -> bytes:
        """See `visionflow.ports.blobs.Blobs.get`."""
        content = self.contents.get(name)
        if content is None:
            raise BlobMissing(f"No blob {name} is stored.")
        if sha256(content).hexdigest() != name:
            raise BlobMissing(f"The content of blob {name} has changed since it was stored.")
        return content

    def has(self, name: str) -> bool:
        """See `visionflow.ports.blobs.Blobs.has`."""
        return name in self.contents
