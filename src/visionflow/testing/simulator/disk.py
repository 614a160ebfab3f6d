"""The simulated disk: a log that takes its time, loses what was not acknowledged, and can fail.

What is durable outlives every process. A crash while an append is under way leaves it in the log
or not, by chance: both may happen to a real file.
"""

from asyncio import Future
from collections.abc import Callable

from visionflow.adapters.chain import chained
from visionflow.adapters.memory import MemoryBlobs, MemoryLog, Records
from visionflow.domain.errors import LogConflict, LogUnavailable, VisionFlowError
from visionflow.ports.log import Entry, Head
from visionflow.testing.simulator.kernel import Kernel, Process

KEEPS = 0.5
"""How often an append is durable although the process died before it heard of that."""


class Disk:
    """What the machine's disk holds, and how fast it is at present."""

    def __init__(
        self, kernel: Kernel, blobs: dict[str, bytes], on_durable: Callable[[bytes], None]
    ) -> None:
        """`on_durable` is told of each record at the moment it can no longer be lost."""
        self.kernel = kernel
        self.records = Records()
        self.blobs = blobs
        self.slow = 1
        """How many times slower than usual."""
        self.appends_until_failure = -1
        self.failed = 0
        self._on_durable = on_durable

    def store(self, stream: str, expect: int, body: bytes) -> Head | VisionFlowError:
        """Make a record durable, or say why not."""
        tail = self.records.head(stream)
        if tail.seq != expect:
            return LogConflict(
                f"Stream {stream!r} ends at record {tail.seq}, not at {expect}: another writer "
                "was first."
            )
        entry = Entry(expect + 1, body, chained(tail.hash, expect + 1, body))
        self.records.streams.setdefault(stream, []).append(entry)
        self.kernel.trace("durable", entry.hash)
        self._on_durable(body)
        return Head(entry.seq, entry.hash)

    def fails_now(self) -> bool:
        """Whether this append fails."""
        if self.appends_until_failure < 0:
            return False
        self.appends_until_failure -= 1
        if self.appends_until_failure >= 0:
            return False
        self.failed += 1
        return True


class SimLog(MemoryLog):
    """A `Log` on the simulated disk, opened by one process."""

    def __init__(self, process: Process, disk: Disk) -> None:
        super().__init__(disk.records)
        self._process = process
        self._disk = disk
        self._waiting: list[tuple[str, int, bytes, Future[Head]]] = []
        self._settling: list[tuple[Future[Head], Head | VisionFlowError]] = []
        process.on_death.append(self._crashed)

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        """See `visionflow.ports.log.Log.append`."""
        self._check_open()
        done: Future[Head] = self._process.loop.create_future()
        if not self._process.touch():
            return done
        self._waiting.append((stream, expect, bytes(body), done))
        if len(self._waiting) == 1:
            kernel = self._disk.kernel
            kernel.after(kernel.between(100, 2_000) * self._disk.slow, self.commit)
        return done

    def commit(self) -> None:
        """Make durable what waits; those who wait hear of it a moment later."""
        if not self._process.alive and self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for stream, expect, body, done in waiting:
            if self._disk.fails_now():
                outcome: Head | VisionFlowError = LogUnavailable(
                    "The simulated disk does not take it: no space left on device."
                )
            else:
                outcome = self._disk.store(stream, expect, body)
            self._settling.append((done, outcome))
        if self._settling:
            kernel = self._disk.kernel
            kernel.after(kernel.between(10, 300), lambda: self._process.call(self._settle))

    def _settle(self) -> None:
        settling, self._settling = self._settling, []
        for done, outcome in settling:
            if done.done():
                continue
            if isinstance(outcome, Head):
                done.set_result(outcome)
            else:
                done.set_exception(outcome)
        for wake in tuple(self.records.waiting):
            wake()

    def close(self) -> None:
        """See `visionflow.ports.log.Log.close`."""
        self.commit()
        self._settle()
        super().close()

    def _crashed(self) -> None:
        """The process died: what was on its way is kept up to some point, or lost."""
        waiting, self._waiting = self._waiting, []
        for stream, expect, body, _ in waiting:
            if not self._disk.kernel.chance(KEEPS):
                return
            self._disk.store(stream, expect, body)


class SimBlobs(MemoryBlobs):
    """A `Blobs` on the simulated disk: durable when `put` returns."""

    def __init__(self, process: Process, disk: Disk) -> None:
        super().__init__(disk.blobs)
        self._process = process

    def put(self, content: bytes) -> str:
        """See `visionflow.ports.blobs.Blobs.put`."""
        return super().put(content) if self._process.touch() else "0" * 64
