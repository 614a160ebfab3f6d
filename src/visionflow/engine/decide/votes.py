"""Decisions about votes: the electorate, its ballots, and what they come to.

The electorate is fixed when a vote is opened. Whoever is not in it, casts a second ballot or comes
late is refused on record. Ballots are counted, never weighed by when they came, so the same
ballots in any order decide the same. What a ballot rests on is for whoever reads the log.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.errors import LimitReached, Refused, UnknownId
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    ELECTORATE_MAX,
    INLINE_BYTES_MAX,
    VOTES_OPEN_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.votes import Choice, Decision, Mechanism, Tally, VoteSpec
from visionflow.engine.decide.table import RefusedOnRecord, decides
from visionflow.engine.state import SwarmState, VoteState

Events = list[AnyEvent]
ALL_CAST = "every member has cast a ballot"


def _majority(tally: Tally) -> Decision:
    if tally.approve == tally.reject:
        return Decision.UNDECIDED
    return Decision.APPROVED if tally.approve > tally.reject else Decision.REJECTED


def _consent(tally: Tally) -> Decision:
    if tally.reject:
        return Decision.REJECTED
    return Decision.APPROVED if tally.approve else Decision.UNDECIDED


MECHANISMS: dict[Mechanism, Callable[[Tally], Decision]] = {
    Mechanism.MAJORITY: _majority,
    Mechanism.CONSENT: _consent,
}


def tally_of(ballots: Iterable[Choice | None]) -> Tally:
    """How many members said what; `None` is one that said nothing."""
    counts = Counter(ballots)
    return Tally(
        counts[Choice.APPROVE], counts[Choice.REJECT], counts[Choice.ABSTAIN], counts[None]
    )


@decides(c.OpenVote)
def _(state: SwarmState, command: c.OpenVote) -> Events:
    spec = command.spec
    if state.spec is None or state.closed is not None:
        raise Refused("The swarm takes no votes: it is closed.", code="swarm_closed")
    if spec.id in state.votes or spec.id in state.decided:
        raise Refused(f"There is a vote {spec.id} already.", code="duplicate_id")
    if len(state.votes) >= VOTES_OPEN_MAX:
        raise LimitReached(
            f"{len(state.votes)} votes are open; that is the most.", hint="Close some first."
        )
    _electorate(state, spec)
    if len(spec.id) > WORD_CHARS_MAX or len(spec.question) > INLINE_BYTES_MAX:
        raise Refused(
            f"The id of a vote has at most {WORD_CHARS_MAX} characters, its question "
            f"{INLINE_BYTES_MAX}.",
            code="payload_too_large",
        )
    return [e.VoteOpened(spec=spec, command=command.command)]


def _electorate(state: SwarmState, spec: VoteSpec) -> None:
    members = spec.electorate
    if not members:
        raise Refused(
            f"Nobody may vote on {spec.id}: its electorate is empty.",
            code="no_electorate",
            hint="Name at least one agent.",
        )
    if len(members) > ELECTORATE_MAX:
        raise LimitReached(
            f"{len(members)} members are too many for one vote; {ELECTORATE_MAX} are the most."
        )
    if len(dict.fromkeys(members)) < len(members):
        raise Refused(f"The electorate of {spec.id} names a member twice.", code="usage")
    for member in members:
        if not spec.seats and member not in state.agents:
            raise UnknownId(f"{spec.id} asks for the ballot of {member}; no such agent is alive.")


@decides(c.CastBallot)
def _(state: SwarmState, command: c.CastBallot) -> Events:
    vote = state.votes.get(command.vote)
    if vote is None and command.vote not in state.decided:
        raise UnknownId(f"There is no vote {command.vote}.")
    _acceptable(command)
    if vote is None:
        decision = state.decided[command.vote]
        raise _refused(command, "late_ballot", f"the vote is over: {decision}")
    if command.member not in vote.ballots:
        raise _refused(command, "stranger", "it is not in the electorate")
    if vote.ballots[command.member] is not None:
        raise _refused(command, "second_ballot", "it has cast one already")
    events: Events = [
        e.BallotCast(
            vote=command.vote,
            member=command.member,
            choice=command.choice,
            evidence=command.evidence,
            reason=command.reason,
            facts=command.facts,
            command=command.command,
        )
    ]
    after = {**vote.ballots, command.member: command.choice}
    if None not in after.values():
        events.append(_decide(vote, after.values(), ALL_CAST))
    return events


def _acceptable(command: c.CastBallot) -> None:
    facts = command.facts.inline
    long = max(len(command.member), len(command.evidence)) > WORD_CHARS_MAX
    if long or max(len(command.reason), len(facts or b"")) > INLINE_BYTES_MAX:
        raise Refused(
            f"A ballot names its evidence in at most {WORD_CHARS_MAX} characters; its reason has "
            f"at most {INLINE_BYTES_MAX}, and facts above that many bytes travel by blob.",
            code="payload_too_large",
        )


def _refused(command: c.CastBallot, code: str, why: str) -> RefusedOnRecord:
    message = f"The ballot of {command.member} on {command.vote} is refused: {why}."
    event = e.BallotRefused(
        vote=command.vote,
        member=command.member,
        choice=command.choice,
        code=code,
        message=message,
        command=command.command,
    )
    return RefusedOnRecord(event, code, message)


@decides(c.CloseVote)
def _(state: SwarmState, command: c.CloseVote) -> Events:
    vote = state.votes.get(command.vote)
    if vote is None and command.vote in state.decided:
        decision = state.decided[command.vote]
        raise Refused(f"Vote {command.vote} is over: {decision}.", code="already_ended")
    if vote is None:
        raise UnknownId(f"There is no vote {command.vote}.")
    return [_decide(vote, vote.ballots.values(), command.reason, command.command)]


def _decide(
    vote: VoteState, ballots: Iterable[Choice | None], reason: str, command: str | None = None
) -> e.VoteDecided:
    tally = tally_of(ballots)
    decision = MECHANISMS[vote.spec.mechanism](tally)
    return e.VoteDecided(
        vote=vote.spec.id, decision=decision, tally=tally, reason=reason, command=command
    )
