"""Commands of a mesh: what its peers report."""

from visionflow.domain.command import Command
from visionflow.domain.mesh import AuctionBallot, AuctionBid, Holder


class ReportClaim(Command, frozen=True, tag="report_claim"):
    """A peer won an auction, by the agreement of its electorate, and has begun."""

    task: str
    attempt: int
    agent: str
    worker: str
    bids: tuple[AuctionBid, ...] = ()
    ballots: tuple[AuctionBallot, ...] = ()
    round: int = 0
    took_ms: int = 0


class ReportMembership(Command, frozen=True, tag="report_membership"):
    """What the peers of a mesh think of who is there has changed."""

    members: int
    reachable: int | None
    read_only: tuple[str, ...] = ()
    converged_ms: int | None = None


class ReportReplicas(Command, frozen=True, tag="report_replicas"):
    """Copies of a result were made, or lost and made again."""

    task: str
    attempt: int
    agent: str
    digest: str
    size_bytes: int
    required: int
    holders: tuple[Holder, ...] = ()
    reason: str = ""


MeshCommand = ReportClaim | ReportMembership | ReportReplicas
