"""`swarm_monitor` as a command: a line an interval on a terminal, one look in a pipe."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer

from visionflow.cli.monitoring import line_of

BIN = Path(sys.executable).parent
PATIENCE_S = 60
LOOK: dict[str, Any] = {
    "swarmId": "swarm_1", "at": "2027-01-15T08:00:00.000Z", "status": "active", "degraded": None,
    "agents": 3, "agentsReady": 2, "agentsFailed": 1, "openTasks": 7, "interval": 0.001,
    "connectivity": {"workers": 2, "answered": 1, "share": 0.5, "suspected": []},
    "latency": {"samples": 9, "p50": 0.012, "p99": 0.2}, "throughput":
    {"completed": 4, "seconds": 30.0, "perMinute": 8.0},
}  # fmt: skip
LINE = (
    "08:00:00  swarm_1  agents 2/3  tasks 7  connectivity 1/2  "
    "latency p50 12 ms p99 200 ms  throughput 8/min"
)


def script(_: dict[str, Any]) -> dict[str, Any]:
    return {"result": LOOK}


async def said(*words: str, terminal: bool = False) -> tuple[int | None, list[str]]:
    """Exit code and the lines of standard output."""
    async with FakeServer(script) as server:
        mine, theirs = os.openpty()
        try:
            process = await asyncio.create_subprocess_exec(
                BIN / "mcp__claude-flow__swarm_monitor", "--server", f"127.0.0.1:{server.port}",
                *words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                stdout=theirs if terminal else subprocess.PIPE,
            )  # fmt: skip
            told, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
            if terminal:
                os.set_blocking(mine, False)
                told = os.read(mine, 100_000).replace(b"\r", b"")
        finally:
            os.close(mine)
            os.close(theirs)
        return process.returncode, told.decode().splitlines()


def test_a_look_is_one_line_for_a_person() -> None:
    assert line_of(LOOK) == LINE
    nothing = {**LOOK, "connectivity": None, "throughput": None, "degraded": "too many deaths"}
    nothing["latency"] = {"samples": 0, "p50": None, "p99": None}
    told = line_of(nothing)
    assert told.endswith("tasks 7  latency unknown  degraded: too many deaths")


def test_in_a_pipe_it_is_one_look_and_with_a_count_so_many_of_a_line_each() -> None:
    code, lines = asyncio.run(said())
    assert code == 0 and json.loads("\n".join(lines)) == LOOK
    code, lines = asyncio.run(said("--count=3", "--interval", "1ms"))
    assert code == 0 and [json.loads(line) for line in lines] == [LOOK] * 3


def test_on_a_terminal_each_look_is_a_line() -> None:
    code, lines = asyncio.run(said("--count", "2", terminal=True))
    assert (code, lines) == (0, [LINE] * 2)


@pytest.mark.parametrize("count", ["0", "many", ""])
def test_a_count_that_is_none_is_a_slip(count: str) -> None:
    code, lines = asyncio.run(said(f"--count={count}"))
    assert (code, lines) == (2, [])
