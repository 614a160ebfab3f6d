"""A machine whose clock is moved by hand, and a fleet's log on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.sqlite.fleet_views import SqliteFleetViews
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.ports.host import Process, ProcessState
from visionflow.ports.log import Log
from visionflow.runtime.fleet import FleetLog

BEGINNING_MS = 1_700_000_000_000


class HandTimer:
    """A call that is to come."""

    def __init__(self, at_ms: int, call: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class HandHost:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.time_ms = BEGINNING_MS
        self.timers: list[HandTimer] = []

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_ms(self) -> int:
        return self.time_ms

    def entropy(self) -> int:
        return 7

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> HandTimer:
        timer = HandTimer(self.time_ms + delay_ms, call)
        self.timers.append(timer)
        return timer

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        secret: bytes,
        stderr_path: str | None = None,
    ) -> Process:
        raise AssertionError("nothing is started here")

    def attach(self, pid: int, started: str) -> Process | None:
        raise AssertionError("nothing runs here")

    def process_state(self, pid: int, started: str) -> ProcessState:
        raise AssertionError("nothing runs here")

    def end_leftover(self, pid: int, started: str) -> bool:
        raise AssertionError("nothing is left over here")

    def advance(self, by_ms: int) -> None:
        """Let time pass, and make the calls that fall due meanwhile."""
        until = self.time_ms + by_ms
        while due := [t for t in self.timers if t.at_ms <= until and not t.cancelled]:
            first = min(due, key=lambda timer: timer.at_ms)
            self.timers.remove(first)
            self.time_ms = max(self.time_ms, first.at_ms)
            first.call()
        self.time_ms = until


class Place:
    """A folder with a log, blobs and views, which can be opened again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = HandHost()
        self.blobs = FileBlobs(folder / "blobs")
        self.views_path = folder / "fleet.db"

    @asynccontextmanager
    async def opened(self, log: Log | None = None) -> AsyncIterator[FleetLog]:
        """The fleet's log, closed in order at the end."""
        own = SqliteLog.open(self.folder / "log.db") if log is None else log
        views = SqliteFleetViews(self.views_path)
        fleet = FleetLog.open(own, self.host, self.blobs, views)
        try:
            yield fleet
        finally:
            await asyncio.wait_for(fleet.close(), 20)
            views.close()
            if log is None:
                own.close()
