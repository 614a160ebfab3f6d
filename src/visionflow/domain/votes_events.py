"""Events of votes that go beyond ballots."""

from visionflow.domain.event import Event
from visionflow.domain.votes import Decision, Regraded, Tally


class VoteReferred(Event, frozen=True, tag="vote_referred"):
    """The ballots decide nothing, and a person is to decide. No further ballot counts."""

    vote: str
    tally: Tally
    reason: str
    """What ended the casting of ballots."""
    shares: dict[str, int] = {}  # noqa: RUF012
    command: str | None = None


class VoteDecided(Event, frozen=True, tag="vote_decided"):
    """Every member has cast a ballot, or the vote was closed. This stands for good."""

    vote: str
    decision: Decision
    tally: Tally
    reason: str
    """What ended the vote."""
    command: str | None = None
    chosen: str | None = None
    """Of one with options: which."""
    shares: dict[str, int] = {}  # noqa: RUF012
    """What each side got, as its mechanism counts; nothing of votes that only approve or reject by
    majority or consent."""
    decider: str | None = None
    """The member whose ballot decided where the ballots together did not."""
    person: str | None = None
    """Who decided it after it was referred to a person."""
    regraded: tuple[Regraded, ...] = ()
    """Of the results that it was about, those that count as something else in their makers' records
    from now on."""


VotesEvent = VoteReferred | VoteDecided
