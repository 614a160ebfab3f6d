"""What becomes of auctions and of delegations when a swarm is put into another topology."""

import pytest

from tests.engine.auctions_by_chance import claim
from tests.engine.calm import Calm
from tests.engine.test_teams import Hierarchy
from visionflow.domain import events as e
from visionflow.domain import mesh_events as me
from visionflow.domain import shape_commands as hc
from visionflow.domain import supervision_commands as sc
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskSpec, TaskStatus
from visionflow.domain.teams import DELEGATE, LEAD, MANAGER, lead_word, team_word

OTHERS = [each for each in Topology if each not in (Topology.MESH, Topology.ADAPTIVE)]


def switch(world: Calm, topology: Topology) -> None:
    command = hc.SwitchTopology(now_ms=world.now_ms, topology=topology, reason="a test")
    assert world.send(command).code is None


@pytest.mark.acceptance("mesh", "swarm-topology")
@pytest.mark.parametrize("topology", OTHERS)
def test_what_is_bid_for_when_a_mesh_is_left_lapses_and_is_given_out_at_once(
    topology: Topology,
) -> None:
    world = Calm()
    switch(world, Topology.MESH)
    world.team(4, "python")
    tasks = [world.submit(capabilities=("python",)) for _ in range(3)]
    opened = {each.task: each for each in world.of(me.AuctionOpened)}
    assert list(opened) == tasks and not world.of(e.TaskAssigned)
    switch(world, topology)
    lapsed = world.of(me.AuctionLapsed)
    assert [each.task for each in lapsed] == tasks and not world.state.mesh.auctions
    assert {each.reason for each in lapsed} == {f"the swarm is no mesh any more but {topology}"}
    assert [world.status(task) for task in tasks] == [TaskStatus.ASSIGNED] * 3
    assert len(world.log) == len(world.records()) and world.audit() == []
    first = opened[tasks[0]]
    world.send(claim(world, tasks[0], first.attempt, first.seats, first.seats[0].agent))
    assert "that auction is over" in world.last(me.ClaimRefused).reason
    assert all(world.state.tasks[task].attempt == 2 for task in tasks)
    assert world.replay().digest() == world.state.digest()


@pytest.mark.acceptance("mesh", "hierarchy")
def test_a_part_of_a_team_is_bid_for_by_its_members_also_by_those_who_are_busy() -> None:
    world = Hierarchy()
    lead, *members = world.form("code", "python", workers=2)
    world.team(2, "python")
    switch(world, Topology.MESH)
    for agent in members:
        world.submit(agent=agent)
    world.submit(capabilities=("python", team_word("code")))
    opened = world.last(me.AuctionOpened)
    assert sorted(seat.agent for seat in opened.seats) == sorted([lead, *members])


@pytest.mark.acceptance("hierarchy", "swarm-topology")
@pytest.mark.parametrize("topology", [Topology.RING, Topology.STAR, Topology.SEQUENTIAL])
def test_what_a_manager_sends_back_reaches_the_lead_that_had_it_whatever_the_topology_is_now(
    topology: Topology,
) -> None:
    world = Hierarchy()
    world.form("code", "python")
    lead = world.form("tests", "testing")[0]
    whole = world.submit(type=DELEGATE, capabilities=(MANAGER,))
    switch(world, topology)
    attempt, word = world.state.tasks[whole].attempt, lead_word("tests")

    def delegated(kind: str) -> str | None:
        spec = TaskSpec(id=f"sent_{kind}", type=kind, capabilities=(word,))
        return world.send(
            sc.DelegateTask(now_ms=world.now_ms, task=whole, attempt=attempt, spec=spec)
        ).code

    assert delegated(LEAD) is None
    assert world.holder(f"sent_{LEAD}") == lead
    if topology is Topology.RING:
        assert delegated("task") == "not_allowed", "of any other kind it is a talk like any"
