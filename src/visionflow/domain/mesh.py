"""Values of a mesh: who takes part in an auction, what they bid, and how they agreed."""

import msgspec

ELECTORATE_MAX = 16
"""Peers that hold one auction, at most."""
AUCTIONS_MAX = 64
"""Auctions of one swarm that are open at once."""
AUCTION_MS = 30_000
"""An auction that nobody has settled after this long, with all of its electorate alive, lapses."""
AUCTION_HURRY_MS = 5_000
"""The same for one that has lost somebody of its electorate: it may have been the winner."""
REPLICAS = 3
"""Peers that shall hold a copy of a result."""
REPLICAS_KEPT = 1_000
"""Results whose copies are remembered."""


class Seat(msgspec.Struct, frozen=True, gc=False):
    """A member of an electorate: an agent in its present life. One that was built anew since has
    no vote, for it has forgotten what it promised."""

    agent: str
    worker: str
    incarnation: int
    """The number of that life: how often the agent has got ready."""


class AuctionBid(msgspec.Struct, frozen=True, gc=False):
    """How well a peer is suited for a task, in basis points, with the parts that make it up."""

    agent: str
    total_bp: int
    capability_bp: int = 0
    load_bp: int = 0
    past_bp: int = 0
    resources_bp: int = 0


class AuctionBallot(msgspec.Struct, frozen=True, gc=False):
    """A member of the electorate accepted this winner in this round."""

    agent: str
    winner: str
    round: int


class Holder(msgspec.Struct, frozen=True, gc=False):
    """A peer that has a copy of a result."""

    agent: str
    worker: str
