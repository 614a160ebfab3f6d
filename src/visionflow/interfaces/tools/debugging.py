"""The tool debug_enable: lines of level debug of an agent, or of a whole swarm, for a while."""

import asyncio
from typing import Annotated

from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import UnknownAgent, UsageError
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import find_agent, open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

DEBUG = "debug_enable"
DURATION_MS = 600_000
DURATION_MS_MAX = 86_400_000


class DebugEnable(Arguments, frozen=True, kw_only=True):
    """Arguments of debug_enable."""

    agent_id: Annotated[str | None, about("Id or name; absent: all agents of the swarm.")] = None
    swarm_id: Annotated[str | None, about("Absent: that of the agent, else your latest.")] = None
    duration: Annotated[int, form("seconds", "Seconds, or 1h; at most 24h; 0 ends it.")] = (
        DURATION_MS
    )


class Debugged(Result, frozen=True, kw_only=True):
    """Whose lines are kept."""

    swarm_id: str
    agents: list[str]
    until: Annotated[str | None, about("Then it ends by itself; null: it has ended.")]


def debugging(server: Server) -> AnyTool:
    """debug_enable."""

    async def run(call: Call, given: DebugEnable) -> Debugged:
        if given.duration > DURATION_MS_MAX:
            raise UsageError(
                f"duration is {given.duration // 1_000} s; it is at most 24 hours.",
                hint="Enable it again when it has ended.",
            )
        if given.agent_id is None:
            swarm = open_swarm(server, call, given.swarm_id)
            agents = list(swarm.state.agents)
        else:
            swarm, agent = find_agent(server, call, given.agent_id, given.swarm_id)
            agents = [agent.spec.id]
        until_ms = swarm.now_ms + given.duration

        async def change() -> list[str]:
            asked = (_enable(call, swarm, agent, until_ms) for agent in agents)
            kept = await asyncio.gather(*asked)
            return [agent for agent in kept if agent is not None]

        kept = await recorded(
            server,
            call,
            DEBUG,
            change,
            swarm=swarm,
            subject=swarm.id if given.agent_id is None else agents[0],
            command=command_id(call, DEBUG),
        )
        call.saw(swarm)
        ends = [swarm.state.supervised.debugging.get(agent, 0) for agent in kept]
        # Of a call that came again: what the first one asked for.
        until_ms = max(ends, default=until_ms)
        return Debugged(
            swarm_id=swarm.id,
            agents=kept,
            until=iso(until_ms) if given.duration else None,
        )

    return Tool(
        name=DEBUG,
        group="observation",
        summary="Keep the debug lines of an agent or of a swarm's agents for a while.",
        arguments=DebugEnable,
        result=Debugged,
        roles=OPERATORS,
        run=run,
        example={"agentId": "tester-1", "duration": "10m"},
        positional=("agentId",),
    )


async def _enable(call: Call, swarm: LiveSwarm, agent: str, until_ms: int) -> str | None:
    command = command_id(call, DEBUG, agent)
    asked = sc.EnableDebug(now_ms=swarm.now_ms, command=command, agent=agent, until_ms=until_ms)
    try:
        await swarm.ask(sound(asked))
    except UnknownAgent:
        return None  # It left while the others were told.
    return agent
