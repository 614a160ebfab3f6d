"""Sources of what is told of a mesh: auctions by the swarm's log; what peers say of each other is
no more than there are agents, and known to nobody else."""

from typing import Any

from tests.truth.checking import At
from tests.truth.origins import Table
from visionflow.domain import mesh_events as me


class UpTo:
    """A number up to this one, or nothing."""

    def __init__(self, most: float) -> None:
        self.most = most

    def __eq__(self, other: object) -> bool:
        return other is None or (isinstance(other, int | float) and 0 <= other <= self.most)

    def __repr__(self) -> str:
        return f"up to {self.most}, or null"


def agents(at: At) -> UpTo:
    return UpTo(len(at.swarm.agents))


def count(kind: type[Any]) -> Any:
    return lambda at: sum(isinstance(event, kind) for *_, event in at.swarm.events)


def still_open(at: At) -> UpTo:
    return UpTo(count(me.AuctionOpened)(at))


def messages(at: At) -> UpTo:
    """Each peer pings and gossips a few times a second, and an auction takes some hundreds."""
    lived_s = (at.after_ms - at.swarm.events[0][2]) / 1_000
    return UpTo(lived_s * len(at.swarm.agents) * 50 + count(me.AuctionOpened)(at) * 1_000)


MESH: Table = {
    "mesh": lambda at: None,
    "mesh.members": agents,
    "mesh.reachable": agents,
    "mesh.readOnly[]": lambda at: at.chain[-1][at.place[-1]],
    "mesh.converged": lambda at: UpTo(3_600.0),
    "mesh.messages": messages,
    "mesh.auctionsOpen": still_open,
    "mesh.auctionsSettled": count(me.AuctionSettled),
    "mesh.auctionsLapsed": count(me.AuctionLapsed),
}
