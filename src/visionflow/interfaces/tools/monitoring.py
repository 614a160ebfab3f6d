"""The tool swarm_monitor: one look at how a swarm does; a command line takes one an interval."""

from typing import Annotated

from visionflow.domain.access import READERS
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.degraded import degraded as told_degraded
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.meshes_told import MeshTold, mesh_told
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.probed import is_reached, probe_all, running
from visionflow.interfaces.tools.readiness import UP
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.dispatches import WINDOW_MS
from visionflow.runtime.swarms import LiveSwarm

MONITOR = "swarm_monitor"
METRICS = ("connectivity", "latency", "throughput")
INTERVAL_MS = 5_000
INTERVAL_MS_MIN = 100


class SwarmMonitor(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_monitor."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None
    interval: Annotated[
        int, form("milliseconds", "Milliseconds between lines of a command line; 5000.")
    ] = INTERVAL_MS
    metrics: Annotated[tuple[str, ...], form("words", f"Of {', '.join(METRICS)}; absent: all.")] = (
        METRICS
    )


class Connectivity(Result, frozen=True, kw_only=True):
    """Workers asked just now over their connections."""

    workers: int
    answered: int
    share: float | None
    suspected: list[str]
    """Workers that may be gone."""


class LatencyTold(Result, frozen=True, kw_only=True):
    """From being given out to the start, of attempts that started in the last minute."""

    samples: int
    p50: Annotated[float | None, about("Seconds.")]
    p99: float | None


class Throughput(Result, frozen=True, kw_only=True):
    """Tasks that completed in the last minute, by the log."""

    completed: int
    seconds: float
    """So long; less in a swarm that is younger."""
    per_minute: float | None


class Monitored(Result, frozen=True, kw_only=True):
    """A swarm at one moment. A metric that was not asked for is null."""

    swarm_id: str
    at: str
    status: str
    degraded: str | None
    """Why something of it does not come back."""
    agents: int
    agents_ready: int
    """Up, at work or not."""
    agents_failed: int
    open_tasks: int
    interval: Annotated[float, about("Seconds.")]
    connectivity: Connectivity | None
    latency: LatencyTold | None
    throughput: Throughput | None
    mesh: MeshTold | None


def monitoring(server: Server) -> AnyTool:
    """swarm_monitor."""

    async def run(call: Call, given: SwarmMonitor) -> Monitored:
        wanted = _checked(given)
        swarm = open_swarm(server, call, given.swarm_id)
        connectivity = await _connectivity(swarm) if "connectivity" in wanted else None
        throughput = await _throughput(swarm) if "throughput" in wanted else None
        call.saw(swarm)
        state = swarm.state
        statuses = [agent.status for agent in state.agents.values()]
        return Monitored(
            swarm_id=swarm.id,
            at=iso(swarm.now_ms),
            status="active" if state.closed is None else "closed",
            degraded=told_degraded(state),
            agents=len(statuses),
            agents_ready=sum(1 for status in statuses if status in UP),
            agents_failed=sum(1 for status in statuses if status is AgentStatus.FAILED),
            open_tasks=state.live,
            interval=given.interval / 1_000,
            connectivity=connectivity,
            latency=_latency(swarm) if "latency" in wanted else None,
            mesh=mesh_told(swarm),
            throughput=throughput,
        )

    return Tool(
        name=MONITOR,
        group="swarm",
        summary="How a swarm does: connectivity, dispatch latency, throughput.",
        arguments=SwarmMonitor,
        result=Monitored,
        roles=READERS,
        run=run,
        example={"interval": 5000, "metrics": ["connectivity", "latency", "throughput"]},
        reads=True,
    )


def _checked(given: SwarmMonitor) -> tuple[str, ...]:
    for word in given.metrics:
        if word not in METRICS:
            raise UsageError(f"{word[:60]!r} is no metric.", hint=f"{', '.join(METRICS)}.")
    if given.interval < INTERVAL_MS_MIN:
        raise UsageError(f"interval is {given.interval} ms; it is at least {INTERVAL_MS_MIN}.")
    return given.metrics


async def _connectivity(swarm: LiveSwarm) -> Connectivity:
    found = await probe_all(swarm, running(swarm))
    answered = sum(1 for answers in found.values() if is_reached(answers))
    return Connectivity(
        workers=len(found),
        answered=answered,
        share=answered / len(found) if found else None,
        suspected=list(swarm.state.supervised.suspects),
    )


def _latency(swarm: LiveSwarm) -> LatencyTold:
    found = swarm.dispatches.lately(swarm.now_ms)
    if found is None:
        return LatencyTold(samples=0, p50=None, p99=None)
    return LatencyTold(samples=found.samples, p50=found.p50_ms / 1_000, p99=found.p99_ms / 1_000)


async def _throughput(swarm: LiveSwarm) -> Throughput:
    await swarm.settled()
    until_ms = swarm.now_ms
    ended, began_ms = await swarm.read(
        lambda queries: (
            queries.figures(until_ms - WINDOW_MS, until_ms, 0, 0).ended,
            queries.began_ms(),
        )
    )
    length_ms = min(WINDOW_MS, until_ms - began_ms)
    completed = ended.get(TaskStatus.COMPLETED, 0)
    return Throughput(
        completed=completed,
        seconds=length_ms / 1_000,
        per_minute=completed * 60_000 / length_ms if length_ms > 0 else None,
    )
