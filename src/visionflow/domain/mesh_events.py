"""Events of a mesh: auctions, what is thought of its membership, and copies of results."""

from visionflow.domain.event import Event
from visionflow.domain.mesh import AuctionBallot, AuctionBid, Holder, Seat


class AuctionOpened(Event, frozen=True, tag="auction_opened"):
    """These peers, and no others, decide among themselves who works on this attempt."""

    task: str
    attempt: int
    seats: tuple[Seat, ...]


class AuctionSettled(Event, frozen=True, tag="auction_settled"):
    """They agreed. The assignment follows at once."""

    task: str
    attempt: int
    agent: str
    bids: tuple[AuctionBid, ...]
    """Those that the winner knew of."""
    ballots: tuple[AuctionBallot, ...]
    round: int
    """Of the agreement; more than one where proposals met, or messages were lost."""
    took_ms: int
    """From the winner's hearing of the auction to its knowing that it had won."""


class AuctionLapsed(Event, frozen=True, tag="auction_lapsed"):
    """Nobody can settle it any more, or nobody did in time. The number of its attempt is spent."""

    task: str
    attempt: int
    reason: str


class ClaimRefused(Event, frozen=True, tag="claim_refused"):
    """A peer says that it won an attempt, and that is not so any more, or never was."""

    task: str
    attempt: int
    agent: str
    worker: str
    reason: str


class MembershipChanged(Event, frozen=True, tag="membership_changed"):
    """The opinion of a mesh's peers about themselves has changed."""

    members: int
    """Peers that belong to it, in the view of most."""
    reachable: int | None
    """Those that the best connected of them reaches, itself included; `None`: not all have said it
    since one began to reach fewer."""
    read_only: tuple[str, ...] = ()
    """Peers that reach half of the membership or less, and take no new auctions."""
    converged_ms: int | None = None
    """How long their views differed before they agreed; `None`: they do not agree yet."""


class ReplicasReported(Event, frozen=True, tag="replicas_reported"):
    """Peers hold copies of a task's result, each with this hash."""

    task: str
    attempt: int
    digest: str
    size_bytes: int
    required: int
    holders: tuple[Holder, ...]
    machines: int
    """On how many machines they are: copies on one are lost with it."""
    reason: str = ""
    """Why there are fewer than required, where that is so."""


MeshEvent = (
    AuctionOpened
    | AuctionSettled
    | AuctionLapsed
    | ClaimRefused
    | MembershipChanged
    | ReplicasReported
)
