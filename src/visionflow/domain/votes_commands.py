"""Commands of votes that go beyond opening, casting and closing."""

from visionflow.domain.command import Command


class ResolveVote(Command, frozen=True, tag="resolve_vote"):
    """A person decides a vote that was referred to one."""

    vote: str
    outcome: str
    """`approved`, `rejected` or `undecided`; of a vote with options, one of them or `undecided`."""
    person: str
    reason: str = ""


VotesCommand = ResolveVote
