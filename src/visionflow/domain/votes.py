"""Votes: a question to a fixed electorate, how it is decided, and the words for ballots."""

from enum import StrEnum

import msgspec


class Mechanism(StrEnum):
    """How the ballots of a vote decide it."""

    MAJORITY = "majority"
    """The side with more ballots among those that approve or reject; a tie decides nothing."""
    CONSENT = "consent"
    """One ballot that rejects is enough to reject; else one that approves is enough to approve.
    For members whose evidence differs in kind, so that none can outvote another's."""


class Choice(StrEnum):
    """What a ballot says."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSTAIN = "abstain"
    """The member has no evidence either way."""


class Decision(StrEnum):
    """What a vote came to."""

    APPROVED = "approved"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


class VoteStatus(StrEnum):
    """Where a vote stands."""

    OPEN = "open"
    DECIDED = "decided"


class VoteSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A vote as it was opened. Nothing in it changes after that."""

    id: str
    question: str
    electorate: tuple[str, ...]
    """Ids of the agents that have a ballot each, whatever becomes of them later."""
    mechanism: Mechanism = Mechanism.MAJORITY
    seats: bool = False
    """The members are seats of a plan, whoever sits on them, and not agents by their ids."""


class Tally(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How many of an electorate said what."""

    approve: int = 0
    reject: int = 0
    abstain: int = 0
    silent: int = 0
    """Members without a ballot."""
