"""What the state of a swarm knows of its mesh. Facts, like those of `state`."""

import msgspec

from visionflow.domain.mesh import Holder, Seat


class AuctionState(msgspec.Struct, gc=False):
    """An auction that is open. Its task is queued, and stands in no line meanwhile."""

    attempt: int
    seats: tuple[Seat, ...]
    since_ms: int
    """When it began, or when the orchestrator was back to hear of its end."""


class ReplicaState(msgspec.Struct, gc=False):
    """The copies of a result."""

    attempt: int
    digest: str
    required: int
    holders: tuple[Holder, ...]
    machines: int


class Mesh(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while nothing of it has happened, and then no part of the digest."""

    auctions: dict[str, AuctionState] = {}
    """By task."""
    members: int | None = None
    """`None`: its peers have not told yet; like the next two."""
    reachable: int | None = None
    converged_ms: int | None = None
    read_only: dict[str, None] = {}
    """Agents that take part in no new auction."""
    replicas: dict[str, ReplicaState] = {}
    """By task, the oldest first."""
    opened: int = 0
    settled: int = 0
    lapsed: int = 0
    ended: int = 0
    """Auctions whose task ended meanwhile, or was blocked."""
    refused: int = 0
    """Claims."""


class Lives:
    """How often each agent got ready: the number of its present life, which no other life of it
    has. Like an index it follows from the log and is no part of the hash."""

    def __init__(self) -> None:
        self.all = 0
        """Of all agents together."""
        self._of: dict[str, int] = {}

    def began(self, agent: str) -> None:
        """It is ready, in a process that knows nothing of earlier ones."""
        self.all += 1
        self._of[agent] = self._of.get(agent, 0) + 1

    def ended(self, agent: str) -> None:
        """It does not come back."""
        self._of.pop(agent, None)

    def of(self, agent: str) -> int:
        """The number of its present life; 0: it was never ready."""
        return self._of.get(agent, 0)
