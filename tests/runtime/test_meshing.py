"""What the orchestrator believes of a mesh's workers, and what the hub lets them say."""

import pytest

from tests.engine.calm import Calm
from visionflow.adapters.hub.guard import worker_grant
from visionflow.adapters.hub.routes import Patterns
from visionflow.domain import messages as m
from visionflow.domain.mesh_events import AuctionOpened
from visionflow.domain.shape_commands import SwitchTopology
from visionflow.domain.swarms import Topology
from visionflow.runtime.meshing import false_claim, may_be_running

pytestmark = pytest.mark.acceptance("mesh")


def mesh() -> tuple[Calm, str, AuctionOpened]:
    world = Calm()
    world.send(SwitchTopology(now_ms=world.now_ms, topology=Topology.MESH))
    for _ in range(3):
        world.spawn("python", memory_bytes=1_000_000)
    world.settle()
    task = world.submit(capabilities=("python",))
    return world, task, world.last(AuctionOpened)


def test_a_worker_may_claim_only_for_its_own_agents_and_only_what_they_bid_for() -> None:
    world, task, opened = mesh()
    first, other, *_ = opened.seats
    late = world.spawn("rust", memory_bytes=1_000_000)
    world.settle()

    def why(worker: str, agent: str, name: str = task, attempt: int = 1) -> str | None:
        return false_claim(world.state, worker, m.Claimed(name, attempt, agent))

    assert why(first.worker, first.agent) is None
    assert f"which is in {first.worker}" in (why(other.worker, first.agent) or "")
    assert "not of its electorate" in (why(world.state.agents[late].worker, late) or "")
    assert "nothing is known" in (why(first.worker, first.agent, "nothing") or "")
    assert "never was" in (why(first.worker, first.agent, attempt=2) or "")
    assert why(first.worker, "gone") is None, "it may have ended meanwhile"


def test_it_may_report_only_for_its_own_agents() -> None:
    world, _, opened = mesh()
    first, other, *_ = opened.seats
    report = m.PeerReport(first.agent, 1, 1, 3, 3, False, "d", 0, 0, 0, 0)
    assert false_claim(world.state, first.worker, report) is None
    assert false_claim(world.state, other.worker, report) is not None


def test_what_an_auction_may_have_begun_is_not_stale_at_a_rejoin() -> None:
    world, task, opened = mesh()
    worker = opened.seats[0].worker
    assert may_be_running(world.state, worker, task, 1)
    assert not may_be_running(world.state, worker, task, 2)
    assert not may_be_running(world.state, "elsewhere", task, 1)


def test_a_worker_speaks_with_the_peers_of_its_own_swarm_only() -> None:
    grant = worker_grant("w1", "sw")
    for allowed in (Patterns(grant.publish), Patterns(grant.subscribe)):
        assert allowed.cover("peer.sw.agent_1")
        for subject in ("peer.other.agent_1", "peer.sw.agent_1.more", "peer.sw", "peer.>"):
            assert not allowed.cover(subject), subject
    beat = worker_grant("w1", "sw", "beat")
    assert not Patterns(beat.publish).cover("peer.sw.agent_1")
