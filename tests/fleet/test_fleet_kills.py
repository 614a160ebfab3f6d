"""kill -9 in the middle: what anybody was told is there, once, and the chain holds."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.hands import Place
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.swarms import SwarmSpec
from visionflow.runtime.audit import verify

PROGRAM = Path(__file__).with_name("told_and_killed.py")


def live_until(folder: Path, life: str, lines: int) -> list[str]:
    """What it told before it was killed, after so many lines at least."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), life], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout as told:
        found = [told.readline().strip() for _ in range(lines)]
        process.kill()
        found += [line.strip() for line in told if line.endswith("\n")]
    return found


@pytest.mark.acceptance("durable")
def test_what_was_told_is_there_after_a_kill_and_a_retried_call_is_done_once(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    for life, lines in (("a", 30), ("b", 7), ("c", 60)):
        told += live_until(tmp_path, life, lines)
    assert len(told) >= 97 and all(told)

    async def look() -> None:
        place = Place(tmp_path)
        async with place.opened() as fleet:
            place.host.time_ms = fleet.state.now_ms
            promised = [spec.id for spec in fleet.promised()]
            callers = {row.by for row in await fleet.audit(limit=1_000)}
            for name in told:
                row = await fleet.memory("n", name)
                assert row is not None and set(str(row.value)) == {"x"}, name
                assert name in callers
                if name.endswith("0"):
                    assert promised.count(name) == 1
            before, last = fleet.head.seq, told[-1]
            await fleet.store_memory("n", last, "other", command=f"store {last}")
            again = await fleet.reserve(SwarmSpec(id="other"), "caller", "reserve c-0-0")
            assert again == "c-0-0" and fleet.head.seq == before

    asyncio.run(asyncio.wait_for(look(), 30))
    log = SqliteLog.open(tmp_path / "log.db", read_only=True)
    assert verify(log).holds
    log.close()
