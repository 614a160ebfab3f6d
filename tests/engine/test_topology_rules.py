"""Who may talk to whom under each topology, held against a model that lists all pairs."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.shaped import Shaped
from visionflow.domain import commands as c
from visionflow.domain import teams_commands as tc
from visionflow.domain.agents import AgentStatus
from visionflow.domain.swarms import Topology
from visionflow.domain.teams import TeamSpec
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import (
    centre_of,
    is_living,
    may_speak,
    stages,
    successor_of,
    superior_of,
    topology_in_force,
)

KNOWN = ["researcher", "coordinator", "architect", "coder", "reviewer", "tester"]
TYPES = st.sampled_from([*KNOWN, "analyst", "deployer"])
SPEAKING = [each for each in Topology if each is not Topology.ADAPTIVE]
Pairs = set[tuple[str, str]]


def hearers(state: SwarmState, sender: str) -> set[str]:
    """To whom an agent may speak, by the rule itself."""
    return {b for b in state.agents if b != sender and may_speak(state, sender, b) is None}


def both(pairs: Pairs) -> Pairs:
    return pairs | {(b, a) for a, b in pairs}


def model(state: SwarmState, topology: Topology) -> Pairs:
    """All pairs (sender, receiver) of different agents that may talk, in the words of the rule."""
    living = [a for a in state.agents if is_living(state, a)]
    types = {a: state.agents[a].spec.type for a in living}
    everybody = {(a, b) for a in living for b in living if a != b}
    coordinators = [a for a in living if types[a] == "coordinator"]
    if topology is Topology.MESH:
        return everybody
    if topology is Topology.RING:
        after = [*living[1:], *living[:1]]
        return {pair for pair in zip(living, after, strict=True) if pair[0] != pair[1]}
    if topology is Topology.STAR:
        centre = (coordinators or living or [""])[0]
        return {(a, b) for a, b in everybody if centre in (a, b)}
    if topology is Topology.SEQUENTIAL:
        present = list(dict.fromkeys(types[a] for a in living))
        order = [t for t in KNOWN if t in present] + [t for t in present if t not in KNOWN]
        place = {a: order.index(types[a]) for a in living}
        return {(a, b) for a, b in everybody if abs(place[a] - place[b]) <= 1}
    named = state.teams.manager
    manager = named if named in living else (coordinators or [None])[0]
    lines: Pairs = set()
    seated: set[str] = set()
    for team in state.teams.teams.values():
        if team.lead in living:
            lines |= {(member, team.lead) for member in team.members if member in living}
            seated |= set(team.members) if team.lead is not None else set()
    lines = {(a, b) for a, b in lines if a != manager}
    if manager is not None:
        lines |= {(a, manager) for a in living if a != manager and a not in seated}
    return both(lines)


def check(world: Shaped) -> None:
    state = world.state
    allowed = model(state, topology_in_force(state))
    for a in state.agents:
        assert hearers(state, a) == {b for x, b in allowed if x == a}


def form(world: Shaped, name: str, lead: str, *members: str) -> None:
    team = TeamSpec(name=name, lead=lead, members=members)
    world.send(tc.FormTeam(now_ms=world.now_ms, team=team))


@pytest.mark.acceptance("swarm-topology")
@settings(max_examples=150, deadline=None, print_blob=True)
@given(
    st.sampled_from(SPEAKING),
    st.lists(TYPES, max_size=9),
    st.randoms(use_true_random=False),
)
def test_may_speak_agrees_with_a_list_of_all_pairs_whoever_comes_fails_and_goes(
    topology: Topology, types: list[str], random: Random
) -> None:
    world = Shaped(topology)
    agents = [world.spawn(type=each) for each in types]
    world.settle()
    if len(agents) > 3 and random.random() < 0.6:
        manager, *rest = random.sample(agents, len(agents))
        if random.random() < 0.7:
            world.send(tc.PutInCharge(now_ms=world.now_ms, agent=manager))
        half = len(rest) // 2
        form(world, "one", rest[0], *rest[1:half])
        form(world, "two", rest[half], *rest[half + 1 :])
    check(world)
    for _ in range(3):
        if world.state.agents and random.random() < 0.5:
            gone = random.choice(list(world.state.agents))
            world.send(c.TerminateAgent(now_ms=world.now_ms, agent=gone))
        elif world.state.agents:
            failed = random.choice(list(world.state.agents.values()))
            if failed.status is AgentStatus.READY:
                fail_for_good(world, failed.spec.id)
        check(world)
        world.settle()
        check(world)


def fail_for_good(world: Shaped, agent: str) -> None:
    """It could not be built, and comes back only by hand."""
    found = world.state.agents[agent]
    if world.random.random() < 0.5:
        world.update(agent, tasks_max=3)
    world.send(
        c.ReportAgentDown(
            now_ms=world.now_ms,
            agent=agent,
            worker=found.worker,
            incarnation=world.state.workers[found.worker].incarnation,
            reason="it could not be built",
            revision=world.state.revisions.get(agent, 0),
        )
    )


def rule(world: Shaped, sender: str, to: str) -> str:
    why = may_speak(world.state, sender, to)
    assert why is not None
    assert why.endswith(".") and len(why) < 300
    return why


def test_a_refusal_names_the_rule_and_the_way_out_under_each_topology() -> None:
    types = ("coordinator", "researcher", "coder", "tester")
    for topology, words in {
        Topology.HIERARCHICAL: ("hierarchical", "reporting lines", "send it there"),
        Topology.SEQUENTIAL: ("sequential", "stage", "pass it on through a coordinator"),
        Topology.STAR: ("star", "centre only", "send it to agent_1"),
        Topology.RING: ("ring", "next one only", "send it to agent_3"),
    }.items():
        world = Shaped(topology)
        _, researcher, _, tester = (world.spawn(type=each) for each in types)
        for word in words:
            assert word in rule(world, researcher, tester)


def test_in_a_hierarchy_without_a_manager_nobody_talks_and_the_way_out_is_a_coordinator() -> None:
    world = Shaped()
    one, two = world.spawn(), world.spawn()
    assert "add an agent of type coordinator" in rule(world, one, two)
    world.spawn(type="coordinator")
    assert "send it there" in rule(world, one, two)


def test_members_of_two_teams_do_not_talk_and_leads_talk_with_the_manager_and_their_own() -> None:
    world = Shaped()
    manager = world.spawn(type="coordinator")
    lead, member, other, stranger = (world.spawn() for _ in range(4))
    form(world, "one", lead, member)
    form(world, "two", other, stranger)
    state = world.state
    assert superior_of(state, member) == lead and superior_of(state, lead) == manager
    assert hearers(state, lead) == {manager, member}
    assert hearers(state, manager) == {lead, other}
    assert f"{member} reports to {lead}" in rule(world, member, stranger)
    assert "does not report to" in rule(world, manager, member)
    unseated = world.spawn()
    assert superior_of(state, unseated) == manager


def test_nothing_is_said_to_or_by_one_that_is_gone_or_has_failed() -> None:
    world = Shaped(Topology.MESH)
    one, two = world.team(2)
    assert "nobody" in rule(world, one, "nobody")
    world.state.agents[two].status = AgentStatus.FAILED
    assert f"{two} is failed" in rule(world, one, two)
    assert f"{two} is failed" in rule(world, two, one)
    assert may_speak(world.state, one, one) is None


def test_the_centre_of_a_star_is_a_coordinator_if_there_is_one_and_another_takes_over() -> None:
    world = Shaped(Topology.STAR)
    assert centre_of(world.state) is None
    first = world.spawn()
    assert centre_of(world.state) == first
    coordinator = world.spawn(type="coordinator")
    second = world.spawn(type="coordinator")
    assert centre_of(world.state) == coordinator
    world.settle()
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=coordinator))
    assert centre_of(world.state) == second


def test_a_ring_closes_over_one_that_leaves_and_one_that_failed_keeps_its_place() -> None:
    world = Shaped(Topology.RING)
    one, two, three = world.team(3)
    assert [successor_of(world.state, each) for each in (one, two, three)] == [two, three, one]
    world.state.agents[two].status = AgentStatus.FAILED
    assert successor_of(world.state, one) == three
    world.state.agents[two].status = AgentStatus.READY
    assert successor_of(world.state, one) == two
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=two))
    world.settle()
    assert successor_of(world.state, one) == three and successor_of(world.state, three) == one


def test_stages_stand_in_the_order_of_the_roles_and_other_types_after_them() -> None:
    world = Shaped(Topology.SEQUENTIAL)
    for each in ("deployer", "tester", "analyst", "researcher", "deployer"):
        world.spawn(type=each)
    assert stages(world.state) == ["researcher", "tester", "deployer", "analyst"]


def test_an_adaptive_swarm_begins_with_the_rules_of_a_hierarchical_one() -> None:
    world = Shaped(Topology.ADAPTIVE)
    assert topology_in_force(world.state) is Topology.HIERARCHICAL
    world.state.shape.now = Topology.RING
    assert topology_in_force(world.state) is Topology.RING
