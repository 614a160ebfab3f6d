"""What a peer bids for a task: the guide's 40/30/20/10, in basis points.

Where there is no record yet the full points for past performance are given, as in `scoring`. Where
it is not known how much of its resources an agent has free, half of theirs are given: neither who
measures nor who cannot is preferred.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b

from visionflow.domain.mesh import AuctionBid
from visionflow.engine.scoring import PRIOR_TASKS

CAPABILITY_BP = 4_000
LOAD_BP = 3_000
PAST_BP = 2_000
RESOURCES_BP = 1_000
WHOLE_BP = 10_000


def bid_of(
    agent: str,
    *,
    required: Collection[str],
    offered: Collection[str],
    open_tasks: int,
    tasks_max: int,
    completed: int,
    failed: int,
    free_bp: int | None = None,
) -> AuctionBid:
    """What an agent bids that holds `open_tasks` of at most `tasks_max`, and has so many behind it.

    `free_bp` is how much of its memory is free, in basis points of its ceiling; `None`: unknown.
    """
    have = sum(1 for capability in required if capability in offered)
    capability = CAPABILITY_BP * have // len(required) if required else CAPABILITY_BP
    room = max(0, tasks_max - open_tasks)
    load = LOAD_BP * room // tasks_max if tasks_max > 0 else 0
    past = PAST_BP * (completed + PRIOR_TASKS) // (completed + failed + PRIOR_TASKS)
    free = WHOLE_BP // 2 if free_bp is None else min(WHOLE_BP, max(0, free_bp))
    resources = RESOURCES_BP * free // WHOLE_BP
    total = capability + load + past + resources
    return AuctionBid(agent, total, capability, load, past, resources)


def ranked(auction: str, bids: Iterable[AuctionBid]) -> list[AuctionBid]:
    """The best first. Among equals the order is another in each auction, and the same for all who
    ask, so that like peers share what is bid for."""

    def place(bid: AuctionBid) -> tuple[int, bytes, str]:
        name = f"{auction}\0{bid.agent}".encode(errors="surrogatepass")
        return -bid.total_bp, blake2b(name, digest_size=8).digest(), bid.agent

    return sorted(bids, key=place)


def best(auction: str, bids: Iterable[AuctionBid]) -> AuctionBid | None:
    """The first of `ranked`; `None`: nobody bids."""
    return next(iter(ranked(auction, bids)), None)


def free_share_bp(held_bytes: int | None, ceiling_bytes: int | None) -> int | None:
    """How much of a process's memory is free, in basis points of its ceiling; `None`: unknown. In
    whole tenths, so that differences that mean nothing decide nothing."""
    if held_bytes is None or not ceiling_bytes:
        return None
    tenths = round(10 * max(0, ceiling_bytes - held_bytes) / ceiling_bytes)
    return tenths * WHOLE_BP // 10


def adds_up(bid: AuctionBid) -> bool:
    """Whether the parts are within their weights and make up the total."""
    parts = (bid.capability_bp, bid.load_bp, bid.past_bp, bid.resources_bp)
    weights = (CAPABILITY_BP, LOAD_BP, PAST_BP, RESOURCES_BP)
    return sum(parts) == bid.total_bp and all(
        0 <= part <= weight for part, weight in zip(parts, weights, strict=True)
    )
