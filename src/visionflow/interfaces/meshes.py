"""A mesh of this program, as its peers report it and as the log has it. Nothing is kept here but
how the last auctions ended."""

from typing import NamedTuple

from visionflow.domain import events as e
from visionflow.domain import mesh_events as me
from visionflow.domain.errors import UsageError
from visionflow.domain.events import AnyEvent
from visionflow.domain.mesh import AuctionBallot, AuctionBid
from visionflow.domain.swarms import Topology
from visionflow.engine.meshed import ReplicaState
from visionflow.engine.topology.rules import topology_in_force
from visionflow.interfaces.faces import Ask, EmbeddedFace, Post
from visionflow.ports.blobs import Blobs
from visionflow.runtime.meshing import MeshStatus
from visionflow.runtime.node import Node
from visionflow.runtime.queries import Queries

KEPT = 1_000


class Settlement(NamedTuple):
    """How an auction ended; without bids: the task was given out without one."""

    agent: str
    bids: tuple[AuctionBid, ...] = ()
    ballots: tuple[AuctionBallot, ...] = ()


class EmbeddedMesh(EmbeddedFace):
    """Made by `Fleet.face`. What is given back is durable."""

    def __init__(
        self,
        node: Node,
        blobs: Blobs,
        queries: Queries,
        post: Post,
        ask: Ask,
    ) -> None:
        super().__init__(node, blobs, queries, post, ask)
        self._settled: dict[str, Settlement] = {}
        post(lambda: node.control.on_commit.append(self._committed))

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        """In the runtime's thread."""
        for event in events:
            if isinstance(event, me.AuctionSettled):
                settled = Settlement(event.agent, event.bids, event.ballots)
            elif isinstance(event, e.TaskAssigned):
                before = self._settled.get(event.task)
                if before is not None and before.agent == event.agent:
                    continue
                settled = Settlement(event.agent)
            else:
                continue
            self._settled[event.task] = settled
            if len(self._settled) > KEPT:
                del self._settled[next(iter(self._settled))]

    async def must_be_a_mesh(self) -> None:
        """Refuse a swarm of another topology.

        Raises:
            UsageError: it is one.
        """
        topology = await self._read(lambda: topology_in_force(self._node.control.state))
        if topology is not Topology.MESH:
            raise UsageError(
                f"The swarm of this orchestrator is {topology}; peers need a mesh.",
                hint="Make it with topology='mesh'.",
            )

    async def status(self) -> MeshStatus:
        """The mesh as its peers see it now."""
        return await self._read(self._node.mesh.status)

    async def whole(self, count: int) -> bool:
        """Whether so many peers, or more, belong to it, reach each other, and agree on that."""
        status = await self.status()
        members = status.members or 0
        reach_all = status.reachable == members == status.heard >= count
        return bool(status.agree) and reach_all and not status.read_only

    async def connected(self, one: str, other: str) -> bool:
        """Whether both belong to it, and each reaches all who do."""

        def look() -> bool:
            found = {report.agent: report for report in self._node.mesh.reports()}
            both = [found.get(one), found.get(other)]
            return all(r is not None and 0 < r.members == r.reachable for r in both)

        return await self._read(look)

    async def agree(self, one: str, other: str) -> bool:
        """Whether both know the same of it."""

        def look() -> bool:
            found = {r.agent: r.digest for r in self._node.mesh.reports() if r.members}
            return one in found and found[one] == found.get(other)

        return await self._read(look)

    async def settlement(self, task: str) -> Settlement | None:
        """Who was given a task, and how that was agreed on; `None`: nobody yet."""
        return await self._read(lambda: self._settled.get(task))

    async def replicas(self, task: str) -> ReplicaState | None:
        """The copies of a task's result, once there are enough or no more can be had."""
        return await self._read(lambda: self._node.control.state.mesh.replicas.get(task))
