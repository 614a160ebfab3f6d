"""What a log line tells of each event of votes; it fills the table of `chronicle_words`."""

from collections import Counter

from visionflow.domain import events as e
from visionflow.domain.votes import Tally
from visionflow.domain.votes_events import VoteReferred
from visionflow.runtime.chronicle_words import REASON_CHARS_MAX, Known, Told, one_line, tells

SHOWN_MAX = 5


@tells("info", "agent", e.VoteOpened)
def _(event: e.VoteOpened, known: Known) -> Told:
    spec = event.spec
    members, options = len(spec.electorate), ", ".join(spec.options[:SHOWN_MAX])
    more = f", one of {options}" if options else ""
    told = f"{spec.id} in {known.swarm}: {members} members, by {spec.mechanism}{more}"
    return Told(None, "vote_opened", one_line(told, REASON_CHARS_MAX))


@tells("info", "agent", VoteReferred)
def _(event: VoteReferred, known: Known) -> Told:
    told = f"{event.vote} waits for a person: {_counts(event.tally)}"
    return Told(None, "vote_referred", told)


@tells("info", "agent", e.VoteDecided)
def _(event: e.VoteDecided, known: Known) -> Told:
    came_to = event.decision.value
    if event.chosen is not None:
        came_to = f"{came_to} {one_line(event.chosen, REASON_CHARS_MAX)}"
    by = "" if event.decider is None else f", by the ballot of {event.decider}"
    by = by if event.person is None else f", by {event.person}"
    counts = f"{came_to}: {_counts(event.tally)}{by}{_regraded(event)}"
    return Told(None, "vote_decided", f"{event.vote} {counts}")


def _regraded(event: e.VoteDecided) -> str:
    """Whose record changes, for how many results."""
    counts = Counter((each.agent, each.after) for each in event.regraded)
    return "".join(
        f"; in the record of {agent}, {count} now {after.value}"
        for (agent, after), count in counts.items()
    )


@tells("warning", "agent", e.BallotRefused)
def _(event: e.BallotRefused, known: Known) -> Told:
    return Told(event.member, "ballot_refused", one_line(event.message, REASON_CHARS_MAX))


def _counts(tally: Tally) -> str:
    counts = f"{tally.approve} approve, {tally.reject} reject, {tally.abstain} abstain"
    ranked = f", {tally.ranked} rank" if tally.ranked else ""
    return f"{counts}{ranked}, {tally.silent} silent"
