"""A workload for the sweep: the fleet's own log, with swarms, memory and the audit.

What it puts into its stream goes through the witness, so that the sweep knows what was handed to
the disk; what `check` finds in an image must be that, and every value that is kept in a blob must
be there.
"""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.host_os import OsHost
from visionflow.adapters.sqlite.fleet_views import SqliteFleetViews
from visionflow.domain.errors import Refused
from visionflow.domain.swarms import SwarmSpec
from visionflow.ports.log import Entry, Head, Log
from visionflow.runtime.fleet import FleetLog
from visionflow.testing.powercut.journal import Witness
from visionflow.testing.powercut.sweep import Scene

LARGE_BYTES = 70_000


class _Witnessed:
    """A log whose appends the witness notes."""

    def __init__(self, log: Log, witness: Witness) -> None:
        self._log = log
        self._witness = witness

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        return self._witness.append(self._log, stream, body)

    def head(self, stream: str) -> Head:
        return self._log.head(stream)

    def read(self, stream: str, after: int = 0) -> Iterator[Entry]:
        return self._log.read(stream, after)

    def follow(self, stream: str, after: int = 0) -> AsyncIterator[Entry]:
        return self._log.follow(stream, after)

    def streams(self) -> tuple[str, ...]:
        return self._log.streams()

    def close(self) -> None:
        self._log.close()


async def fleet_workload(scene: Scene) -> None:
    """Swarms are promised and ended, values kept, calls recorded, some together."""
    views = SqliteFleetViews(Path(":memory:"))
    host = OsHost(asyncio.get_running_loop())
    fleet = FleetLog.open(_Witnessed(scene.log, scene.witness), host, scene.blobs, views)
    rng = scene.rng
    try:
        waiting: list[asyncio.Future[None]] = []
        for number in range(scene.appends):
            waiting.append(asyncio.ensure_future(_one(fleet, scene, number)))
            if rng.random() < 0.4:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
        await fleet.close()
    finally:
        views.close()


async def _one(fleet: FleetLog, scene: Scene, number: int) -> None:
    rng, promised = scene.rng, fleet.promised()
    choice = rng.random()
    if choice < 0.5:
        size = rng.choice((0, 10, 1_000, LARGE_BYTES))
        await fleet.store_memory("n", f"k{rng.randrange(20)}", rng.randbytes(size))
    elif choice < 0.7 or not promised:
        await fleet.reserve(SwarmSpec(id=f"s{rng.getrandbits(64)}"), "somebody")
    elif choice < 0.75:
        # Another one of this round may be ending it too.
        with suppress(Refused):
            await fleet.end(promised[-1].id, "not needed", "somebody")
    else:
        await fleet.record_call(by="a", role="admin", face="tcp", tool="t", subject=str(number))
