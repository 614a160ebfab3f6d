"""Tools that tell of agents: a list, one of them, and its log lines. They change nothing."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Annotated, Any, Literal

from visionflow.domain.access import READERS
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import UnknownAgent, UnknownSwarm, UsageError
from visionflow.domain.secrecy import without_secrets
from visionflow.domain.supervision import CircuitStatus
from visionflow.engine.state import AgentState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import find_agent, readable_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.locating import ended_since, places
from visionflow.interfaces.tools.showing import (
    AgentShown,
    Allocated,
    allocated,
    circuit_of,
    config_of,
    debug_until,
    pid_of,
    row_shown,
    shown,
)
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.ports.views import AgentRow
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.intake import unpack
from visionflow.runtime.swarms import LiveSwarm

PAGE = 100
PAGE_MAX = 1_000
LINES_MAX = 1_000
_AILING = (AgentStatus.ERROR, AgentStatus.RECOVERING, AgentStatus.FAILED)


# The list --------------------------------------------------------------------------------------


class AgentList(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_list."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm; all: every swarm.")] = None
    agent_type: Annotated[str | None, about("Only agents of this type.")] = None
    status: Annotated[
        AgentStatus | None, about("Only these; terminated: those that have left.")
    ] = None
    capability: Annotated[str | None, about("Only those that offer it.")] = None
    limit: Annotated[int, about("At most so many.")] = PAGE
    cursor: Annotated[str | None, about("nextCursor of the page before.")] = None


class Agents(Result, frozen=True, kw_only=True):
    """A page of agents, oldest first."""

    swarm_id: str | None
    agents: list[AgentShown]
    total: int
    next_cursor: str | None


def listing(server: Server) -> AnyTool:
    """agent_list."""

    def run(call: Call, given: AgentList) -> Agents | Awaitable[Agents]:
        if not 1 <= given.limit <= PAGE_MAX:
            raise UsageError(f"limit is {given.limit}; it is 1 to {PAGE_MAX}.")
        if given.swarm_id == "all" or (given.swarm_id is None and not server.swarms.all()):
            places, name = list[AnySwarm](server.swarms.all()), None
        else:
            found = readable_swarm(server, call, given.swarm_id)
            places, name = [found], found.id
        for place in places:
            call.saw(place)
        if given.status is AgentStatus.TERMINATED:
            return _left(places, name, given)
        kept = [
            shown(place, agent)
            for place in places
            if isinstance(place, LiveSwarm)  # In one that is over there is nobody.
            for agent in place.state.agents.values()
            if _fits(given, agent.spec.type, agent.status, agent.spec.capabilities)
        ]
        return _page(kept, name, given)

    return Tool(
        name="agent_list",
        group="agents",
        summary="List agents with status, current task and the pid that hosts each.",
        arguments=AgentList,
        result=Agents,
        roles=READERS,
        run=run,
        example={"agentType": "coder"},
        positional=("swarmId",),
        reads=True,
    )


async def _left(places: list[AnySwarm], name: str | None, given: AgentList) -> Agents:
    kept: list[AgentShown] = []
    for place in places:
        rows: list[AgentRow] = []
        with suppress(UnknownSwarm):  # It ended while another was looked at.
            rows = await place.read(lambda queries: queries.agents())
        kept.extend(
            row_shown(place.id, row)
            for row in rows
            if _fits(given, row.type, _left_as(place, row), row.capabilities)
        )
    return _page(kept, name, given)


def _left_as(place: AnySwarm, row: AgentRow) -> str:
    """In a swarm that is over everybody has left, though a crash may have kept that unsaid."""
    return row.status if isinstance(place, LiveSwarm) else AgentStatus.TERMINATED


def _fits(given: AgentList, kind: str, status: str, capabilities: tuple[str, ...]) -> bool:
    return (
        (given.agent_type is None or kind == given.agent_type)
        and (given.status is None or status == given.status)
        and (given.capability is None or given.capability in capabilities)
    )


def _page(kept: list[AgentShown], swarm: str | None, given: AgentList) -> Agents:
    # Ids begin with the time of birth, so their order does not change while pages are read.
    kept.sort(key=lambda agent: agent.id)
    after = given.cursor or ""
    rest = [agent for agent in kept if agent.id > after]
    page = rest[: given.limit]
    return Agents(
        swarm_id=swarm,
        agents=page,
        total=len(kept),
        next_cursor=page[-1].id if len(rest) > len(page) else None,
    )


# One agent -------------------------------------------------------------------------------------


class AgentStatusOf(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_status."""

    agent_id: Annotated[str, about("Id or name.")]
    swarm_id: Annotated[str | None, about("Where to look; absent: everywhere.")] = None


class AgentTold(Result, frozen=True, kw_only=True):
    """All that is known of an agent."""

    agent_id: str
    swarm_id: str
    name: str
    type: str
    status: str
    draining: bool
    """It ends once it has finished what it holds."""
    reason: str | None
    """Why it is in error or failed."""
    pid: int | None
    capabilities: list[str]
    config: dict[str, Any] | None
    current_task: str | None
    tasks: list[str]
    tasks_max: int | None
    tasks_completed: int | None
    tasks_failed: int | None
    """Attempts that failed."""
    success_rate: float | None
    avg_task_duration: float | None
    """Seconds, recent tasks weighing more."""
    circuit: Annotated[str, about("closed, open (it gets nothing) or half_open.")]
    debug_until: Annotated[str | None, about("Its debug lines are kept.")]
    resources: Allocated


def status(server: Server) -> AnyTool:
    """agent_status."""

    def run(call: Call, given: AgentStatusOf) -> AgentTold | Awaitable[AgentTold]:
        try:
            swarm, agent = find_agent(server, call, given.agent_id, given.swarm_id)
        except (UnknownAgent, UnknownSwarm) as error:
            return _told_of_left(server, call, given, error)
        call.saw(swarm)
        if agent.spec.config.blob is not None:
            return _told_with_blob(swarm, agent)
        return _told(swarm, agent, config_of(agent.spec.config))

    return Tool(
        name="agent_status",
        group="agents",
        summary="All that is known of one agent, also of one that has left.",
        arguments=AgentStatusOf,
        result=AgentTold,
        roles=READERS,
        run=run,
        example={"agentId": "tester-1"},
        positional=("agentId",),
        reads=True,
    )


def _told(swarm: LiveSwarm, agent: AgentState, config: dict[str, Any] | None) -> AgentTold:
    spec, ends = agent.spec, agent.completed + agent.failed
    return AgentTold(
        agent_id=spec.id,
        swarm_id=swarm.id,
        name=spec.name,
        type=spec.type,
        status=agent.status,
        draining=spec.id in swarm.state.draining,
        reason=agent.reason if agent.status in _AILING else None,
        pid=pid_of(swarm.state, agent),
        capabilities=list(spec.capabilities),
        config=without_secrets(config),
        current_task=next(iter(agent.open), None),
        tasks=list(agent.open),
        tasks_max=spec.tasks_max,
        tasks_completed=agent.completed,
        tasks_failed=agent.failed,
        success_rate=agent.completed / ends if ends else None,
        avg_task_duration=agent.mean_us / 1e6 if agent.completed else None,
        circuit=circuit_of(swarm.state, spec.id),
        debug_until=debug_until(swarm, spec.id),
        resources=allocated(spec, spec.id in swarm.state.moving),
    )


async def _told_with_blob(swarm: LiveSwarm, agent: AgentState) -> AgentTold:
    blobs = swarm.node.intake.blobs
    config = await asyncio.to_thread(unpack, agent.spec.config, blobs)
    return _told(swarm, agent, config)


async def find_left(
    server: Server, call: Call, agent: str, swarm: str | None
) -> tuple[AnySwarm, AgentRow] | None:
    """An agent that has left, by id, else the latest of this name."""
    looked = places(server, call, swarm)
    if swarm is None:
        looked += ended_since(server, call, agent)
    named: tuple[AnySwarm, AgentRow] | None = None
    for place in looked:
        rows: list[AgentRow] = []
        with suppress(UnknownSwarm):  # It ended while another was looked at.
            rows = await place.read(lambda queries: queries.agents())
        for row in rows:
            if row.id == agent:
                return place, row
            if row.name == agent and (named is None or row.spawned_ms >= named[1].spawned_ms):
                named = place, row
    return named


async def _told_of_left(
    server: Server, call: Call, given: AgentStatusOf, error: UnknownAgent | UnknownSwarm
) -> AgentTold:
    found = await find_left(server, call, given.agent_id, given.swarm_id)
    if found is None:
        raise error
    swarm, row = found
    return AgentTold(
        agent_id=row.id,
        swarm_id=swarm.id,
        name=row.name,
        type=row.type,
        status=row.status,
        draining=False,
        reason=row.reason,
        pid=None,
        capabilities=list(row.capabilities),
        config=None,
        current_task=None,
        tasks=[],
        tasks_max=None,
        tasks_completed=None,
        tasks_failed=None,
        success_rate=None,
        avg_task_duration=None,
        circuit=CircuitStatus.CLOSED,
        debug_until=None,
        resources=Allocated(allocated=False, memory=None, enforced_by=None),
    )


# Its lines -------------------------------------------------------------------------------------


class AgentLogs(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_logs."""

    agent_id: Annotated[str, about("Id or name.")]
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, about("Only this and worse.")
    ] = None
    limit: Annotated[int, about("The last so many.")] = 100


class AgentLines(Result, frozen=True, kw_only=True):
    """An agent's last lines, oldest first."""

    agent_id: str
    swarm_id: str
    lines: list[str]


def logs(server: Server) -> AnyTool:
    """agent_logs."""

    async def run(call: Call, given: AgentLogs) -> AgentLines:
        if not 1 <= given.limit <= LINES_MAX:
            raise UsageError(f"limit is {given.limit}; it is 1 to {LINES_MAX}.")
        try:
            swarm, agent = find_agent(server, call, given.agent_id, None)
            identity = agent.spec.id
        except UnknownAgent:
            left = await find_left(server, call, given.agent_id, None)
            if left is None:
                raise
            swarm, identity = left[0], left[1].id
        lines = await asyncio.to_thread(server.lines.tail, identity, given.level, given.limit)
        return AgentLines(agent_id=identity, swarm_id=swarm.id, lines=lines)

    return Tool(
        name="agent_logs",
        group="agents",
        summary="The last log lines of an agent.",
        arguments=AgentLogs,
        result=AgentLines,
        roles=READERS,
        run=run,
        example={"agentId": "tester-1", "limit": 20},
        positional=("agentId",),
        reads=True,
    )
