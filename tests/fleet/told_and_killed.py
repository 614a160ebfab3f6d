"""A process that keeps things in the fleet's log and prints each once it was told that it is kept.

`python told_and_killed.py FOLDER LIFE` goes on until it is killed.
"""

import asyncio
import sys
from pathlib import Path

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.sqlite.fleet_views import SqliteFleetViews
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.swarms import SwarmSpec
from visionflow.runtime.fleet import FleetLog


async def main(folder: Path, life: str) -> None:
    """Three callers at once, each one call after the other."""
    log, blobs = SqliteLog.open(folder / "log.db"), FileBlobs(folder / "blobs")
    host = OsHost(asyncio.get_running_loop())
    fleet = FleetLog.open(log, host, blobs, SqliteFleetViews(folder / "fleet.db"))

    async def caller(number: int) -> None:
        for count in range(10**6):
            name = f"{life}-{number}-{count}"
            if count % 10 == 0:
                await fleet.reserve(SwarmSpec(id=name), "caller", f"reserve {name}")
            size = 70_000 if count % 25 == 0 else 10
            await fleet.store_memory("n", name, "x" * size, command=f"store {name}")
            await fleet.record_call(by=name, role="admin", face="tcp", tool="memory_store")
            await fleet.memory("n", name)
            print(name, flush=True)

    await asyncio.gather(*(caller(number) for number in range(3)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
