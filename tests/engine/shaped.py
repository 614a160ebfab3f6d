"""A calm world whose swarm has a topology and a strategy."""

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain.swarms import Strategy, SwarmSpec, Topology
from visionflow.engine.state import SwarmState


class Shaped(World):
    """One thing after the other, as the test says, in a swarm of this shape."""

    def __init__(
        self,
        topology: Topology = Topology.HIERARCHICAL,
        strategy: Strategy = Strategy.CENTRALIZED,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.state, self.log = SwarmState(), []
        spec = SwarmSpec(id="swarm_1", topology=topology, strategy=strategy)
        self.send(c.CreateSwarm(now_ms=self.now_ms, spec=spec))
