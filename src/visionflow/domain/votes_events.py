"""Events of votes that go beyond ballots and a decision."""

from visionflow.domain.event import Event
from visionflow.domain.votes import Tally


class VoteReferred(Event, frozen=True, tag="vote_referred"):
    """The ballots decide nothing, and a person is to decide. No further ballot counts."""

    vote: str
    tally: Tally
    reason: str
    """What ended the casting of ballots."""
    shares: dict[str, int] = {}  # noqa: RUF012
    command: str | None = None


VotesEvent = VoteReferred
