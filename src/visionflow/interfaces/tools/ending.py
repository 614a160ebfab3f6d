"""Ending agents: at once, or once they have finished what they hold."""

import asyncio

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import Refused, UnknownId
from visionflow.engine.state import AgentState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.readiness import OVER
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import Call
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm


class Surplus(Result, frozen=True, kw_only=True):
    """An agent that is ended because there are too many."""

    agent_id: str
    action: str
    """terminated (it was idle) or draining (it ends with the tasks that it holds)."""
    open_tasks: int


async def end_agent(
    server: Server, call: Call, tool: str, swarm: LiveSwarm, agent: str, *, drain: bool, part: str
) -> None:
    """End an agent; with `drain` it takes nothing more and ends when it holds no task.

    Raises:
        UnknownAgent: it has left.
        Refused: `already_ended`: it is on its way out.
    """
    command = command_id(call, tool, part)
    asked = sound(c.TerminateAgent(now_ms=swarm.now_ms, command=command, agent=agent, drain=drain))
    await recorded(
        server,
        call,
        tool,
        lambda: swarm.ask(asked),
        swarm=swarm,
        subject=agent,
        command=command,
    )


def counted(swarm: LiveSwarm, kind: str | None = None) -> list[AgentState]:
    """Agents that are there to stay, oldest first: none that failed or is on its way out."""
    draining = swarm.state.draining
    return [
        agent
        for name, agent in swarm.state.agents.items()
        if agent.status not in OVER
        and name not in draining
        and (kind is None or agent.spec.type == kind)
    ]


def draining(swarm: LiveSwarm, kind: str) -> int:
    """How many agents of a type end once they have finished what they hold."""
    agents = swarm.state.agents
    return sum(agents[name].spec.type == kind for name in swarm.state.draining)


async def end_surplus(
    server: Server, call: Call, tool: str, swarm: LiveSwarm, agents: list[AgentState], keep: int
) -> list[Surplus]:
    """End all but `keep` of these: those that are idle first, the newest first; of each what is
    done with it. One that went by itself meanwhile is not among them."""
    surplus = len(agents) - keep
    newest = list(reversed(agents))
    order = [a for a in newest if not a.open] + [a for a in newest if a.open]

    async def one(agent: AgentState) -> Surplus | None:
        spec, held = agent.spec, len(agent.open)
        try:
            await end_agent(server, call, tool, swarm, spec.id, drain=True, part=f"end/{spec.id}")
        except UnknownId:
            return None
        except Refused as error:
            if error.reason != "already_ended":
                raise
            return None
        now = swarm.state.agents.get(spec.id)
        waits = now is not None and now.status is not AgentStatus.TERMINATING
        return Surplus(
            agent_id=spec.id,
            action="draining" if waits else "terminated",
            open_tasks=held,
        )

    ended = await asyncio.gather(*(one(agent) for agent in order[: max(0, surplus)]))
    return [each for each in ended if each is not None]
