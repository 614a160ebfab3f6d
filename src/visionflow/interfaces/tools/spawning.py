"""Spawning for a caller: within all limits, once for each key, and told as it truly is."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.errors import LimitReached, Refused
from visionflow.interfaces.seats import Seat
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.casting import Cast
from visionflow.interfaces.tools.finding import answered_in, swarm_or_new
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.readiness import OVER, UP, Births
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.showing import (
    SPAWNING,
    Allocated,
    allocated,
    pid_of,
    spawn_word,
)
from visionflow.interfaces.tools.tool import Call
from visionflow.ports.views import AgentRow
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm


class Pool(Result, frozen=True, kw_only=True):
    """The caller's own connections."""

    pool_id: str
    connections: int
    health_check: str
    """passing: the server is ready; else starting."""


class Metrics(Result, frozen=True, kw_only=True):
    """What its start took, once it is ready."""

    spawn_time: int | None
    """Milliseconds."""
    model_load_time: int | None = None
    memory_allocated: str | None
    """Resident memory of a process of its own."""


class Spawned(Result, frozen=True, kw_only=True):
    """An agent that was spawned."""

    agent_id: str
    swarm_id: str
    name: str
    type: str
    status: str
    pid: int | None
    capabilities: list[str]
    estimated_ready_time: str | None
    tcp_endpoint: str | None
    resources: Allocated
    connection_pool: Pool
    initialisation_metrics: Metrics
    swarm_created: bool
    warnings: list[str]


class Made(msgspec.Struct, frozen=True):
    """What a spawn came to, before it is told."""

    swarm: LiveSwarm
    agent: str
    swarm_created: bool


async def place_for(
    server: Server, call: Call, tool: str, swarm: str | None, part: str = ""
) -> tuple[LiveSwarm, bool]:
    """The swarm to spawn into, adopted where it is unknown, and whether it was made now."""
    earlier = answered_in(server, call, tool, part)
    given = swarm if earlier is None else earlier.id
    return await swarm_or_new(server, call, given, command_id(call, tool, "swarm"))


def birth(swarm: LiveSwarm, cast: Cast, command: str | None = None) -> c.SpawnAgent:
    """The command that makes such an agent there."""
    made = swarm.node.intake.agent(
        cast.type,
        cast.class_path,
        name=cast.name,
        capabilities=cast.capabilities,
        config=cast.config,
        tasks_max=cast.tasks_max,
        memory_bytes=cast.memory_bytes,
        upkeep=cast.upkeep,
        command=command,
    )
    if cast.scaled:
        spec = msgspec.structs.replace(made.spec, scaled=True)
        made = msgspec.structs.replace(made, spec=spec)
    return sound(made)


async def spawn(
    server: Server,
    call: Call,
    tool: str,
    swarm: LiveSwarm,
    cast: Cast,
    births: Births,
    part: str = "",
) -> tuple[LiveSwarm, str]:
    """Add an agent; where it is and its id, once that is durable. The same key again gives the
    first one.

    Raises:
        LimitReached: the swarm, or the server, may have no more.
        Refused: the swarm takes none.
    """
    births.watch(swarm)
    command = command_id(call, tool, part)
    made = birth(swarm, cast, command)

    async def ask() -> tuple[LiveSwarm, str]:
        try:
            answer = await swarm.ask(made)
        except LimitReached as error:
            raise LimitReached(
                error.message,
                hint="End one with agent_terminate, or raise maxAgents with swarm_scale.",
                ids={"swarmId": swarm.id},
            ) from error
        name = answer.subject or made.spec.id
        if cast.seat is not None:
            await _seat(swarm, name, cast.seat, command)
        return swarm, name

    async def within() -> tuple[LiveSwarm, str]:
        if command is not None and command in swarm.state.answers:
            return await ask()  # It is there already, and counted.
        return await server.swarms.spawning(1, ask)

    return await recorded(
        server,
        call,
        tool,
        within,
        swarm=swarm,
        subject=lambda spawned: spawned[1],
        command=command,
    )


async def _seat(swarm: LiveSwarm, agent: str, seat: Seat, command: str | None) -> None:
    """Give an agent its seat. Who cannot have it is ended: it was asked for as one who sits there.

    Raises:
        Refused: it cannot.
    """
    key = None if command is None else f"{command}/seat"
    try:
        await swarm.ask(sound(seat.command(agent, swarm.now_ms, key)))
    except Refused:
        await swarm.ask(sound(c.TerminateAgent(now_ms=swarm.now_ms, agent=agent)))
        raise


async def told(
    server: Server, call: Call, made: Made, births: Births, warnings: Sequence[str]
) -> Spawned:
    """The reply to a spawn, as things are now.

    Raises:
        Refused: `agent_failed`: it could not be built.
    """
    swarm, found = made.swarm, made.swarm.state.agents.get(made.agent)
    if found is None:
        rows = await swarm.read(lambda queries: queries.agents())
        row = next((each for each in rows if each.id == made.agent), None)
        return _gone(server, call, made, row, warnings)
    call.saw(swarm)
    spec, word = found.spec, spawn_word(found.status)
    ready_ms = None
    if word == SPAWNING:
        dedicated = spec.limits.memory_bytes is not None
        took_ms = births.estimate_ms(spec.type, dedicated)
        since_ms = births.spawned_ms(spec.id)
        if took_ms is not None and since_ms is not None:
            ready_ms = since_ms + took_ms
    # Until it is up no process hosts it, though one may be building it.
    pid = None if word == SPAWNING else pid_of(swarm.state, found)
    memory = None
    if found.status in UP and pid is not None and spec.limits.memory_bytes is not None:
        memory = _resident(pid)
    return Spawned(
        agent_id=spec.id,
        swarm_id=swarm.id,
        name=spec.name,
        type=spec.type,
        status=word,
        pid=pid,
        capabilities=list(spec.capabilities),
        estimated_ready_time=None if ready_ms is None else iso(ready_ms),
        tcp_endpoint=server.endpoints.get("tcp"),
        resources=allocated(spec, spec.id in swarm.state.moving),
        connection_pool=_pool(server, call),
        initialisation_metrics=Metrics(spawn_time=births.took_ms(spec.id), memory_allocated=memory),
        swarm_created=made.swarm_created,
        warnings=[*warnings, *_namesakes(swarm, spec.id, spec.name)],
    )


async def wait_ready(call: Call, made: Made, births: Births, timeout_ms: int) -> list[str]:
    """Wait until it is ready; a warning when the time is over before.

    Raises:
        Refused: `agent_failed`: it will not be.
    """
    call.took_effect()
    found = await births.settled(made.swarm, made.agent, timeout_ms, call.cancelled)
    ids = {"agentId": made.agent, "swarmId": made.swarm.id}
    if found is None or found.status in OVER:
        reason = "it was terminated" if found is None else (found.reason or f"it is {found.status}")
        raise Refused(
            f"Agent {made.agent} did not get ready: {reason.rstrip('.')}.",
            code="agent_failed",
            hint="agent_logs has more; agent_terminate frees its place.",
            ids=ids,
        )
    if found.status in UP:
        return []
    call.provisional = True
    return [f"it was not ready within {timeout_ms / 1_000:g} s and is still on its way"]


async def spawn_each(
    server: Server,
    call: Call,
    tool: str,
    swarm: LiveSwarm,
    casts: Sequence[Cast],
    births: Births,
    first: int = 0,
) -> list[tuple[LiveSwarm, str] | Refused]:
    """Spawn all at once: of each where it is and its id, or why it was refused. `first`: so many
    were spawned by this call before, when it comes again under its key."""

    async def one(place: int, cast: Cast) -> tuple[LiveSwarm, str] | Refused:
        try:
            return await spawn(server, call, tool, swarm, cast, births, str(place))
        except Refused as error:
            return error

    return await asyncio.gather(*(one(place, cast) for place, cast in enumerate(casts, first)))


def spawned_before(swarm: LiveSwarm, call: Call, tool: str) -> list[str]:
    """Agents that the same call spawned one by one when it came before, oldest first."""
    found: list[str] = []
    while call.key is not None:
        known = swarm.state.answers.get(command_id(call, tool, str(len(found))) or "")
        if known is None or known.subject is None:
            break
        found.append(known.subject)
    return found


def _gone(
    server: Server, call: Call, made: Made, row: AgentRow | None, warnings: Sequence[str]
) -> Spawned:
    return Spawned(
        agent_id=made.agent,
        swarm_id=made.swarm.id,
        name=made.agent if row is None else row.name,
        type="" if row is None else row.type,
        status="terminated" if row is None else row.status,
        pid=None,
        capabilities=[] if row is None else list(row.capabilities),
        estimated_ready_time=None,
        tcp_endpoint=server.endpoints.get("tcp"),
        resources=Allocated(allocated=False, memory=None, enforced_by=None),
        connection_pool=_pool(server, call),
        initialisation_metrics=Metrics(spawn_time=None, memory_allocated=None),
        swarm_created=made.swarm_created,
        warnings=list(warnings),
    )


def _pool(server: Server, call: Call) -> Pool:
    return Pool(
        pool_id=call.caller.client,
        connections=server.connections.of(call.caller.name),
        health_check="passing" if server.ready else "starting",
    )


def _namesakes(swarm: LiveSwarm, agent: str, name: str) -> list[str]:
    others = [
        each.spec.id
        for each in swarm.state.agents.values()
        if each.spec.name == name and each.spec.id != agent
    ]
    if not others:
        return []
    return [f"{name!r} is also the name of {', '.join(others)}; by name the latest is meant"]


def _resident(pid: int) -> str | None:
    """Resident memory of a process; `None` where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1_000_000:.1f} MB"
