"""The tool daa_consensus: put a proposal to agents, hear what came of it, or decide as a person.

The members are asked by tasks of type `cast_ballot`, and the engine counts. Who may not be asked
any more has no ballot; who measured nothing has abstained.
"""

import asyncio
from typing import Annotated, Any, cast

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.access import OPERATORS
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import Refused, UnknownId, UsageError
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import Payload
from visionflow.domain.votes import Decision, Matter, VoteSpec
from visionflow.domain.votes_commands import ResolveVote
from visionflow.domain.votes_events import VoteReferred
from visionflow.engine.decide.balloting import cast_of
from visionflow.engine.state import VoteState
from visionflow.engine.voting import FULL_BP, side_of
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import find_agent, open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.moments import iso, iso_or_none
from visionflow.interfaces.tools.patches import must_hold_change
from visionflow.interfaces.tools.proposing import Proposed, read_proposal
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

NAME = "daa_consensus"
ALL = "all"
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)
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


class CastBallot(Result, frozen=True, kw_only=True):
    """A member's ballot; its choice is null while it has none."""

    agent_id: str
    choice: str | None
    ranking: list[str]
    evidence: str | None
    reason: str | None
    facts: dict[str, Any] | None
    weight: float | None


class Side(Result, frozen=True, kw_only=True):
    """What a side got, as the mechanism counts."""

    side: str
    got: float


class Counted(Result, frozen=True, kw_only=True):
    """How many of the electorate said what."""

    approve: int
    reject: int
    ranked: int
    abstain: int
    silent: int


class VoteReply(Result, frozen=True, kw_only=True):
    """A vote, as far as it is."""

    vote_id: str
    swarm_id: str
    status: str
    decision: str | None
    chosen: str | None
    reason: str | None
    question: str
    mechanism: str
    threshold: float | None
    conflict_resolution: str
    electorate: list[str]
    ballots: list[CastBallot]
    dissent: list[str]
    tally: Counted | None
    sides: list[Side]
    decided_by: str | None
    opened_at: str
    closes_at: str | None
    decided_at: str | None


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

    async def run(self, call: Call, given: Consensus) -> VoteReply:
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
            _find(swarm, vote)
            hearing.hear_of(vote)
            if given.wait and not hearing.over.is_set():
                call.took_effect()
                await self._wait(call, swarm, vote, hearing, given.proposal is not None)
        finally:
            hearing.close()
        call.saw(swarm)
        found = _told(swarm, vote, _find(swarm, vote))
        judged = _find(swarm, vote).spec.task
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
        options = asked.options
        if asked.matter is Matter.TASK_ASSIGNMENT:
            options = self._members(call, swarm, options) if options else members
        judged = asked.matter in (Matter.PATCH, Matter.TASK_RESULT)
        if asked.matter is Matter.PATCH:
            await must_hold_change(swarm, str(asked.about))
        spec = sound(
            VoteSpec(
                swarm.node.intake.new_id("vote"),
                asked.question,
                members,
                asked.mechanism,
                matter=asked.matter,
                options=options,
                terms=asked.terms,
                asked=True,
                proposal=Payload(inline=msgspec.msgpack.encode(given.proposal)),
                task=asked.about if judged else None,
            )
        )
        command = command_id(call, NAME)

        async def make() -> str:
            opening = c.OpenVote(now_ms=swarm.now_ms, command=command, spec=spec)
            return (await swarm.ask(opening)).subject or spec.id

        return await recorded(
            self._server, call, NAME, make, swarm=swarm, subject=lambda vote: vote, command=command
        )

    def _members(self, call: Call, swarm: LiveSwarm, names: tuple[str, ...]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for name in names:
            if name == ALL:
                alive = swarm.state.agents.items()
                found.update((each, None) for each, agent in alive if agent.status not in GONE)
            else:
                found[find_agent(self._server, call, name, swarm.id)[1].spec.id] = None
        return tuple(found)

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


def _find(swarm: LiveSwarm, vote: str) -> VoteState:
    state = swarm.state
    found = state.votes.get(vote) or state.polls.over.get(vote)
    if found is None:
        more = f": it was {state.decided[vote]}" if vote in state.decided else ""
        raise UnknownId(
            f"There is no vote {vote[:100]!r} here of which the ballots are known{more}."
        )
    return found


def _told(swarm: LiveSwarm, vote: str, found: VoteState) -> VoteReply:
    spec, verdict = found.spec, found.verdict
    final = verdict if found.ended_ms is not None else None
    weights = dict(zip(spec.electorate, spec.weights, strict=False))
    ballots = [_ballot(found, member, weights.get(member)) for member in spec.electorate]
    scale = FULL_BP if spec.mechanism == "weighted" else 1
    return VoteReply(
        vote_id=vote,
        swarm_id=swarm.id,
        status="referred" if found.referred else "open" if final is None else "decided",
        decision=None if final is None else final.decision.value,
        chosen=None if final is None else final.chosen,
        reason=None if verdict is None else verdict.reason,
        question=spec.question,
        mechanism=spec.mechanism.value,
        threshold=spec.terms.threshold_bp / FULL_BP if spec.terms.threshold_bp else None,
        conflict_resolution=spec.terms.resolution.value,
        electorate=list(spec.electorate),
        ballots=ballots,
        dissent=_dissent(found),
        tally=None
        if verdict is None
        else Counted(
            approve=verdict.tally.approve,
            reject=verdict.tally.reject,
            ranked=verdict.tally.ranked,
            abstain=verdict.tally.abstain,
            silent=verdict.tally.silent,
        ),
        sides=[
            Side(side=side, got=got / scale)
            for side, got in (verdict.shares.items() if verdict is not None else ())
        ],
        decided_by=None if final is None else final.person or final.decider,
        opened_at=iso(found.opened_ms),
        closes_at=iso_or_none(found.deadline_ms if final is None else None),
        decided_at=iso_or_none(found.ended_ms),
    )


def _ballot(found: VoteState, member: str, weight: int | None) -> CastBallot:
    choice, said = found.ballots[member], found.said.get(member)
    body = None if said is None else said.facts.inline
    facts = None if body is None else cast("dict[str, Any]", msgspec.msgpack.decode(body))
    return CastBallot(
        agent_id=member,
        choice=None if choice is None else choice.value,
        ranking=[] if said is None else list(said.ranking),
        evidence=None if said is None else said.evidence,
        reason=None if said is None else said.reason,
        facts=facts,
        weight=None if weight is None else weight / FULL_BP,
    )


def _dissent(found: VoteState) -> list[str]:
    """Members whose ballot is for another side than the one that won."""
    verdict = found.verdict
    if verdict is None or found.ended_ms is None or verdict.decision is Decision.UNDECIDED:
        return []
    won = {Decision.APPROVED: "approve", Decision.REJECTED: "reject"}.get(verdict.decision)
    side = won or verdict.chosen
    return [
        member
        for member, choice in found.ballots.items()
        if choice is not None
        and choice != "abstain"
        and side_of(cast_of(found, member, choice)) != side
    ]


def consensus(server: Server) -> AnyTool:
    """daa_consensus."""
    return Tool(
        name=NAME,
        group="coordination",
        summary="Have agents vote on a proposal, on evidence of their own.",
        arguments=Consensus,
        result=VoteReply,
        roles=OPERATORS,
        run=ConsensusTool(server).run,
        example={
            "agents": "all",
            "proposal": {"task_assignment": "auth-service", "voting_mechanism": "weighted"},
        },
        long=True,
    )
