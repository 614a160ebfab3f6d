"""A vote as faces tell of it: how it stands, each ballot with its evidence, tally and dissent."""

from typing import Any, cast

import msgspec

from visionflow.domain.errors import UnknownId
from visionflow.domain.votes import Decision
from visionflow.engine.decide.balloting import cast_of
from visionflow.engine.state import SwarmState, VoteState
from visionflow.engine.voting import FULL_BP, side_of
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.moments import iso, iso_or_none


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


class Vote(Result, frozen=True, kw_only=True):
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


def find_vote(state: SwarmState, vote: str) -> VoteState:
    """A vote that is open or was decided lately.

    Raises:
        UnknownId: there is none.
    """
    found = state.votes.get(vote) or state.polls.over.get(vote)
    if found is None:
        more = f": it was {state.decided[vote]}" if vote in state.decided else ""
        raise UnknownId(
            f"There is no vote {vote[:100]!r} here of which the ballots are known{more}."
        )
    return found


def told(state: SwarmState, vote: str) -> Vote:
    """A vote, as far as it is.

    Raises:
        UnknownId: there is none of which the ballots are known.
    """
    found = find_vote(state, vote)
    spec, verdict = found.spec, found.verdict
    final = verdict if found.ended_ms is not None else None
    weights = dict(zip(spec.electorate, spec.weights, strict=False))
    ballots = [_ballot(found, member, weights.get(member)) for member in spec.electorate]
    scale = FULL_BP if spec.mechanism == "weighted" else 1
    return Vote(
        vote_id=vote,
        swarm_id="" if state.spec is None else state.spec.id,
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
