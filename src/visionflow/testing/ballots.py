"""What a log may say of votes: part of the checkers, and as they, apart from the engine.

Each ballot that counts is of a member that had none, while the vote was open; what a vote came to
is recomputed from its ballots; a refusal has the reason that the log bears out.
"""

from collections import Counter
from collections.abc import Container, Iterator
from typing import Any

Fact = dict[str, Any]


class VoteLine:
    """What the log says of one vote."""

    def __init__(self, electorate: list[str], consent: bool) -> None:
        self.electorate = electorate
        self.consent = consent
        """Whether one that rejects is enough to reject."""
        self.ballots: dict[str, str] = {}
        self.decision: str | None = None


class VoteCheck:
    """Feed it each event about votes, in order."""

    def __init__(self) -> None:
        self.votes: dict[str, VoteLine] = {}

    def event(self, kind: str, event: Fact, agents: Container[str]) -> Iterator[str]:
        """What is wrong with this event; `agents` are those that are alive."""
        if kind == "vote_opened":
            yield from self._opened(event["spec"], agents)
            return
        vote = self.votes.get(event["vote"])
        if vote is None:
            yield f"{kind} of {event['vote']}, which was never opened"
        elif kind == "ballot_cast":
            yield from _cast(vote, event)
        elif kind == "ballot_refused":
            right = _why(vote, event["member"])
            if event["code"] != right:
                yield f"a ballot of {event['member']} is refused as {event['code']}, not {right}"
        else:
            yield from _decided(vote, event)

    def _opened(self, spec: Fact, agents: Container[str]) -> Iterator[str]:
        name, electorate = spec["id"], list(spec["electorate"])
        if name in self.votes:
            yield f"vote {name} is opened twice"
        if not electorate or len(set(electorate)) < len(electorate):
            yield f"vote {name} has the electorate {electorate}"
        for member in electorate:
            if member not in agents and not spec.get("seats"):
                yield f"vote {name} is opened for {member}, which is not there"
        self.votes[name] = VoteLine(electorate, spec.get("mechanism") == "consent")


def _why(vote: VoteLine, member: str) -> str | None:
    """Why a ballot does not count now; `None`: it does."""
    if vote.decision is not None:
        return "late_ballot"
    if member not in vote.electorate:
        return "stranger"
    return "second_ballot" if member in vote.ballots else None


def _cast(vote: VoteLine, event: Fact) -> Iterator[str]:
    wrong = _why(vote, event["member"])
    if wrong is not None:
        yield f"a ballot of {event['member']} on {event['vote']} counts and is a {wrong}"
    vote.ballots[event["member"]] = event["choice"]


def _decided(vote: VoteLine, event: Fact) -> Iterator[str]:
    name = event["vote"]
    if vote.decision is not None:
        yield f"vote {name} is decided twice"
    counts = Counter(vote.ballots.values())
    approve, reject = counts["approve"], counts["reject"]
    right = "undecided"
    if vote.consent and reject:
        right = "rejected"
    elif approve != reject:
        right = "approved" if approve > reject else "rejected"
    if event["decision"] != right:
        yield f"vote {name} is {event['decision']} with {dict(sorted(counts.items()))}"
    said = event.get("tally", {})
    silent = len(vote.electorate) - len(vote.ballots)
    expected = {**counts, "silent": silent}
    if {k: v for k, v in said.items() if v} != {k: v for k, v in expected.items() if v}:
        yield f"vote {name} counts {said}; its ballots are {expected}"
    vote.decision = event["decision"]
