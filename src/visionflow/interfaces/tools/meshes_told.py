"""What replies tell of a mesh."""

from typing import Annotated

from visionflow.domain.swarms import Topology
from visionflow.engine.topology.rules import topology_in_force
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.forms import about
from visionflow.runtime.swarms import LiveSwarm


class MeshTold(Result, frozen=True, kw_only=True):
    """A mesh by its peers' own reports; null until they have said it."""

    members: int | None
    reachable: int | None
    read_only: Annotated[list[str], about("They reach half or less.")]
    converged: Annotated[float | None, about("Seconds; null while views differ.")]
    messages: Annotated[int | None, about("Between peers.")]
    auctions_open: int
    auctions_settled: int
    auctions_lapsed: int


def mesh_told(swarm: LiveSwarm) -> MeshTold | None:
    """Of a swarm that is one; `None` for others."""
    if topology_in_force(swarm.state) is not Topology.MESH:
        return None
    status = swarm.node.mesh.status()
    known = status.heard > status.silent
    return MeshTold(
        members=status.members if known else None,
        reachable=status.reachable,
        read_only=list(status.read_only),
        converged=None if status.converged_ms is None else status.converged_ms / 1_000,
        messages=status.sent if status.counted else None,
        auctions_open=status.auctions_open,
        auctions_settled=status.auctions_settled,
        auctions_lapsed=status.auctions_lapsed,
    )
