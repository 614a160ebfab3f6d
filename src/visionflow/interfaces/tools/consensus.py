"""The tool daa_consensus: put a proposal to agents, hear what came of it, or decide as a person.

The members are asked by tasks of type `cast_ballot`, and the engine counts. Who may not be asked
any more has no ballot; who measured nothing has abstained.
"""

import asyncio
from typing import Annotated, Any

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import Refused, UsageError
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import Payload
from visionflow.domain.votes import Matter
from visionflow.domain.votes_commands import ResolveVote
from visionflow.domain.votes_events import VoteReferred
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments
from visionflow.interfaces.tools.finding import find_agent, open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.patches import must_hold_change, results_of
from visionflow.interfaces.tools.proposing import ALL, Proposed, members_in, read_proposal
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.votes_told import Vote, find_vote, told
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

NAME = "daa_consensus"
TAKEN_BACK = "the call that opened it was taken back"


class Consensus(Arguments, frozen=True, kw_only=True):
    """Arguments of daa_consensus."""

    proposal: Annotated[
        dict[str, Any] | None,
        form(
            "object",
            "One of task_assignment, patch, task_result (a task's id), question; and options or "
            "candidates, voting_mechanism, threshold, quorum, timeout, conflict_resolution, "
            "capability.",
        ),
    ] = None
    agents: Annotated[tuple[str, ...], form("words", "all, or those that vote.")] = (ALL,)
    swarm_id: str | None = None
    wait: Annotated[bool, about("Until it is decided or referred to a person.")] = True
    vote_id: Annotated[str | None, about("A vote that there is, instead of a proposal.")] = None
    decision: Annotated[str | None, about("With voteId: what you decide, as the person.")] = None


class _Hearing:
    """Hears when a vote is decided or referred, by what is durable."""

    def __init__(self, swarm: LiveSwarm) -> None:
        self._swarm = swarm
        self._vote: str | None = None
        self.over = asyncio.Event()
        swarm.node.control.on_commit.append(self._committed)

    def hear_of(self, vote: str) -> None:
        """This is the vote; it may be over by now."""
        self._vote = vote
        found = self._swarm.state.votes.get(vote)
        if found is None or found.referred:
            self.over.set()

    def close(self) -> None:
        """Hear nothing more."""
        self._swarm.node.control.on_commit.remove(self._committed)

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, e.VoteDecided | VoteReferred) and event.vote == self._vote:
                self.over.set()


class ConsensusTool:
    """The tool of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def run(self, call: Call, given: Consensus) -> Vote:
        """Open a vote and tell of it; or of one that there is, which a person may decide."""
        swarm = open_swarm(self._server, call, given.swarm_id)
        if (given.vote_id is None) == (given.proposal is None) or (
            given.decision is not None and given.vote_id is None
        ):
            raise UsageError(
                "Give a proposal; or the voteId of a vote that there is, and your decision where "
                "it was referred to a person."
            )
        hearing = _Hearing(swarm)
        try:
            vote = given.vote_id
            if given.proposal is not None:
                vote = await self._open(call, given, swarm, read_proposal(given.proposal))
            elif given.decision is not None:
                await self._resolve(call, swarm, vote or "", given.decision)
            assert vote is not None
            find_vote(swarm.state, vote)
            hearing.hear_of(vote)
            if given.wait and not hearing.over.is_set():
                call.took_effect()
                await self._wait(call, swarm, vote, hearing, given.proposal is not None)
        finally:
            hearing.close()
        call.saw(swarm)
        found = told(swarm.state, vote)
        judged = find_vote(swarm.state, vote).spec.task
        if judged is None:
            return found
        # What members say of a run is kept as free of the secrets that it found as its report is.
        said: list[Any] = [[each.reason, each.facts] for each in found.ballots]
        said = await self._server.jobs.veiled([judged], said, at_once=True)
        ballots = [
            msgspec.structs.replace(each, reason=reason, facts=facts)
            for each, (reason, facts) in zip(found.ballots, said, strict=True)
        ]
        return msgspec.structs.replace(found, ballots=ballots)

    async def _open(self, call: Call, given: Consensus, swarm: LiveSwarm, asked: Proposed) -> str:
        members = self._members(call, swarm, given.agents)
        candidates = ()
        if asked.matter is Matter.TASK_ASSIGNMENT:
            candidates = self._members(call, swarm, asked.options)
        if asked.matter is Matter.PATCH and asked.judged is not None:
            results = results_of(swarm.state, asked.judged)
            await asyncio.to_thread(must_hold_change, results, swarm.blobs)
        shown = Payload(inline=msgspec.msgpack.encode(given.proposal))
        spec = sound(asked.spec(swarm.node.intake.new_id("vote"), members, candidates, shown))
        command = command_id(call, NAME)

        async def make() -> str:
            opening = c.OpenVote(now_ms=swarm.now_ms, command=command, spec=spec)
            return (await swarm.ask(opening)).subject or spec.id

        return await recorded(
            self._server, call, NAME, make, swarm=swarm, subject=lambda vote: vote, command=command
        )

    def _members(self, call: Call, swarm: LiveSwarm, names: tuple[str, ...]) -> tuple[str, ...]:
        def find(name: str) -> str:
            return find_agent(self._server, call, name, swarm.id)[1].spec.id

        return members_in(swarm.state, names, find)

    async def _resolve(self, call: Call, swarm: LiveSwarm, vote: str, decision: str) -> None:
        person = call.caller.name
        command = command_id(call, NAME)

        async def make() -> None:
            resolving = ResolveVote(
                now_ms=swarm.now_ms, command=command, vote=vote, outcome=decision, person=person
            )
            await swarm.ask(resolving)

        await recorded(self._server, call, NAME, make, swarm=swarm, subject=vote, command=command)

    async def _wait(
        self, call: Call, swarm: LiveSwarm, vote: str, hearing: _Hearing, begun_here: bool
    ) -> None:
        over = asyncio.ensure_future(hearing.over.wait())
        gone = asyncio.ensure_future(call.cancelled.wait())
        try:
            await asyncio.wait((over, gone), return_when=asyncio.FIRST_COMPLETED)
            if not over.done() and begun_here and call.taken_back:
                try:
                    closing = c.CloseVote(now_ms=swarm.now_ms, vote=vote, reason=TAKEN_BACK)
                    await swarm.ask(closing)
                except Refused:
                    pass  # It ended meanwhile.
            call.provisional = not hearing.over.is_set()
        finally:
            over.cancel()
            gone.cancel()


def consensus(server: Server) -> AnyTool:
    """daa_consensus."""
    return Tool(
        name=NAME,
        group="coordination",
        summary="Have agents vote on a proposal, on evidence of their own.",
        arguments=Consensus,
        result=Vote,
        roles=OPERATORS,
        run=ConsensusTool(server).run,
        example={
            "agents": "all",
            "proposal": {"task_assignment": "auth-service", "voting_mechanism": "weighted"},
        },
        long=True,
    )
