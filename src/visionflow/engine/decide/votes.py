"""Decisions about votes: the electorate, its ballots, and what they come to.

The electorate is fixed when a vote is opened. Whoever is not in it, casts a second ballot or comes
late is refused on record. Ballots are counted, never weighed by when they came, so the same
ballots in any order decide the same. What a ballot rests on is for whoever reads the log.
"""

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import LimitReached, Refused, UnknownId
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    ELECTORATE_MAX,
    INLINE_BYTES_MAX,
    VOTES_OPEN_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.tasks import TaskStatus
from visionflow.domain.votes import (
    Cast,
    Choice,
    Decision,
    Matter,
    Mechanism,
    Resolution,
    Tally,
    VoteSpec,
)
from visionflow.domain.votes_commands import ResolveVote
from visionflow.engine.decide import balloting
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.table import RefusedOnRecord, decides
from visionflow.engine.state import SwarmState, VoteState
from visionflow.engine.voting import MECHANISMS, is_ballot_for, tally_of

Events = list[AnyEvent]
OPTIONS_MAX = 100
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING)
FINAL = ("approved", "rejected", "undecided")


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
    _sound(spec)
    if spec.matter is Matter.TASK_ASSIGNMENT:
        for name in spec.options:
            if name not in state.agents:
                raise UnknownId(f"{spec.id} names the candidate {name}; no such agent is alive.")
    results = _results(state, spec)
    if spec.asked:
        _room(state, spec)
    return balloting.opening(state, spec, command.command, results)


def _sound(spec: VoteSpec) -> None:
    terms, options = spec.terms, spec.options
    wrong = None
    if spec.gates or spec.weights:
        wrong = "says itself what the engine says: what it gates, or what ballots are worth"
    elif len(options) > OPTIONS_MAX:
        wrong = f"has {len(options)} options; {OPTIONS_MAX} are the most"
    elif len(dict.fromkeys(options)) < len(options):
        wrong = "names an option twice"
    elif any(not 0 < len(each) <= WORD_CHARS_MAX for each in options):
        sizes = [len(each) for each in options]
        wrong = f"has an option of {max(sizes) if min(sizes) else 0} characters; they have 1 to "
        wrong += str(WORD_CHARS_MAX)
    elif options and any(each in FINAL or each in ("approve", "reject") for each in options):
        wrong = "has an option that is the name of a decision"
    elif spec.mechanism is Mechanism.RANKED and not options:
        wrong = "is ranked and has no options"
    elif spec.mechanism is Mechanism.CONSENT and options:
        wrong = "is by consent, which approves or rejects, and has options"
    elif terms.resolution is Resolution.EXPERT_PRIORITY and spec.seats:
        wrong = "asks for the expert among seats, which have no record"
    elif spec.proposal.blob:
        wrong = "shows its members what is too large"
    elif spec.asked and spec.seats:
        wrong = "asks seats, which are no agents"
    else:
        wrong = balloting.wrong_terms(spec)
    if wrong is not None:
        raise Refused(f"Vote {spec.id} {wrong}.", code="usage")


def _room(state: SwarmState, spec: VoteSpec) -> None:
    """Each member is asked by a task."""
    count = len(spec.electorate)
    most = 0 if state.spec is None else state.spec.limits.queue_max
    if state.live + count > most:
        raise LimitReached(
            f"{spec.id} asks {count} members; {state.live} tasks are not finished, and {most} are "
            "the most.",
            hint="Wait for some to finish.",
            retry_after_ms=1_000,
        )
    for number in range(1, count + 1):
        task = balloting.task_for(spec.id, number)
        if task in state.tasks or task in state.finished:
            raise Refused(f"There is a task {task} already.", code="duplicate_id")


def _results(state: SwarmState, spec: VoteSpec) -> tuple[str, ...]:
    """The results that the members are given.

    Raises:
        UnknownId: what is voted on is not known (any more).
        Refused: it has no result.
    """
    if spec.task is None:
        return ()
    task = state.tasks.get(spec.task)
    if task is None:
        raise UnknownId(f"{spec.id} is about task {spec.task}, of which nothing is known.")
    if task.status is not TaskStatus.COMPLETED:
        raise Refused(
            f"{spec.id} is about task {spec.task}, which is {task.status} and has no result.",
            code="no_result",
            hint="Vote once it has completed.",
        )
    return (spec.task,) if task.plan is None else Closing(state).results_of(spec.task)


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
        if spec.asked and state.agents[member].status in GONE:
            raise UnknownId(
                f"{spec.id} asks for the ballot of {member}, which is "
                f"{state.agents[member].status} and answers nothing.",
                hint="Leave it out, or restart it first.",
            )


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
    if vote.referred:
        raise _refused(command, "late_ballot", "a person is to decide")
    if vote.ballots[command.member] is not None:
        raise _refused(command, "second_ballot", "it has cast one already")
    cast = Cast(command.choice, command.ranking)
    wrong = is_ballot_for(vote.spec, cast)
    if wrong is not None or (vote.spec.asked and not command.evidence):
        why = wrong or "it gives no evidence, and so could only abstain"
        raise Refused(f"The ballot of {command.member} on {command.vote}: {why}.", code="usage")
    closing = Closing(state)
    closing.events.append(
        e.BallotCast(
            vote=command.vote,
            member=command.member,
            choice=command.choice,
            evidence=command.evidence,
            reason=command.reason,
            facts=command.facts,
            command=command.command,
            ranking=command.ranking,
        )
    )
    balloting.cast_now(closing, vote, command.member, cast)
    return closing.events


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
    refused = balloting.refused(command.vote, command.member, command.choice, code, why)
    event = msgspec.structs.replace(refused, command=command.command)
    return RefusedOnRecord(event, code, event.message)


def _still_open(state: SwarmState, name: str) -> VoteState:
    vote = state.votes.get(name)
    if vote is not None:
        return vote
    if name in state.decided:
        raise Refused(f"Vote {name} is over: {state.decided[name]}.", code="already_ended")
    raise UnknownId(f"There is no vote {name}.")


@decides(c.CloseVote)
def _(state: SwarmState, command: c.CloseVote) -> Events:
    vote = _still_open(state, command.vote)
    if vote.referred:
        raise Refused(
            f"Vote {command.vote} waits for a person.",
            code="referred",
            hint="Decide it: its outcome is one of its options, or approved, rejected, undecided.",
        )
    closing = Closing(state)
    balloting.decide(closing, vote, command.reason, command.command)
    return closing.events


@decides(ResolveVote)
def _(state: SwarmState, command: ResolveVote) -> Events:
    vote = _still_open(state, command.vote)
    if not vote.referred or vote.verdict is None:
        raise Refused(
            f"Vote {command.vote} is open, and its members decide it.",
            code="not_referred",
            hint="A person decides where conflictResolution is human and the ballots do not.",
        )
    spec, outcome = vote.spec, command.outcome
    allowed = (*spec.options, "undecided") if spec.options else FINAL
    if outcome not in allowed:
        raise Refused(
            f"{outcome!r:.100} is no outcome of {command.vote}.",
            code="usage",
            hint=f"It is one of {', '.join(allowed)}.",
        )
    chosen = outcome if outcome in spec.options else None
    decision = Decision.CHOSEN if chosen is not None else Decision(outcome)
    closing = Closing(state)
    closing.voted[command.vote] = decision
    closing.events.append(
        e.VoteDecided(
            vote=command.vote,
            decision=decision,
            tally=vote.verdict.tally,
            reason=command.reason or "a person decided",
            command=command.command,
            chosen=chosen,
            shares=vote.verdict.shares,
            person=command.person,
            regraded=balloting.regraded(closing, spec, decision),
        )
    )
    balloting.settle(closing, spec, decision, vote.verdict.tally, by_person=True)
    return closing.events


__all__ = ["MECHANISMS", "Choice", "Tally", "VoteState", "tally_of"]
