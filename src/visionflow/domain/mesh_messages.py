"""Messages between the orchestrator and its workers about a mesh; see `messages`."""

from visionflow.domain.mesh import AuctionBallot, AuctionBid
from visionflow.domain.message import Message


class PeerUp(Message, frozen=True, tag=60):
    """To a worker: this agent is a peer of a mesh from now on, and joins it by way of these.
    Repeating it changes nothing."""

    agent: str
    incarnation: int
    place: str
    """Its process, as `machine/process`."""
    seeds: tuple[str, ...] = ()


class PeerDown(Message, frozen=True, tag=61):
    """To a worker: this agent is no peer any more; it says so to the others."""

    agent: str


class AuctionOver(Message, frozen=True, tag=63):
    """To a worker: this auction is over for its agents, and what one of them began by it and the
    log does not give to it stops."""

    task: str
    attempt: int
    reason: str


class MeshFounded(Message, frozen=True, tag=67):
    """To a worker: these found the mesh anew, for those of before are no majority any more."""

    agent: str
    incarnation: int
    epoch: int
    members: tuple[tuple[str, int, str], ...]
    """(agent, incarnation, place)."""


class PeersLeft(Message, frozen=True, tag=68):
    """To a worker: these are all that may be there. Its agent sees to it that others, which do not
    come back, count no more."""

    agent: str
    agents: tuple[str, ...]


class Claimed(Message, frozen=True, tag=64):
    """An agent won an auction by the agreement of its electorate, and has begun."""

    task: str
    attempt: int
    agent: str
    bids: tuple[AuctionBid, ...] = ()
    ballots: tuple[AuctionBallot, ...] = ()
    round: int = 0
    took_ms: int = 0


class PeerReport(Message, frozen=True, tag=65):
    """A signal: what a peer thinks of its mesh, and how many messages it has sent and got."""

    agent: str
    incarnation: int
    epoch: int
    members: int
    """0: it belongs to no mesh yet."""
    reachable: int
    read_only: bool
    digest: str
    """Of all that it knows of the mesh: who knows the same has the same."""
    since_ms: int
    """When that last changed, by the clock on the wall."""
    sent: int
    received: int
    sent_bytes: int
    dropped: int = 0
    """Messages that were not sent, because they were too many."""


class Copied(Message, frozen=True, tag=66):
    """Peers hold copies of a result: of an attempt that this worker has completed, or that it
    holds a copy of itself."""

    task: str
    attempt: int
    agent: str
    digest: str
    size_bytes: int
    required: int
    holders: tuple[str, ...]
    reason: str = ""
