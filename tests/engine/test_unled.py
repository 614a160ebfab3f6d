"""Tasks by which a manager or a lead leads are refused by name where nobody could lead them."""

import msgspec
import pytest

from tests.engine.calm import Calm
from tests.engine.test_teams import Hierarchy
from visionflow.domain import commands as c
from visionflow.domain import pipelines_commands as pc
from visionflow.domain import shape_commands as hc
from visionflow.domain import supervision_commands as sc
from visionflow.domain import teams_commands as tc
from visionflow.domain.pipelines import PipelineSpec, StageSpec
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Phase, TaskSpec, TaskStatus
from visionflow.domain.teams import (
    ACCEPT,
    AGGREGATE,
    ASSIGN,
    DELEGATE,
    DISTRIBUTE,
    LEAD,
    LEADS,
    MANAGER,
    REVIEW,
    lead_word,
)
from visionflow.engine.state import Answer

pytestmark = pytest.mark.acceptance("hierarchy")
OTHERS = [each for each in Topology if each not in (Topology.HIERARCHICAL, Topology.ADAPTIVE)]
SEATS = {
    DELEGATE: MANAGER, ASSIGN: MANAGER, REVIEW: MANAGER, LEAD: LEADS, ACCEPT: LEADS,
    DISTRIBUTE: lead_word("code"), AGGREGATE: lead_word("code"),
}  # fmt: skip


def handed_in(world: Calm, kind: str, *words: str) -> Answer:
    spec = TaskSpec(id=world.name("task"), type=kind, capabilities=words)
    return world.send(c.SubmitTask(now_ms=world.now_ms, spec=spec))


def switch(world: Calm, topology: Topology) -> None:
    command = hc.SwitchTopology(now_ms=world.now_ms, topology=topology, reason="a test")
    assert world.send(command).code is None


@pytest.mark.parametrize("kind", SEATS)
def test_where_there_are_no_teams_it_is_refused_whoever_hands_it_in(kind: str) -> None:
    world = Calm()
    world.team(2, "plan", type="coordinator")
    spec = TaskSpec(id="led", type=kind, capabilities=(SEATS[kind],))
    working = world.submit()
    attempt = world.state.tasks[working].attempt
    part = msgspec.structs.replace(spec, parent="whole", phase="all")
    whole = TaskSpec(id="whole", type="plan")
    piped = PipelineSpec("piped", (StageSpec("one", kind, capabilities=(SEATS[kind],)),))
    refusals = [
        world.send(command)
        for command in (
            c.SubmitTask(now_ms=1, spec=spec),
            c.SubmitPlan(now_ms=1, spec=whole, phases=(Phase("all", (part,)),)),
            sc.DelegateTask(now_ms=1, task=working, attempt=attempt, spec=spec),
            pc.OpenPipeline(now_ms=1, spec=piped),
        )
    ]
    assert [each.code for each in refusals] == ["no_hierarchy"] * 4
    told = f"Nobody can do a task of type {kind}: this swarm has no teams. Form teams first"
    assert all((each.message or "").startswith(told) for each in refusals)
    assert list(world.state.tasks) == [working] and not world.state.pipelines.open


@pytest.mark.parametrize("topology", OTHERS)
@pytest.mark.parametrize("kind", [DELEGATE, ASSIGN])
def test_where_teams_choose_nothing_it_is_refused_with_the_topology_and_what_to_do(
    kind: str, topology: Topology
) -> None:
    world = Hierarchy()
    world.form("code", "python")
    switch(world, topology)
    refused = handed_in(world, kind, MANAGER)
    assert refused.code == "no_hierarchy"
    assert f"teams choose nothing while the topology is {topology}" in (refused.message or "")
    assert "topology_optimize" in (refused.message or "")
    switch(world, Topology.HIERARCHICAL)
    assert handed_in(world, kind, MANAGER).code is None


@pytest.mark.parametrize("topology", [*OTHERS, Topology.HIERARCHICAL])
def test_what_a_delegation_under_way_hands_down_is_led_by_somebody_in_every_topology(
    topology: Topology,
) -> None:
    world = Hierarchy()
    lead, *_ = world.form("code", "python")
    whole = world.submit(type=DELEGATE, capabilities=(MANAGER,))
    attempt = world.state.tasks[whole].attempt
    assert world.holder(whole) == world.manager
    if topology is not Topology.HIERARCHICAL:
        switch(world, topology)
    spec = TaskSpec(id="led", type=LEAD, capabilities=("python", LEADS))
    given = sc.DelegateTask(now_ms=world.now_ms, task=whole, attempt=attempt, spec=spec)
    assert world.send(given).code is None
    chosen = lead if topology is Topology.HIERARCHICAL else world.manager
    assert world.holder("led") == chosen
    assert world.status("led") is TaskStatus.ASSIGNED


@pytest.mark.parametrize("kind", SEATS)
def test_one_that_is_for_no_seat_of_its_kind_or_for_a_team_that_is_not_there_is_refused(
    kind: str,
) -> None:
    world = Hierarchy()
    world.form("code", "python")
    assert handed_in(world, kind).code == "usage"
    wrong = lead_word("code") if SEATS[kind] == MANAGER else MANAGER
    assert handed_in(world, kind, wrong).code == "usage"
    assert handed_in(world, kind, SEATS[kind]).code is None
    if SEATS[kind] != MANAGER:
        lost = handed_in(world, kind, lead_word("tests"))
        assert lost.code == "no_hierarchy"
        assert "lead of team tests, and there is no such team. Teams: code." in (lost.message or "")


def test_a_manager_reviews_also_before_there_is_a_team() -> None:
    world = Hierarchy()
    assert handed_in(world, REVIEW, MANAGER).code == "no_hierarchy"
    world.send(tc.PutInCharge(now_ms=world.now_ms, agent=world.manager))
    assert handed_in(world, REVIEW, MANAGER).code is None
