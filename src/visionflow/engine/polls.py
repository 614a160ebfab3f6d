"""What the state of a swarm knows of votes whose members are asked, and of plans that wait for
one. Facts, like those of `state`."""

import msgspec

from visionflow.domain.tasks import NOTHING, Payload
from visionflow.domain.votes import Choice, Decision, Tally, VoteSpec

OVER_MAX = 256
"""Votes that are over and of which every ballot is still known."""


class Said(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A ballot with what it rests on."""

    evidence: str
    reason: str = ""
    facts: Payload = NOTHING
    ranking: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a vote came to, or what its ballots say while a person is to decide."""

    decision: Decision
    tally: Tally
    reason: str
    chosen: str | None = None
    shares: dict[str, int] = {}
    decider: str | None = None
    person: str | None = None


class VoteState(msgspec.Struct, gc=False, omit_defaults=True):
    """A vote that is open. What its ballots rest on stands in the log alone, but for those whose
    members are asked."""

    spec: VoteSpec
    ballots: dict[str, Choice | None]
    """Each member of the electorate; `None` until it has cast its ballot."""
    rankings: dict[str, tuple[str, ...]] = {}
    said: dict[str, Said] = {}
    opened_ms: int = 0
    deadline_ms: int | None = None
    tasks: tuple[str, ...] = ()
    referred: bool = False
    """A person is to decide."""
    verdict: Verdict | None = None
    ended_ms: int | None = None


class Polls(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while nothing of it has happened, and then no part of the digest."""

    asked: dict[str, tuple[str, str]] = {}
    """Tasks that ask for a ballot and have not ended: the vote, and the member."""
    over: dict[str, VoteState] = {}
    """Votes that are over and whose members were asked, oldest first."""
    gated: dict[str, VoteSpec] = {}
    """Plans that have not ended and complete as a vote on their result says."""
    authors: dict[str, dict[str, None]] = {}
    """Of each of those, the agents that completed a part."""
