"""Whoever watches a run of chaos: reads the log while it grows, and holds it to the checkers.

The log is opened to read only, as any other program could, so what is seen is what is durable.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.os_processes import Identity
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import events as e
from visionflow.domain.errors import LogUnavailable
from visionflow.domain.events import Record, decode_record
from visionflow.ports.log import GENESIS, Head
from visionflow.testing.checkers import LogCheck
from visionflow.testing.holding import HoldCheck
from visionflow.testing.restarts import RestartCheck

AGAIN_S = 0.1


def wall_ms() -> int:
    """What the clock on the wall shows, as the log's times do."""
    return time.time_ns() // 1_000_000


class Watcher:
    """Follows the stream of one swarm."""

    def __init__(self, log: Path, stream: str, stored: Callable[[str], bool]) -> None:
        """`stored`: whether there is a blob of this name."""
        self.check = LogCheck(stored)
        self.restarts = RestartCheck()
        self._holds = HoldCheck()
        self.faults: list[str] = []
        """What is wrong with restarts, and with what was given out."""
        self.head = Head(0, GENESIS)
        """The last record seen."""
        self.history: list[Record] = []
        self.started: dict[str, Identity] = {}
        """By worker, the process that the log names; those that ended left out."""
        self.everyone: set[Identity] = set()
        """All worker processes that were ever recorded."""
        self.starts = 0
        """Of workers."""
        self.ended = 0
        """Tasks that have come to an end."""
        self.stream = stream
        self._path = log
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        """Read on until cancelled."""
        log = SqliteLog.open(self._path, read_only=True)
        try:
            while True:
                with suppress(LogUnavailable):
                    # While the server starts again, the file may not be readable for a moment.
                    async for entry in log.follow(self.stream, self.head.seq):
                        self._take(entry.seq, entry.hash, entry.body)
                await asyncio.sleep(AGAIN_S)
        finally:
            log.close()

    def catch_up(self) -> None:
        """Read what is there. Raises `VisionFlowError` when it is damaged."""
        log = SqliteLog.open(self._path, read_only=True)
        try:
            for entry in log.read(self.stream, self.head.seq):
                self._take(entry.seq, entry.hash, entry.body)
        finally:
            log.close()

    def _take(self, seq: int, digest: bytes, body: bytes) -> None:
        self.head = Head(seq, digest)
        now_ms = wall_ms()
        self.check.record(body, now_ms)
        self.faults.extend(self.restarts.record(body, now_ms))
        self.faults.extend(self._holds.record(body))
        record = decode_record(body)
        self.history.append(record)
        for event in record.events:
            if isinstance(event, e.WorkerStarted):
                who = Identity(event.pid, event.started)
                self.started[event.worker] = who
                self.everyone.add(who)
                self.starts += 1
            elif isinstance(event, (e.WorkerLost, e.WorkerStopped)):
                self.started.pop(event.worker, None)
        self.ended = len(self.check.tasks) - self.check.alive
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until it is so; looked at with each record."""
        while not true():
            self._changed.clear()
            await self._changed.wait()
