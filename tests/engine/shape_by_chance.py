"""Switches of the topology, at any moment."""

from typing import TYPE_CHECKING

from visionflow.domain import shape_commands as hc
from visionflow.domain.swarms import Topology

if TYPE_CHECKING:
    from tests.engine.world import World


def happen(world: "World") -> None:
    """Somebody asks for a topology, or for the best one."""
    topology = world.random.choice((None, *Topology))
    command = world.random.choice((None, world.name("command")))
    world.send(
        hc.SwitchTopology(now_ms=world.now_ms, topology=topology, reason="chance", command=command)
    )
