"""What a log line tells of what an assignment rests on; it fills the table of `chronicle_words`."""

from visionflow.domain import assigning_events as ae
from visionflow.runtime.chronicle_words import Known, Told, tells


@tells("debug", "task", ae.TokenPassed)
def _(event: ae.TokenPassed, known: Known) -> Told:
    before = "" if event.before is None else f" from {event.before}"
    over = "" if not event.over else f", over {event.over} that were passed over"
    named = ", which it names" if event.pinned else ""
    told = f"the token goes{before} to {event.agent} for {known.task(event.task)}{named}{over}"
    return Told(event.agent, "token_passed", told)


@tells("debug", "task", ae.BidsPlaced)
def _(event: ae.BidsPlaced, known: Known) -> Told:
    won = next(bid for bid in event.bids if bid.agent == event.agent)
    others = f"best of {len(event.bids)} of {event.able} that could"
    told = f"{event.agent} bids {won.total_bp / 100:.0f} % for {known.task(event.task)}, {others}"
    return Told(event.agent, "bids_placed", told)
