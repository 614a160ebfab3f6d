"""Tools that change one agent: its settings and ceiling, or that it is there at all."""

import asyncio
from typing import Annotated, Any

from visionflow.domain import commands as c
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import UnknownAgent, UsageError
from visionflow.domain.secrecy import MASK, is_secret_name, without_secrets
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.agent_reads import find_left
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.casting import checked_ceiling, recast, resources_in
from visionflow.interfaces.tools.ending import end_agent
from visionflow.interfaces.tools.finding import find_agent
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.showing import allocated
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.intake import pack, sound, unpack
from visionflow.runtime.swarms import LiveSwarm

UPDATE, TERMINATE = "agent_update", "agent_terminate"


# What it is ------------------------------------------------------------------------------------


class AgentUpdate(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_update."""

    agent_id: Annotated[str, about("Id or name.")]
    swarm_id: Annotated[str | None, about("Where to look; absent: everywhere.")] = None
    config: Annotated[
        dict[str, Any] | None, form("object", "Settings that change; the others stay.")
    ] = None
    resources: Annotated[
        dict[str, Any] | None, form("object", "memoryLimit (held), cpuLimit, gpuAccess.")
    ] = None


class AgentUpdated(Result, frozen=True, kw_only=True):
    """An agent as it is from its next task on."""

    agent_id: str
    swarm_id: str
    status: str
    config: dict[str, Any]
    tasks_max: int
    memory_limit: str | None
    enforced_by: str | None
    open_tasks: int
    """They go on as they began."""
    warnings: list[str]


def updating(server: Server) -> AnyTool:
    """agent_update."""

    async def run(call: Call, given: AgentUpdate) -> AgentUpdated:
        if not given.config and not given.resources:
            raise UsageError("Nothing is to be changed.", hint="Give config or resources.")
        swarm, agent = find_agent(server, call, given.agent_id, given.swarm_id)
        spec, blobs = agent.spec, swarm.node.intake.blobs
        kept: dict[str, Any] = await asyncio.to_thread(unpack, spec.config, blobs) or {}
        # Whoever hands back what was shown does not mean the mask.
        wanted = {
            key: value
            for key, value in (given.config or {}).items()
            if not (value == MASK and is_secret_name(key))
        }
        made = await recast(server, spec, kept, wanted)
        warnings = list(made.warnings)
        ceiling = _ceiling(given.resources, spec.type, warnings)
        config = None
        if given.config:
            what = f"the configuration of {spec.name}"
            config = await asyncio.to_thread(pack, made.config or None, what, blobs)
        command = command_id(call, UPDATE)
        asked = sound(
            c.UpdateAgent(
                now_ms=swarm.now_ms,
                command=command,
                agent=spec.id,
                config=config,
                tasks_max=made.tasks_max if made.tasks_max != spec.tasks_max else None,
                memory_bytes=ceiling,
            )
        )
        if config is not None or ceiling is not None:
            await recorded(
                server,
                call,
                UPDATE,
                lambda: swarm.ask(asked),
                swarm=swarm,
                subject=spec.id,
                command=command,
            )
        updated = await _updated(swarm, spec.id, warnings)
        call.saw(swarm)
        return updated

    return Tool(
        name=UPDATE,
        group="agents",
        summary="Change an agent's settings or memory ceiling, from its next task on.",
        arguments=AgentUpdate,
        result=AgentUpdated,
        roles=OPERATORS,
        run=run,
        example={"agentId": "tester-1", "config": {"timeout": 120}},
        positional=("agentId",),
    )


def _ceiling(given: dict[str, Any] | None, kind: str, warnings: list[str]) -> int | None:
    wish = resources_in(given)
    if wish.cpu_limit is not None:
        warnings.append(f"{kind}: cpuLimit has no effect: nothing here holds an agent to a share")
    if wish.gpu_access:
        warnings.append(f"{kind}: gpuAccess has no effect: this server hands out no GPU")
    if wish.memory_limit is None:
        return None
    return checked_ceiling(wish.memory_limit, kind, warnings)


async def _updated(swarm: LiveSwarm, agent: str, warnings: list[str]) -> AgentUpdated:
    found = swarm.state.agents.get(agent)
    if found is None:
        raise UnknownAgent(f"Agent {agent} has left meanwhile.", ids={"agentId": agent})
    spec = found.spec
    config = await asyncio.to_thread(unpack, spec.config, swarm.node.intake.blobs)
    moving = agent in swarm.state.moving
    if moving:
        warnings.append(
            "memoryLimit holds from when the agent, idle, has moved to a process of its own"
        )
    held = allocated(spec, moving)
    return AgentUpdated(
        agent_id=spec.id,
        swarm_id=swarm.id,
        status=found.status,
        config=without_secrets(config or {}),
        tasks_max=spec.tasks_max,
        memory_limit=held.memory,
        enforced_by=held.enforced_by,
        open_tasks=len(found.open),
        warnings=warnings,
    )


# Its end ---------------------------------------------------------------------------------------


class AgentTerminate(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_terminate."""

    agent_id: Annotated[str, about("Id or name.")]
    swarm_id: Annotated[str | None, about("Where to look; absent: everywhere.")] = None
    drain: Annotated[bool, about("Let it finish what it holds first.")] = False


class AgentEnded(Result, frozen=True, kw_only=True):
    """An agent on its way out."""

    agent_id: str
    swarm_id: str
    name: str
    status: str
    """draining, terminating or terminated."""
    open_tasks: int
    """Tasks that it held: others get them, or it finishes them when it drains."""


def terminating(server: Server) -> AnyTool:
    """agent_terminate."""

    async def run(call: Call, given: AgentTerminate) -> AgentEnded:
        try:
            swarm, agent = find_agent(server, call, given.agent_id, given.swarm_id)
        except UnknownAgent:
            repeated = await _ended_before(server, call, given)
            if repeated is None:
                raise
            return repeated
        held, name, identity = len(agent.open), agent.spec.name, agent.spec.id
        await end_agent(server, call, TERMINATE, swarm, identity, drain=given.drain, part="")
        call.saw(swarm)
        now = swarm.state.agents.get(identity)
        status: str = "terminated" if now is None else now.status
        if identity in swarm.state.draining:
            status = "draining"
        return AgentEnded(
            agent_id=identity, swarm_id=swarm.id, name=name, status=status, open_tasks=held
        )

    return Tool(
        name=TERMINATE,
        group="agents",
        summary="End an agent; others get its tasks, unless it drains.",
        arguments=AgentTerminate,
        result=AgentEnded,
        roles=OPERATORS,
        run=run,
        example={"agentId": "tester-1"},
        positional=("agentId",),
    )


async def _ended_before(server: Server, call: Call, given: AgentTerminate) -> AgentEnded | None:
    """The answer to a call that comes again under its key, when the agent has left by now."""
    command = command_id(call, TERMINATE)
    for swarm in server.swarms.all():
        answer = None if command is None else swarm.state.answers.get(command)
        if answer is None or answer.subject is None:
            continue
        left = await find_left(server, call, answer.subject, swarm.id)
        if left is not None:
            row = left[1]
            return AgentEnded(
                agent_id=row.id, swarm_id=swarm.id, name=row.name, status=row.status, open_tasks=0
            )
    return None
