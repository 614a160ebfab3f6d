"""The tools of the group `agents`: spawning, and the list of all of them."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec

from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import Refused, UsageError
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.agent_changes import terminating, updating
from visionflow.interfaces.tools.agent_reads import listing, logs, status
from visionflow.interfaces.tools.arguments import Arguments, Result, parse
from visionflow.interfaces.tools.casting import Cast, Wish, cast, resources_in
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.readiness import Births
from visionflow.interfaces.tools.scaling import scaling
from visionflow.interfaces.tools.spawning import (
    Made,
    Spawned,
    place_for,
    spawn,
    spawn_each,
    told,
    wait_ready,
)
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool

SPAWN, PARALLEL = "agent_spawn", "agents_spawn_parallel"
AGENTS_MAX = 1_000
"""Of one call of agents_spawn_parallel."""
WAIT_MS = 60_000


def agent_tools(server: Server) -> list[AnyTool]:
    """All tools of the group, over this server."""
    births = Births()
    return [
        _spawning(server, births),
        _spawning_many(server, births),
        listing(server),
        status(server),
        logs(server),
        updating(server),
        scaling(server, births),
        terminating(server),
    ]


class AgentSpawn(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_spawn."""

    ALIASES: ClassVar[dict[str, str]] = {"type": "agentType"}

    agent_type: Annotated[str, about("A template's name, such as coder.")]
    swarm_id: Annotated[str | None, about("A new id makes a swarm; absent: your latest.")] = None
    name: Annotated[str | None, about("May stand for its id.")] = None
    capabilities: Annotated[
        tuple[str, ...], form("words", "What it shall offer: list or a,b.")
    ] = ()
    config: Annotated[
        dict[str, Any] | None, form("object", "Settings; other keys are context.")
    ] = None
    resources: Annotated[
        dict[str, Any] | None, form("object", "memoryLimit (held), cpuLimit, gpuAccess.")
    ] = None
    wait: Annotated[bool, about("Answer when it is ready.")] = False
    wait_timeout: Annotated[int, form("seconds", "Seconds to wait; 60.")] = WAIT_MS


def _spawning(server: Server, births: Births) -> AnyTool:
    async def run(call: Call, given: AgentSpawn) -> Spawned:
        wish = Wish(
            type=given.agent_type,
            name=given.name,
            capabilities=given.capabilities,
            config=given.config or {},
            resources=resources_in(given.resources),
        )
        found = await cast(server, wish)
        swarm, created = await place_for(server, call, SPAWN, given.swarm_id)
        swarm, agent = await spawn(server, call, SPAWN, swarm, found, births)
        made = Made(swarm, agent, created)
        late: list[str] = []
        if given.wait:
            late = await wait_ready(call, made, births, given.wait_timeout)
        return await told(server, call, made, births, [*found.warnings, *late])

    return Tool(
        name=SPAWN,
        group="agents",
        summary="Spawn an agent: durable at once, ready a moment later (wait: true waits).",
        arguments=AgentSpawn,
        result=Spawned,
        roles=OPERATORS,
        run=run,
        example={"agentType": "tester", "swarmId": "swarm-1", "name": "tester-1", "wait": True},
        positional=("agentType",),
    )


# Many at once ----------------------------------------------------------------------------------


class Group(Arguments, frozen=True, kw_only=True):
    """Agents that are alike."""

    ALIASES: ClassVar[dict[str, str]] = {"agentType": "type"}

    type: Annotated[str, about("A template's name.")]
    count: int = 1
    name: Annotated[str | None, about("Of several: name-1, name-2, ...")] = None
    capabilities: Annotated[tuple[str, ...], form("words", "As in agent_spawn.")] = ()
    config: Annotated[dict[str, Any] | None, form("object", "As in agent_spawn.")] = None
    resources: Annotated[dict[str, Any] | None, form("object", "As in agent_spawn.")] = None


class AgentsSpawn(Arguments, frozen=True, kw_only=True):
    """Arguments of agents_spawn_parallel."""

    agents: Annotated[
        list[dict[str, Any]],
        about("Each {type, count, name, capabilities, config, resources}."),
    ]
    swarm_id: Annotated[str | None, about("As in agent_spawn.")] = None
    wait: Annotated[bool, about("Answer when all are ready.")] = False
    wait_timeout: Annotated[int, form("seconds", "Seconds to wait; 60.")] = WAIT_MS


class OneSpawned(Result, frozen=True, kw_only=True):
    """One that is there; agent_status has the rest."""

    agent_id: str
    name: str
    type: str
    status: str
    pid: int | None
    warnings: list[str]


class NotSpawned(Result, frozen=True, kw_only=True):
    """One that was refused, or did not get ready."""

    type: str
    name: str | None
    agent_id: str | None
    code: str
    message: str


class AllSpawned(Result, frozen=True, kw_only=True):
    """What came of each."""

    swarm_id: str
    swarm_created: bool
    requested: int
    spawned: int
    agents: list[OneSpawned]
    refused: list[NotSpawned]


def _spawning_many(server: Server, births: Births) -> AnyTool:
    async def run(call: Call, given: AgentsSpawn) -> AllSpawned:
        casts = await _casts(server, given.agents)
        swarm, created = await place_for(server, call, PARALLEL, given.swarm_id, "0")
        outcomes = await spawn_each(server, call, PARALLEL, swarm, casts, births)
        if given.wait:
            call.took_effect()
        refused = [
            _not_spawned(found, None, outcome)
            for found, outcome in zip(casts, outcomes, strict=True)
            if isinstance(outcome, Refused)
        ]
        agents: list[OneSpawned] = []
        ends_ms = server.now_ms() + given.wait_timeout
        for found, outcome in zip(casts, outcomes, strict=True):
            if isinstance(outcome, Refused):
                continue
            made, late = Made(outcome[0], outcome[1], created), list[str]()
            try:
                if given.wait:
                    left_ms = max(0, ends_ms - server.now_ms())
                    late = await wait_ready(call, made, births, left_ms)
            except Refused as error:
                refused.append(_not_spawned(found, outcome[1], error))
                continue
            one = await told(server, call, made, births, [*found.warnings, *late])
            agents.append(
                OneSpawned(
                    agent_id=one.agent_id,
                    name=one.name,
                    type=one.type,
                    status=one.status,
                    pid=one.pid,
                    warnings=one.warnings,
                )
            )
        # Those that were refused may be admitted when the same call comes again.
        call.provisional = call.provisional or bool(refused)
        return AllSpawned(
            swarm_id=swarm.id,
            swarm_created=created,
            requested=len(casts),
            spawned=len(agents),
            agents=agents,
            refused=refused,
        )

    return Tool(
        name=PARALLEL,
        group="agents",
        summary="Spawn several agents at once; each that is refused is told by name.",
        arguments=AgentsSpawn,
        result=AllSpawned,
        roles=OPERATORS,
        run=run,
        example={"agents": [{"type": "coder", "count": 2}, {"type": "reviewer"}]},
        positional=("agents",),
    )


def _not_spawned(found: Cast, agent: str | None, error: Refused) -> NotSpawned:
    return NotSpawned(
        type=found.type,
        name=found.name,
        agent_id=agent,
        code=error.reason,
        message=str(error),
    )


async def _casts(server: Server, given: Sequence[dict[str, Any]]) -> list[Cast]:
    """All of them, read and checked before any is spawned."""
    found: list[Cast] = []
    for place, each in enumerate(given):
        try:
            group = parse(Group, each)
            if not 1 <= group.count <= AGENTS_MAX:
                raise UsageError(f"count is {group.count}; it is 1 to {AGENTS_MAX}.")
            if len(found) + group.count > AGENTS_MAX:
                raise UsageError(f"One call spawns at most {AGENTS_MAX} agents.")
            one = await cast(
                server,
                Wish(
                    type=group.type,
                    name=group.name,
                    capabilities=group.capabilities,
                    config=group.config or {},
                    resources=resources_in(group.resources),
                ),
            )
        except UsageError as error:
            raise UsageError(f"agents[{place}]: {error.message}", hint=error.hint) from error
        for number in range(1, group.count + 1):
            name = one.name if group.count == 1 or one.name is None else f"{one.name}-{number}"
            found.append(msgspec.structs.replace(one, name=name))
    if not found:
        raise UsageError("agents is empty.", hint='Give at least one, such as {"type": "coder"}.')
    return found
