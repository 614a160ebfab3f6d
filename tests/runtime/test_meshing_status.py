"""What a mesh is said to be while only some of its peers have said anything."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain.swarms import SwarmSpec, Topology
from visionflow.engine.state import SwarmState
from visionflow.interfaces.tools.meshes_told import mesh_told
from visionflow.runtime.meshing import Meshing


class Mesh(Calm):
    """A calm world in a mesh, and the orchestrator's end of it."""

    def __init__(self, peers: int) -> None:
        super().__init__()
        self.state, self.log = SwarmState(), []
        spec = SwarmSpec(id="swarm_1", topology=Topology.MESH)
        self.send(c.CreateSwarm(now_ms=self.now_ms, spec=spec))
        self.peers = self.team(peers)
        self.offered: list[object] = []
        control = SimpleNamespace(
            state=self.state, offer=lambda command, bounded: self.offered.append(command)
        )
        host = SimpleNamespace(now_ms=lambda: self.now_ms, monotonic_ms=lambda: self.now_ms)
        office = SimpleNamespace(pack_for_peers=lambda worker, message: None)
        self.meshing = Meshing(cast(Any, control), cast(Any, host), cast(Any, office))

    def say(self, agent: str, members: int, digest: str) -> None:
        """A peer reports."""
        report = m.PeerReport(
            agent=agent,
            incarnation=self.state.lives.of(agent),
            epoch=1,
            members=members,
            reachable=members,
            read_only=False,
            digest=digest,
            since_ms=self.now_ms,
            sent=1,
            received=1,
            sent_bytes=1,
        )
        self.meshing.take(self.state.agents[agent].worker, report)

    def told(self) -> tuple[int | None, int | None, bool | None]:
        """Members and reachable as tools tell them, and whether all agree."""
        swarm = SimpleNamespace(state=self.state, node=SimpleNamespace(mesh=self.meshing))
        told = mesh_told(cast(Any, swarm))
        assert told is not None
        return told.members, told.reachable, self.meshing.status().agree


@pytest.mark.acceptance("mesh")
def test_one_peer_that_has_reported_agrees_with_nobody_and_speaks_for_nobody() -> None:
    mesh = Mesh(3)
    assert mesh.told() == (None, None, None)
    mesh.say(mesh.peers[0], 1, "x")
    assert mesh.told() == (None, None, None)
    mesh.say(mesh.peers[1], 3, "y")
    assert mesh.told() == (3, 3, False), "two that differ do, whatever the third knows"
    mesh.say(mesh.peers[0], 3, "y")
    assert mesh.told() == (3, 3, None)
    mesh.say(mesh.peers[2], 3, "y")
    assert mesh.told() == (3, 3, True)
