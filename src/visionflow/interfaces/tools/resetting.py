"""The tool swarm_reset: everything in a swarm is ended, and the swarm is there to begin anew."""

import asyncio
from contextlib import suppress
from typing import Annotated

from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import ADMINS
from visionflow.domain.errors import Refused, UnknownId
from visionflow.domain.tasks import TERMINAL
from visionflow.domain.votes import Decision
from visionflow.domain.votes_commands import ResolveVote
from visionflow.engine.state import SwarmState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.watching import until
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

RESET = "swarm_reset"
WAIT_MS = 60_000


class SwarmReset(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_reset."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None
    reason: Annotated[str, about("For the log.")] = "the swarm was reset"
    wait_timeout: Annotated[int, form("seconds", "Seconds, for the last process to end; 60.")] = (
        WAIT_MS
    )


class WasReset(Result, frozen=True, kw_only=True):
    """What was ended. The swarm's log has all of it."""

    swarm_id: str
    status: str
    tasks_cancelled: int
    agents_ended: int
    processes_ended: int
    circuits_closed: int
    tasks_left: int
    """Not ended: handed in meanwhile, or the wait was over."""
    agents_left: int
    processes_left: int


def resetting(server: Server) -> AnyTool:
    """swarm_reset."""

    async def run(call: Call, given: SwarmReset) -> WasReset:
        swarm = open_swarm(server, call, given.swarm_id)
        state, children = swarm.state, swarm.node.children
        before, agents = state.counters.cancelled, list(state.agents)
        pids = children.pids()
        closed = await recorded(
            server,
            call,
            RESET,
            lambda: _end_all(swarm, agents, given.reason, call),
            swarm=swarm,
            subject=swarm.id,
            command=command_id(call, RESET),
        )
        call.took_effect()

        def is_over() -> bool:
            left = [agent for agent in agents if agent in state.agents]
            return not left and not _open(state) and not any(p in children.pids() for p in pids)

        await until(swarm, is_over, given.wait_timeout, call.cancelled)
        call.saw(swarm)
        alive = children.pids()
        return WasReset(
            swarm_id=swarm.id,
            status="active" if state.closed is None else "closed",
            tasks_cancelled=state.counters.cancelled - before,
            agents_ended=sum(1 for agent in agents if agent not in state.agents),
            processes_ended=sum(1 for pid in pids if pid not in alive),
            circuits_closed=closed,
            tasks_left=state.live,
            agents_left=len(state.agents),
            processes_left=len(alive),
        )

    return Tool(
        name=RESET,
        group="swarm",
        summary="End all tasks, agents and processes of a swarm; it and its log stay. For admins.",
        arguments=SwarmReset,
        result=WasReset,
        roles=ADMINS,
        run=run,
        example={"swarmId": "swarm-1"},
        positional=("swarmId",),
    )


def _open(state: SwarmState) -> list[str]:
    """Tasks that nobody is the parent of and that have not ended."""
    return [
        name
        for name, task in state.tasks.items()
        if task.spec.parent is None and task.status not in TERMINAL
    ]


async def _end_all(swarm: LiveSwarm, agents: list[str], reason: str, call: Call) -> int:
    """Cancel, terminate, end votes, close circuits; how many of those there were."""
    state = swarm.state
    # Tasks first: none is given to an agent that is about to end.
    cancels = [c.CancelTask(now_ms=swarm.now_ms, task=name, reason=reason) for name in _open(state)]
    circuits = [
        sc.ResetCircuit(now_ms=swarm.now_ms, circuit=name)
        for name in state.supervised.circuits
        if name.partition(":")[2] not in state.agents
    ]
    ends = [
        c.TerminateAgent(
            now_ms=swarm.now_ms, agent=name, command=command_id(call, RESET, f"end/{name}")
        )
        for name in agents
    ]
    asked = [swarm.ask(sound(each)) for each in (*cancels, *circuits, *ends)]
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        # One that ended by itself meanwhile is what was wanted.
        if isinstance(outcome, BaseException) and not isinstance(outcome, (UnknownId, Refused)):
            raise outcome
    await _end_votes(swarm, reason, call.caller.name)
    return len(circuits)


async def _end_votes(swarm: LiveSwarm, reason: str, person: str) -> None:
    """Votes whose members are gone: by the ballots that are there, and where those leave it to a
    person, undecided."""
    votes = swarm.state.votes
    for vote in list(votes):
        with suppress(UnknownId, Refused):  # It is over, or waits for a person.
            await swarm.ask(sound(c.CloseVote(now_ms=swarm.now_ms, vote=vote, reason=reason)))
        if vote in votes and votes[vote].referred:
            with suppress(UnknownId, Refused):
                await swarm.ask(
                    sound(
                        ResolveVote(
                            now_ms=swarm.now_ms,
                            vote=vote,
                            outcome=Decision.UNDECIDED,
                            person=person,
                            reason=reason,
                        )
                    )
                )
