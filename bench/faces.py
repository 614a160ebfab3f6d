"""MCP calls over HTTP and stdio, beside other servers."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from bench.faces_sides import (
    Side,
    claude_flow,
    modern,
    modern_request,
    ours_stdio,
    peer_http,
    peer_stdio,
)
from bench.figures import Row, Series, ratio
from bench.processes import NotThere
from bench.rounds import Budget
from bench.wire_client import Burst
from bench.wire_server import Core, Cost, calling, measured, peopled, told

CONNECTIONS = 32
WINDOW = 16
WARM_UP_S = 0.5
SLOW_S = 15.0
UNIT = "calls/s"
Open = Callable[[], AbstractContextManager[Side]]


def mcp_reads(budget: Budget) -> Row:
    """`/mcp` without sessions."""
    core = Core()

    @contextmanager
    def ours() -> Generator[Side]:
        with peopled(core) as server:
            yield Side(modern(server.port), modern_request(), server.pid)

    sides: dict[str, Open] = {
        "visionflow": ours,
        "plain SDK": lambda: peer_http("sdk", core),
        "FastMCP": lambda: peer_http("fastmcp", core),
    }
    what = (
        "swarm_status over /mcp (2026-07-28), one request at a time on "
        f"{CONNECTIONS} connections; peers: a tool with the same answer from memory"
    )
    return _row("mcp-reads", what, budget, core, sides, CONNECTIONS, 1)


def stdio(budget: Budget) -> Row:
    """A server that an assistant starts."""
    core = Core()
    sides: dict[str, Open] = {
        "visionflow mcp": lambda: ours_stdio(core),
        "plain SDK": lambda: peer_stdio("sdk", core),
        "FastMCP": lambda: peer_stdio("fastmcp", core),
        "claude-flow": lambda: claude_flow(core),
    }
    what = f"swarm_status over stdio, {WINDOW} under way; ours beside a running server"
    return _row("stdio", what, budget, core, sides, 1, WINDOW)


def _row(
    name: str,
    what: str,
    budget: Budget,
    core: Core,
    sides: dict[str, Open],
    connections: int,
    window: int,
) -> Row:
    """All of them up at once, called in turns: idle ones cost the others nothing."""
    busy: dict[str, list[Cost]] = {each: [] for each in sides}
    alone: dict[str, list[Cost]] = {each: [] for each in sides}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        up: dict[str, Side] = {}
        for each, opened in sides.items():
            try:
                up[each] = stack.enter_context(opened())
            except NotThere as error:
                missing[each] = str(error)
        for _ in range(budget.rounds):
            for each, side in up.items():
                busy[each].append(_cost(side, core, connections, window, budget.seconds))
                alone[each].append(_cost(side, core, 1, 1, budget.seconds / 2))
    series = [
        Series(each, UNIT, tuple(cost.rate for cost in costs), missing.get(each))
        for each, costs in busy.items()
    ]
    notes = [told(each, costs) for each, costs in busy.items() if costs]
    notes += [told(f"{each}, one call at a time", costs) for each, costs in alone.items() if costs]
    ratios = {f"to {peer.name}": ratio(series[0], peer) for peer in series[1:]}
    return Row(name, what, tuple(series), ratios, (core.told, *notes))


def _cost(side: Side, core: Core, connections: int, window: int, seconds: float) -> Cost:
    target = side.reached(connections)
    with calling(target, core.client) as client:
        for request in side.before:
            client.burst(Burst((request,), calls=1))
        client.burst(Burst((side.request,), seconds=WARM_UP_S, window=window))
        return measured(client, Burst((side.request,), seconds=seconds, window=window), side.pid)
