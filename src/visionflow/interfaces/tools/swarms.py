"""The tools of the group `swarm`: make one, change its size, end it."""

from typing import Annotated, Any, ClassVar

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.access import ADMINS, OPERATORS
from visionflow.domain.errors import UsageError
from visionflow.domain.swarms import Strategy, SwarmSpec, Topology
from visionflow.engine.state import Answer
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.ending import Surplus, counted, end_surplus
from visionflow.interfaces.tools.finding import (
    limits_for,
    new_swarm_id,
    no_swarm,
    open_swarm,
    remember,
)
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.limiting import LimitsTold, limits_told, read_limits
from visionflow.interfaces.tools.overseeing import (
    TELLS,
    OversightTold,
    oversight_told,
    read_oversight,
)
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.swarm_reads import listing, status, unused, word_of, workspace_of
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.workspaces import workspace_for
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

INIT, SCALE, DESTROY = "swarm_init", "swarm_scale", "swarm_destroy"
TEXT_CHARS_MAX = 10_000


def swarm_tools(server: Server) -> list[AnyTool]:
    """All tools of the group, over this server."""
    return [_init(server), status(server), listing(server), _scale(server), _destroy(server)]


# swarm_init ------------------------------------------------------------------------------------


class SwarmInit(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_init."""

    topology: Annotated[Topology, about("Who may assign to whom.")] = Topology.HIERARCHICAL
    max_agents: Annotated[int | None, about("At most so many; absent: the server's limit.")] = None
    strategy: Annotated[Strategy, about("Who decides on an assignment.")] = Strategy.CENTRALIZED
    name: str = ""
    goal: Annotated[str, about("What it works towards.")] = ""
    workspace: Annotated[
        str | None, about("A folder under one of the server's roots; absent: the first root.")
    ] = None
    limits: Annotated[
        dict[str, Any],
        form(
            "object",
            "Of its coding agents together: maxTokens, maxCost (dollars), timeLimit; of each: "
            "agentTimeout (seconds), agentMemory.",
        ),
    ] = msgspec.field(default_factory=dict[str, Any])
    supervision: Annotated[dict[str, Any], form("object", TELLS)] = msgspec.field(
        default_factory=dict[str, Any]
    )
    autoscale: Annotated[
        bool | None, about("Whether the numbers of agents follow the load; absent: the server's.")
    ] = None


class SwarmMade(Result, frozen=True, kw_only=True):
    """A swarm that was made."""

    swarm_id: str
    name: str
    topology: str
    strategy: str
    status: str
    max_agents: int
    workspace: str | None
    limits: Annotated[LimitsTold | None, about("Of its coding agents.")]
    supervision: OversightTold
    autoscale: bool
    tcp_endpoint: str | None
    warnings: list[str]


def _init(server: Server) -> AnyTool:
    async def run(call: Call, given: SwarmInit) -> SwarmMade:
        if len(given.name) > TEXT_CHARS_MAX or len(given.goal) > TEXT_CHARS_MAX:
            raise UsageError(f"name and goal have at most {TEXT_CHARS_MAX} characters.")
        workspace = ""
        if given.workspace is not None:
            workspace = await workspace_for(server.settings.workspaces, given.workspace)
        command = command_id(call, INIT)
        limits = read_limits(given.limits, server.now_ms())
        oversight = read_oversight(given.supervision)

        async def make() -> LiveSwarm:
            spec = SwarmSpec(
                id=new_swarm_id(server),
                goal=given.goal,
                topology=given.topology,
                strategy=given.strategy,
                limits=limits_for(server, given.max_agents),
                name=given.name,
                workspace=workspace,
                coding=limits,
                supervision=oversight,
                autoscale=given.autoscale,
            )
            return await server.swarms.create(sound(spec), call.caller.name, command)

        swarm = await recorded(
            server, call, INIT, make, subject=lambda made: made.id, command=command
        )
        remember(server, call, swarm)
        made = swarm.spec
        return SwarmMade(
            swarm_id=swarm.id,
            name=made.name,
            topology=made.topology,
            strategy=made.strategy,
            status=word_of(swarm),
            max_agents=made.limits.agents_max,
            workspace=workspace_of(server, made),
            limits=limits_told(made.coding),
            supervision=oversight_told(made.supervision),
            autoscale=server.scales(made),
            tcp_endpoint=server.endpoints.get("tcp"),
            warnings=unused(made),
        )

    return Tool(
        name=INIT,
        group="swarm",
        summary="Make a swarm of agents that work towards one goal.",
        arguments=SwarmInit,
        result=SwarmMade,
        roles=OPERATORS,
        run=run,
        example={"topology": "hierarchical", "maxAgents": 10, "strategy": "adaptive"},
        positional=("topology",),
    )


# swarm_scale -----------------------------------------------------------------------------------


class SwarmScale(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_scale."""

    ALIASES: ClassVar[dict[str, str]] = {"maxAgents": "targetSize"}

    target_size: Annotated[int, about("The new maxAgents.")]
    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None


class SwarmScaled(Result, frozen=True, kw_only=True):
    """A swarm of another size."""

    swarm_id: str
    before: int
    max_agents: int
    agents: int
    """Those that are there to stay."""
    ended: list[Surplus]


def _scale(server: Server) -> AnyTool:
    async def run(call: Call, given: SwarmScale) -> SwarmScaled:
        swarm = open_swarm(server, call, given.swarm_id)
        before = swarm.spec.limits.agents_max
        command = command_id(call, SCALE)
        asked = c.ChangeLimits(now_ms=swarm.now_ms, command=command, agents_max=given.target_size)

        async def change() -> Answer:
            limits_for(server, given.target_size)
            return await swarm.ask(asked)

        await recorded(server, call, SCALE, change, swarm=swarm, subject=swarm.id, command=command)
        stay = counted(swarm)
        ended = await end_surplus(server, call, SCALE, swarm, stay, given.target_size)
        call.saw(swarm)
        return SwarmScaled(
            swarm_id=swarm.id,
            before=before,
            max_agents=swarm.spec.limits.agents_max,
            agents=len(counted(swarm)),
            ended=ended,
        )

    return Tool(
        name=SCALE,
        group="swarm",
        summary="Change maxAgents; a surplus is ended, idle agents first, busy ones when done.",
        arguments=SwarmScale,
        result=SwarmScaled,
        roles=OPERATORS,
        run=run,
        example={"targetSize": 8},
        positional=("targetSize",),
    )


# swarm_destroy ---------------------------------------------------------------------------------


class SwarmDestroy(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_destroy."""

    swarm_id: Annotated[str, about("Which; there is no default.")]
    reason: str = "destroyed on request"


class SwarmGone(Result, frozen=True, kw_only=True):
    """A swarm that is over; its log stays."""

    swarm_id: str
    status: str
    reason: str
    agents_ended: int | None
    """Null when it was over before this call, or this one came again."""
    tasks_cancelled: int | None


def _destroy(server: Server) -> AnyTool:
    async def run(call: Call, given: SwarmDestroy) -> SwarmGone:
        name = given.swarm_id
        swarm = server.swarms.find(name)
        command = command_id(call, DESTROY)
        if swarm is None and (command is None or name not in server.fleet.state.ended):
            raise no_swarm(server, name)
        agents = None if swarm is None else len(swarm.state.agents)
        cancelled = 0 if swarm is None else swarm.state.counters.cancelled
        await recorded(
            server,
            call,
            DESTROY,
            lambda: server.swarms.destroy(name, given.reason, call.caller.name, command),
            swarm=name,
            subject=name,
            command=command,
        )
        return SwarmGone(
            swarm_id=name,
            status="ended",
            reason=server.fleet.state.ended.get(name, given.reason),
            agents_ended=agents,
            tasks_cancelled=None if swarm is None else swarm.state.counters.cancelled - cancelled,
        )

    return Tool(
        name=DESTROY,
        group="swarm",
        summary="End a swarm: its tasks, agents and processes. Its log stays. For admins.",
        arguments=SwarmDestroy,
        result=SwarmGone,
        roles=ADMINS,
        run=run,
        example={"swarmId": "swarm-1"},
        positional=("swarmId",),
    )
