"""Votes that tasks wait for, in words: on whose result, how far they are, who is to decide."""

from itertools import islice

from visionflow.engine.state import SwarmState, VoteState
from visionflow.interfaces.tools.moments import iso

TOLD_MAX = 3
"""Votes that are told of at once."""
QUESTION_CHARS_MAX = 100


def vote_on(state: SwarmState, root: str) -> VoteState | None:
    """The last vote on whether a task may complete, open or over; `None`: none is known."""
    votes = (*state.polls.over.values(), *state.votes.values())
    own = [vote for vote in votes if vote.spec.gates and vote.spec.task == root]
    return own[-1] if own else None


def referred_on(state: SwarmState, root: str) -> str | None:
    """That a person is to decide whether a task may complete, and how; `None`: nobody is to."""
    if root not in state.polls.gated:
        return None
    vote = vote_on(state, root)
    return None if vote is None or not vote.referred else _referred(vote)


def voted_on(state: SwarmState, root: str) -> str | None:
    """What a task that has a result waits for; `None`: there is no vote on it."""
    if root not in state.polls.gated:
        return None
    vote = vote_on(state, root)
    if vote is None or vote.ended_ms is not None:
        return None
    if vote.referred:
        return _referred(vote)
    members = len(vote.ballots)
    cast = sum(1 for choice in vote.ballots.values() if choice is not None)
    until = "" if vote.deadline_ms is None else f", and is closed at {iso(vote.deadline_ms)}"
    return f"Vote {vote.spec.id} on its result has {cast} of {members} ballots{until}."


def referred(state: SwarmState) -> list[str]:
    """Votes of a swarm that a person is to decide."""
    waiting = (vote for vote in state.votes.values() if vote.referred)
    return [_referred(vote) for vote in islice(waiting, TOLD_MAX)]


def _referred(vote: VoteState) -> str:
    spec, verdict = vote.spec, vote.verdict
    outcomes = "one of its options or undecided" if spec.options else "approved or rejected"
    said = ""
    if verdict is not None and not spec.options:
        tally = verdict.tally
        said = f" ({tally.approve} approve, {tally.reject} reject, {tally.abstain} abstain)"
    asked = f"({spec.question[:QUESTION_CHARS_MAX]})"
    on = f"on the result of {spec.task}" if spec.gates else asked
    return (
        f"Vote {spec.id} {on} waits for a person{said}: call daa_consensus with voteId {spec.id} "
        f"and decision, {outcomes}."
    )
