"""A hierarchy in an adaptive swarm of this program, whatever topology that is in now."""

import asyncio
from typing import Any

import pytest

from visionflow import AgentOrchestrator, HierarchicalCoordinator, Task, UsageError
from visionflow.domain import shape_commands as hc
from visionflow.domain.swarms import Topology
from visionflow.interfaces.async_fleet import AsyncFleet


class Switch:
    """Puts a swarm into another topology."""

    def __init__(self, node: Any, blobs: Any, queries: Any, post: Any, ask: Any) -> None:
        self.node, self.ask = node, ask

    def to(self, topology: Topology) -> None:
        now_ms = self.node.intake.now_ms()
        self.ask(hc.SwitchTopology(now_ms=now_ms, topology=topology, reason="a test"))


@pytest.mark.acceptance("hierarchy")
@pytest.mark.parametrize("made", [Topology.ADAPTIVE, Topology.HIERARCHICAL])
def test_it_is_refused_by_topology_only_where_that_does_not_change_by_itself(
    made: Topology,
) -> None:
    async def use() -> None:
        async with AgentOrchestrator(topology=made) as fleet:
            assert isinstance(fleet, AsyncFleet)
            coordinator = HierarchicalCoordinator(fleet)
            fleet.sync.face(Switch).to(Topology.STAR)
            why = (
                "build_hierarchy" if made is Topology.ADAPTIVE else "topology of this swarm is star"
            )
            with pytest.raises(UsageError, match=why):
                await coordinator.delegate_task(Task(type="count"))

    asyncio.run(asyncio.wait_for(use(), 60))
