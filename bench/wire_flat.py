"""Whether a server stays as fast and as small as it was: blocks of mixed calls in a row."""

import os
from pathlib import Path

from bench.figures import Row, Series, shown
from bench.rounds import Budget
from bench.wire import LIST, RETRIEVE, STATUS, STORE, SUBMIT
from bench.wire_client import Burst, Outcome, Target
from bench.wire_server import AGENT, Client, Core, Serving, call, calling, peopled

CALLS = 100_000
BLOCK = 10_000
AGENT_CALLS = 200
"""Of each block: an agent is spawned and ended, in turns."""
CONNECTIONS, WINDOW = 32, 4
KEYS = 5_000
MIB = 1 << 20
MIXED = (
    STATUS,
    STORE,
    LIST,
    RETRIEVE,
    SUBMIT,
    call("agent_list"),
    STORE,
    call("task_list", {"limit": 5}),
    call("memory_search", {"query": "finding", "limit": 5}),
    STATUS,
)
COMING_AND_GOING = (
    call("agent_spawn", {"type": AGENT, "name": "guest"}),
    call("agent_terminate", {"agentId": "guest"}),
)


def flat(budget: Budget, calls: int = CALLS, block: int = BLOCK) -> Row:
    """The figures of each block, in order."""
    core = Core()
    rates: list[float] = []
    cpu_us: list[float] = []
    p99_ms: list[float] = []
    resident: list[float] = []
    files: list[float] = []
    with peopled(core) as server:
        many = Target("lines", server.port, connections=CONNECTIONS)
        with (
            calling(many, core.client) as all_sorts,
            calling(Target("lines", server.port), core.client) as agents,
        ):
            _warm_up(all_sorts, agents)
            for _ in range(calls // block):
                before = server.cpu_s
                mixed, coming = _block(all_sorts, agents, block)
                done = mixed.calls + coming.calls
                rates.append(done / max(mixed.seconds, coming.seconds))
                cpu_us.append(1e6 * (server.cpu_s - before) / done)
                p99_ms.append(mixed.p99_ms)
                resident.append(server.rss_bytes / MIB)
                files.append(_open_files(server))
    series = (
        Series("calls", "calls/s", tuple(rates)),
        Series("CPU of the server a call", "us", tuple(cpu_us)),
        Series("p99", "ms", tuple(p99_ms)),
        Series("resident memory", "MiB", tuple(resident)),
        Series("open files", "files", tuple(files)),
    )
    notes = tuple(
        f"{each.name} block by block: {' '.join(shown(sample) for sample in each.samples)}"
        for each in series
    )
    what = (
        f"{calls:,} mixed calls in blocks of {block:,}: reads, memory, tasks that run, "
        f"{AGENT_CALLS} spawns and ends of an agent in each"
    )
    return Row("flat", what, series, {}, (core.told, *notes))


def _warm_up(all_sorts: Client, agents: Client) -> None:
    store = call("memory_store", {"key": "k7", "value": {"note": "a finding"}})
    all_sorts.burst(Burst((store,), calls=1))
    _block(all_sorts, agents, 1_000)


def _block(all_sorts: Client, agents: Client, block: int) -> tuple[Outcome, Outcome]:
    some = min(AGENT_CALLS, block // 10)
    agents.send(Burst(COMING_AND_GOING, calls=some))
    all_sorts.send(Burst(MIXED, calls=block - some, window=WINDOW, wrap=KEYS))
    return all_sorts.outcome(), agents.outcome()


def _open_files(server: Serving) -> int:
    return len(os.listdir(Path("/proc", str(server.pid), "fd")))
