"""The tool agent_restart: an agent built anew under its id."""

from typing import Annotated

from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import UnknownAgent
from visionflow.engine.state import AgentState, SwarmState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import find_agent
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.readiness import OVER, UP
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.showing import pid_of
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.watching import until
from visionflow.runtime.intake import sound

RESTART = "agent_restart"
WAIT_MS = 60_000


class AgentRestart(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_restart."""

    agent_id: Annotated[str, about("Id or name.")]
    swarm_id: Annotated[str | None, about("Where to look; absent: everywhere.")] = None
    drain: Annotated[bool, about("Finish what it holds first; else others get that.")] = False
    reason: Annotated[str, about("For the log.")] = "restarted on request"
    wait: Annotated[bool, about("Answer when it is ready again.")] = False
    wait_timeout: Annotated[int, form("seconds", "Seconds to wait; 60.")] = WAIT_MS


class AgentRestarted(Result, frozen=True, kw_only=True):
    """An agent that is built anew, or will be once it has finished what it holds."""

    agent_id: str
    swarm_id: str
    name: str
    status: str
    restarting: Annotated[bool, about("Not what it will be yet.")]
    open_tasks: int
    """Tasks that it held."""
    pid: int | None
    incarnation: int | None
    """Which process of its worker that is, from 1."""
    reason: str | None
    """Why it is not ready, where it failed."""


def is_restarting(state: SwarmState, agent: AgentState) -> bool:
    """Whether an agent is on its way to be what it was asked to be."""
    if agent.status in OVER:
        return False
    name, sup = agent.spec.id, state.supervised
    if name in state.updating or name in state.moving or agent.status not in UP:
        return True
    return agent.worker in sup.restarting or agent.worker in sup.recycling


def restarting(server: Server) -> AnyTool:
    """agent_restart."""

    async def run(call: Call, given: AgentRestart) -> AgentRestarted:
        swarm, agent = find_agent(server, call, given.agent_id, given.swarm_id)
        name, held = agent.spec.id, len(agent.open)
        command = command_id(call, RESTART)
        asked = sound(
            sc.RestartAgent(
                now_ms=swarm.now_ms,
                command=command,
                agent=name,
                drain=given.drain,
                reason=given.reason,
            )
        )
        await recorded(
            server,
            call,
            RESTART,
            lambda: swarm.ask(asked),
            swarm=swarm,
            subject=name,
            command=command,
        )
        state = swarm.state

        def is_over() -> bool:
            found = state.agents.get(name)
            return found is None or not is_restarting(state, found)

        if given.wait:
            call.took_effect()
            await until(swarm, is_over, given.wait_timeout, call.cancelled)
            call.provisional = not is_over()
        call.saw(swarm)
        now = state.agents.get(name)
        if now is None:
            raise UnknownAgent(f"Agent {name} has left meanwhile.", ids={"agentId": name})
        worker = state.workers.get(now.worker)
        return AgentRestarted(
            agent_id=name,
            swarm_id=swarm.id,
            name=now.spec.name,
            status=now.status,
            restarting=not is_over(),
            open_tasks=held,
            pid=pid_of(state, now),
            incarnation=None if worker is None or worker.pid is None else worker.incarnation,
            reason=now.reason if now.status in OVER else None,
        )

    return Tool(
        name=RESTART,
        group="agents",
        summary="Build an agent anew, also one that failed; it keeps its id, settings and record.",
        arguments=AgentRestart,
        result=AgentRestarted,
        roles=OPERATORS,
        run=run,
        example={"agentId": "tester-1", "wait": True},
        positional=("agentId",),
    )
