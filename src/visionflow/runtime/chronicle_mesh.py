"""What a log line tells of each event of a mesh; it fills the table of `chronicle_words`."""

from visionflow.domain import mesh_events as me
from visionflow.runtime.chronicle_words import REASON_CHARS_MAX, Known, Told, one_line, tells

NAMES_MAX = 5


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:NAMES_MAX])
    return shown if len(names) <= NAMES_MAX else f"{shown} and {len(names) - NAMES_MAX} more"


@tells("debug", "task", me.AuctionOpened)
def _(event: me.AuctionOpened, known: Known) -> Told:
    told = f"{known.task(event.task)} attempt {event.attempt} is bid for by {len(event.seats)}"
    return Told(None, "auction_opened", f"{told} peers")


@tells("info", "task", me.AuctionSettled)
def _(event: me.AuctionSettled, known: Known) -> Told:
    won = next((bid.total_bp for bid in event.bids if bid.agent == event.agent), None)
    bid = "" if won is None else f" with {won / 10_000:.2f}"
    told = f"{known.task(event.task)} attempt {event.attempt} was won{bid}; "
    ballots = f"{len(event.ballots)} ballots, round {event.round}, {event.took_ms} ms"
    return Told(event.agent, "auction_settled", f"{told}{ballots}")


@tells("warning", "task", me.AuctionLapsed)
def _(event: me.AuctionLapsed, known: Known) -> Told:
    reason = one_line(event.reason, REASON_CHARS_MAX)
    told = f"{known.task(event.task)} attempt {event.attempt}: {reason}"
    return Told(None, "auction_lapsed", told)


@tells("warning", "task", me.ClaimRefused)
def _(event: me.ClaimRefused, known: Known) -> Told:
    reason = one_line(event.reason, REASON_CHARS_MAX)
    told = f"{known.task(event.task)} attempt {event.attempt} is not its: {reason}"
    return Told(event.agent, "claim_refused", told)


@tells("info", "agent", me.MembershipChanged)
def _(event: me.MembershipChanged, known: Known) -> Told:
    told = f"{known.swarm}: {event.members} peers; how many reach each other is not known yet"
    if event.reachable is not None:
        told = f"{known.swarm}: {event.reachable} of {event.members} peers reach each other"
    if event.read_only:
        told = f"{told}; read-only: {_names(event.read_only)}"
    if event.converged_ms is not None:
        told = f"{told}; they agreed on it within {event.converged_ms} ms"
    return Told(None, "membership_changed", told)


@tells("debug", "task", me.ReplicasReported)
def _(event: me.ReplicasReported, known: Known) -> Told:
    held = _names(tuple(holder.agent for holder in event.holders)) or "nobody"
    told = f"{len(event.holders)} of {event.required} copies on {event.machines} machine"
    why = f"; {one_line(event.reason, REASON_CHARS_MAX)}" if event.reason else ""
    plural = "" if event.machines == 1 else "s"
    return Told(None, "replicas", f"{known.task(event.task)}: {told}{plural}, held by {held}{why}")
