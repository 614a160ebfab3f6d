"""A world of chance in which agents are peers of a mesh."""

from tests.engine import auctions_by_chance
from tests.engine.world import CAPABILITIES, World
from visionflow.domain import mesh_commands as mc
from visionflow.domain.mesh import AUCTION_MS
from visionflow.domain.shape_commands import SwitchTopology
from visionflow.domain.swarms import Topology


class MeshWorld(World):
    """A world of chance in which agents are peers of a mesh."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.claims: list[mc.ReportClaim] = []
        self.send(SwitchTopology(now_ms=self.now_ms, topology=Topology.MESH))
        self.team(5, *CAPABILITIES)

    def step(self) -> None:
        if self.random.random() < 0.05:
            self.tick(AUCTION_MS)
        elif self.random.random() < 0.4:
            auctions_by_chance.happen(self)
        else:
            super().step()
