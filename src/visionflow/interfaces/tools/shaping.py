"""The tool topology_optimize: what each topology would make of what is left, and the switch."""

from typing import Annotated

from visionflow.domain import shape_commands as hc
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import UsageError
from visionflow.domain.shape import Measured, Prediction
from visionflow.domain.swarms import Topology
from visionflow.engine.measuring import ended
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.adaptive import Proposal, measured_under, propose, why
from visionflow.engine.topology.rules import topology_in_force
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

OPTIMIZE = "topology_optimize"


class Optimize(Arguments, frozen=True, kw_only=True):
    """Arguments of topology_optimize."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None
    apply: Annotated[bool, about("Switch, for a gain of 20 % or more.")] = False
    topology: Annotated[Topology | None, about("Switch to it, whatever is gained.")] = None


class PlanShape(Result, frozen=True, kw_only=True):
    """The tasks that are not finished."""

    tasks: int
    depth: int
    width: int
    dependencies: int
    single: int
    """Tasks that one agent alone can do."""
    work_seconds: float | None
    critical_seconds: float | None


class Predicted(Result, frozen=True, kw_only=True):
    """A topology: what is predicted of it, and what was measured under it in this swarm."""

    topology: str
    makespan_seconds: float | None
    overhead_ms: float | None
    """For each task."""
    tasks_measured: int
    tasks_per_second: float | None
    completion_seconds: float | None
    error_rate: float | None
    messages: int
    barred_until: str | None


class Optimized(Result, frozen=True, kw_only=True):
    """What is best, and whether it is in force."""

    swarm_id: str
    topology: str
    """In force."""
    proposed: str | None
    gain: float | None
    """Of the makespan."""
    applied: bool
    reason: str | None
    on_trial: bool
    """A switch may still be taken back."""
    switches: int
    plan: PlanShape
    topologies: list[Predicted]


def shown_topology(state: SwarmState) -> Topology:
    """What a live swarm is said to be: adaptive, or else the topology in force."""
    if state.spec is not None and state.spec.topology is Topology.ADAPTIVE:
        return Topology.ADAPTIVE
    return topology_in_force(state)


def shaping(server: Server) -> AnyTool:
    """topology_optimize."""

    async def run(call: Call, given: Optimize) -> Optimized:
        swarm = open_swarm(server, call, given.swarm_id)
        found = propose(swarm.state, swarm.now_ms)
        if given.apply:
            await _apply(server, call, given, swarm)
        elif given.topology is not None:
            raise UsageError(f"topology is what {OPTIMIZE} switches to; add apply.")
        call.saw(swarm)
        return _told(swarm, found, given.apply)

    return Tool(
        name=OPTIMIZE,
        group="coordination",
        summary="Predict what each topology makes of the tasks left; switch with apply.",
        arguments=Optimize,
        result=Optimized,
        roles=OPERATORS,
        run=run,
        example={},
        positional=("swarmId",),
    )


async def _apply(server: Server, call: Call, given: Optimize, swarm: LiveSwarm) -> None:
    command = command_id(call, OPTIMIZE)
    switch = hc.SwitchTopology(
        now_ms=swarm.now_ms,
        topology=given.topology,
        reason=f"{OPTIMIZE} by {call.caller.name}",
        command=command,
    )
    await recorded(
        server,
        call,
        OPTIMIZE,
        lambda: swarm.ask(sound(switch)),
        swarm=swarm,
        subject=swarm.id,
        command=command,
    )


def _told(swarm: LiveSwarm, found: Proposal, applied: bool) -> Optimized:
    state, plan = swarm.state, found.plan
    return Optimized(
        swarm_id=swarm.id,
        topology=topology_in_force(state),
        proposed=found.best,
        gain=None if found.gain_bp is None else found.gain_bp / 10_000,
        applied=applied,
        reason=None if found.best is None else why(found),
        on_trial=state.shape.trial is not None,
        switches=state.shape.switches,
        plan=PlanShape(
            tasks=plan.tasks + plan.beyond,
            depth=plan.depth,
            width=plan.width,
            dependencies=plan.dependencies,
            single=plan.single,
            work_seconds=_seconds(plan.work_ms),
            critical_seconds=_seconds(plan.critical_ms),
        ),
        topologies=[_predicted(state, each, swarm.now_ms) for each in found.predictions],
    )


def _predicted(state: SwarmState, each: Prediction, now_ms: int) -> Predicted:
    under = measured_under(state, each.topology, now_ms)
    barred_ms = state.shape.barred.get(each.topology, 0)
    return Predicted(
        topology=each.topology,
        makespan_seconds=_seconds(each.makespan_ms),
        overhead_ms=None if each.overhead_us is None else each.overhead_us / 1_000,
        tasks_measured=under.done,
        tasks_per_second=under.done * 1_000 / under.busy_ms if under.busy_ms else None,
        completion_seconds=_mean_seconds(under),
        error_rate=under.failed / count if (count := ended(under)) else None,
        messages=under.messages,
        barred_until=iso(barred_ms) if barred_ms > now_ms else None,
    )


def _mean_seconds(under: Measured) -> float | None:
    return under.completion_ms / under.completed / 1_000 if under.completed else None


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1_000
