"""The tool swarm_reconnect: who cannot be reached is waited for, replaced, or started again.

Workers whose connection is lost dial by themselves; what they cannot mend is a process that was
stopped or hangs, and an agent that was given up while it could not be reached.
"""

import asyncio
from collections.abc import Iterable
from typing import Annotated

from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import OPERATORS
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import Refused, UnknownId
from visionflow.domain.tasks import FailureKind
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.probed import Answers, is_lost, is_reached, probe_all, running
from visionflow.interfaces.tools.readiness import UP
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.restarting import is_restarting
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.watching import until
from visionflow.ports.host import ProcessState
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

RECONNECT = "swarm_reconnect"
WAIT_MS = 30_000
AGAIN_MS = 500
"""After this long somebody who did not answer is asked again."""
REASON = "it could not be reached when the swarm was to be reconnected"


class SwarmReconnect(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_reconnect."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None
    wait_timeout: Annotated[int, form("seconds", "Seconds to wait for those; 30.")] = WAIT_MS


class Reconnected(Result, frozen=True, kw_only=True):
    """An agent, and whether its worker answered over its connection."""

    agent_id: str
    worker: str
    reachable_before: bool
    reachable_after: bool
    action: Annotated[
        str, about("none, waited, replaced (its process), restarted (it had failed).")
    ]
    status: str


class SwarmReconnected(Result, frozen=True, kw_only=True):
    """Everybody in the swarm."""

    swarm_id: str
    reachable_before: int
    """Agents."""
    reachable_after: int
    agents: list[Reconnected]


def reconnecting(server: Server) -> AnyTool:
    """swarm_reconnect."""

    async def run(call: Call, given: SwarmReconnect) -> SwarmReconnected:
        swarm = open_swarm(server, call, given.swarm_id)
        state = swarm.state
        names = list(state.agents)
        before = await probe_all(swarm, running(swarm))
        actions, replaced = await recorded(
            server,
            call,
            RECONNECT,
            lambda: _mend(swarm, names, before, call),
            swarm=swarm,
            subject=swarm.id,
            command=command_id(call, RECONNECT),
        )
        call.took_effect()
        after = before
        if actions:
            after = await _reached(swarm, actions, replaced, given.wait_timeout, call)
        call.saw(swarm)
        told: list[Reconnected] = []
        for name in names:
            agent = state.agents.get(name)
            if agent is None:
                continue  # It left meanwhile.
            answers = before.get(agent.worker, {})
            told.append(
                Reconnected(
                    agent_id=name,
                    worker=agent.worker,
                    reachable_before=is_reached(answers) and actions.get(name) != "restarted",
                    reachable_after=is_reached(after.get(agent.worker, {})) and agent.status in UP,
                    action=actions.get(name, "none"),
                    status=agent.status,
                )
            )
        return SwarmReconnected(
            swarm_id=swarm.id,
            reachable_before=sum(1 for each in told if each.reachable_before),
            reachable_after=sum(1 for each in told if each.reachable_after),
            agents=told,
        )

    return Tool(
        name=RECONNECT,
        group="swarm",
        summary="Ask every worker whether it lives; replace those that hang, restart who failed.",
        arguments=SwarmReconnect,
        result=SwarmReconnected,
        roles=OPERATORS,
        run=run,
        example={"swarmId": "swarm-1"},
        positional=("swarmId",),
    )


async def _mend(
    swarm: LiveSwarm, names: Iterable[str], before: dict[str, Answers], call: Call
) -> tuple[dict[str, str], dict[str, int]]:
    """What is done for each agent that is not reached, and which processes are replaced."""
    state, node, actions = swarm.state, swarm.node, dict[str, str]()
    failed: list[str] = []
    replaced: dict[str, int] = {}
    for name in names:
        agent = state.agents.get(name)
        if agent is None or agent.status is AgentStatus.TERMINATING or name in state.draining:
            continue
        if agent.status is AgentStatus.FAILED:
            failed.append(name)
            continue
        answers = before.get(agent.worker, {})
        if is_reached(answers):
            continue
        actions[name] = "waited"
        worker = state.workers[agent.worker]
        if is_lost(answers) and node.children.child(worker.id) is not None:
            stopped = node.process_state(worker.id) is ProcessState.STOPPED
            kind = FailureKind.KILLED if stopped else FailureKind.NETWORK
            node.children.give_up(
                worker.id, worker.incarnation, kind, REASON, tuple(answers.items())
            )
            actions[name] = "replaced"
            replaced[worker.id] = worker.incarnation
    for name, done in zip(
        failed, await asyncio.gather(*(_restart(swarm, name, call) for name in failed)), strict=True
    ):
        if done:
            actions[name] = "restarted"
    return actions, replaced


async def _reached(
    swarm: LiveSwarm,
    actions: Iterable[str],
    replaced: dict[str, int],
    timeout_ms: int,
    call: Call,
) -> dict[str, Answers]:
    """Wait until these agents are up and their workers answer, for at most so long; what each
    worker answered last."""
    state, ends_ms = swarm.state, swarm.now_ms + timeout_ms

    def are_up() -> bool:
        workers = state.workers
        if any(
            name in workers and workers[name].incarnation <= was for name, was in replaced.items()
        ):
            return False
        awaited = (state.agents.get(name) for name in actions)
        return not any(found is not None and is_restarting(state, found) for found in awaited)

    while True:
        up = await until(swarm, are_up, ends_ms - swarm.now_ms, call.cancelled)
        after = await probe_all(swarm, running(swarm))
        agents = [state.agents[name] for name in actions if name in state.agents]
        here = [agent.worker for agent in agents if agent.status in UP]
        if not up or all(is_reached(after.get(worker, {})) for worker in here):
            return after
        if call.cancelled.is_set() or swarm.now_ms + AGAIN_MS > ends_ms:
            return after
        await asyncio.sleep(AGAIN_MS / 1_000)


async def _restart(swarm: LiveSwarm, agent: str, call: Call) -> bool:
    """Whether it will be built again."""
    command = command_id(call, RECONNECT, f"restart/{agent}")
    asked = sc.RestartAgent(now_ms=swarm.now_ms, command=command, agent=agent, reason=REASON)
    try:
        await swarm.ask(sound(asked))
    except (UnknownId, Refused):
        return False  # It ended by itself meanwhile.
    return True
