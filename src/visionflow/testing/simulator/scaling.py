"""The autoscaler of a simulated swarm: it makes scripted agents that can do everything."""

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import VisionFlowError
from visionflow.engine.matching import offers
from visionflow.engine.scaling import Bounds, Room, Rules
from visionflow.ports.host import Host
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.autoscaling import Autoscaler, Kind
from visionflow.runtime.node import Node
from visionflow.testing.workload import EVERYTHING

TYPE = "scripted"
BOUNDS = {TYPE: Bounds(2, 9)}
RULES = Rules(utilisation_bp=4_000, queue_wait_ms=50, cool_down_ms=3_000)
"""So that something happens in the few seconds that a seed has."""


class SimSupply:
    """`Supply` of a simulated swarm; it answers at once."""

    def __init__(self, node: Node, host: Host) -> None:
        self._node = node
        self._host = host
        self._made = 0

    def kind(self, agent_type: str) -> Kind | None:
        """See `Supply`."""
        return Kind(offers(EVERYTHING, TYPE)) if agent_type == TYPE else None

    def rooms(self, agent_type: str, kind: Kind) -> tuple[list[Room], list[str]]:
        """See `Supply`: the swarm's limit is the only one."""
        return [], []

    def spawn(self, agent_type: str, count: int) -> None:
        """See `Supply`."""
        control = self._node.control
        for _ in range(count):
            self._made += 1
            name = f"scaled_{control.state.boot}_{self._made}"
            spec = AgentSpec(name, agent_type, name, "scripted:coroutine", EVERYTHING, scaled=True)
            try:
                control.offer(c.SpawnAgent(now_ms=self._host.now_ms(), spec=spec), bounded=False)
            except VisionFlowError:
                return


def scale(node: Node, host: Host, telemetry: Telemetry) -> None:
    """Look after the number of a swarm's agents until its node is over."""
    scaler = Autoscaler(node.control, host, telemetry, SimSupply(node, host), BOUNDS, RULES)
    node.on_over.append(lambda _: scaler.stop())
    scaler.start()
