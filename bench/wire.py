"""Calls over 9500 as lines and as `POST /`: reads, and writes that are durable when answered."""

from collections.abc import Mapping

from bench.figures import Row, Series
from bench.rounds import Budget
from bench.wire_client import Burst, Target
from bench.wire_server import AGENT, Core, Cost, Serving, call, calling, measured, peopled, told

CONNECTIONS = 32
WINDOW = 16
WARM_UP_S = 0.5
UNIT = "calls/s"
KEYS = 50_000
"""Memory keys that are written over and over."""
PING = '{"id":#,"jsonrpc":"2.0","method":"ping"}'
STATUS, LIST = call("swarm_status"), call("swarm_list", {"limit": 1})
RETRIEVE = call("memory_retrieve", {"key": "k7"})
STORE = call("memory_store", {"key": "k#", "value": {"number": "#", "note": "a finding"}})
SUBMIT = call("task_orchestrate", {"task": {"type": "double", "input": 21, "agentType": AGENT}})
Loads = Mapping[str, tuple[str, int, int]]
"""By name: the request, connections, and requests under way on each."""


def tcp_reads(budget: Budget) -> Row:
    """Reads over lines."""
    return _row(
        budget,
        "tcp-reads",
        f"reads over TCP lines of a swarm with 3 agents, {CONNECTIONS} connections",
        "lines",
        {
            f"swarm_status, {WINDOW} under way on each": (STATUS, CONNECTIONS, WINDOW),
            "swarm_status, one after the other on each": (STATUS, CONNECTIONS, 1),
            f"swarm_list, {WINDOW} under way on each": (LIST, CONNECTIONS, WINDOW),
            f"memory_retrieve, {WINDOW} under way on each": (RETRIEVE, CONNECTIONS, WINDOW),
            f"ping, {WINDOW} under way on each": (PING, CONNECTIONS, WINDOW),
            "swarm_status, one caller alone": (STATUS, 1, 1),
        },
    )


def tcp_writes(budget: Budget) -> Row:
    """Durable writes over lines."""
    return _row(
        budget,
        "tcp-writes",
        f"writes over TCP lines, durable when answered, {CONNECTIONS} connections",
        "lines",
        {
            f"memory_store, {WINDOW} sent ahead on each": (STORE, CONNECTIONS, WINDOW),
            "memory_store, one after the other on each": (STORE, CONNECTIONS, 1),
            "memory_store, one caller alone": (STORE, 1, 1),
            "task_orchestrate, one after the other on each": (SUBMIT, CONNECTIONS, 1),
            "task_orchestrate, one caller alone": (SUBMIT, 1, 1),
        },
    )


def http_reads(budget: Budget) -> Row:
    """Reads over `POST /`."""
    return _row(
        budget,
        "http-reads",
        f"reads over POST / with keep-alive, one request at a time on {CONNECTIONS} connections",
        "http",
        {
            "swarm_status": (STATUS, CONNECTIONS, 1),
            "ping": (PING, CONNECTIONS, 1),
            "swarm_status, one caller alone": (STATUS, 1, 1),
        },
    )


def _row(budget: Budget, name: str, what: str, face: str, loads: Loads) -> Row:
    core = Core()
    found: dict[str, list[Cost]] = {name: [] for name in loads}
    with peopled(core) as server:
        _prepare(server, core)
        for _ in range(budget.rounds):
            for load, (request, connections, window) in loads.items():
                target = Target(face, server.port, connections=connections)
                burst = Burst((request,), seconds=budget.seconds, window=window, wrap=KEYS)
                with calling(target, core.client) as client:
                    client.burst(Burst((request,), seconds=WARM_UP_S, window=window, wrap=KEYS))
                    found[load].append(measured(client, burst, server.pid))
    series = tuple(
        Series(load, UNIT, tuple(cost.rate for cost in costs)) for load, costs in found.items()
    )
    notes = tuple(told(load, costs) for load, costs in found.items())
    return Row(name, what, series, {}, (core.told, *notes))


def _prepare(server: Serving, core: Core) -> None:
    """A key that is there to be retrieved."""
    with calling(Target("lines", server.port), core.client) as client:
        client.burst(Burst((call("memory_store", {"key": "k7", "value": {"n": 7}}),), calls=1))
