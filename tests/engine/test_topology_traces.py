"""What a log shows of its topology, over any sequence of commands, and wrong traces in it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.shaped import Shaped
from visionflow.domain.swarms import Strategy, Topology
from visionflow.testing.traces import read_trace, rewritten

Fact = dict[str, Any]


@pytest.mark.acceptance("swarm-topology")
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(
    st.integers(0, 2**32),
    st.sampled_from(list(Topology)),
    st.sampled_from(list(Strategy)),
    st.integers(20, 160),
)
def test_any_sequence_of_commands_and_switches_leaves_the_trace_that_the_rules_demand(
    seed: int, topology: Topology, strategy: Strategy, steps: int
) -> None:
    world = Shaped(topology, strategy, seed)
    for _ in range(steps):
        world.step()
    assert read_trace(world.log).faults == ()
    assert world.audit() == []
    assert world.replay().digest() == world.state.digest()


def worked(topology: Topology, strategy: Strategy = Strategy.CENTRALIZED) -> list[bytes]:
    """The log of a swarm of five in which a plan was carried out."""
    world = Shaped(topology, strategy)
    for each in ("coordinator", "coder", "coder", "reviewer", "tester"):
        world.team(1, type=each)
    kinds = ("coder", "tester", "coder", "reviewer")
    _, (parts,) = world.plan([{"agent_type": each} for each in kinds])
    while world.running():
        world.complete(world.running()[0])
    assert {str(world.status(part)) for part in parts} == {"completed"}
    return world.log


def without(kind: str) -> Callable[[Fact], Fact | None]:
    return lambda event: None if event["t"] == kind else event


def by(agent: str | None) -> Callable[[Fact], Fact]:
    return lambda event: {**event, "by": agent} if event["t"] == "task_assigned" else event


def passed_to(agent: str) -> Callable[[Fact], Fact]:
    return lambda event: {**event, "agent": agent} if event["t"] == "token_passed" else event


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize(
    ("topology", "change", "fault"),
    [
        (Topology.HIERARCHICAL, by(None), "agent_1 assigns in a hierarchical swarm"),
        (Topology.STAR, by("agent_2"), "agent_1 assigns in a star swarm"),
        (Topology.RING, without("token_passed"), "to which the token was not passed"),
        (Topology.RING, passed_to("agent_4"), "the token"),
        (Topology.SEQUENTIAL, by("agent_1"), "assigned by agent_1, and None assigns"),
        (Topology.MESH, by("agent_1"), "assigned by agent_1, and None assigns"),
    ],
)
def test_a_wrong_assigner_planted_in_a_log_is_found(
    topology: Topology, change: Callable[[Fact], Fact | None], fault: str
) -> None:
    # In a mesh what several could do is for its peers, which live elsewhere.
    log = worked(topology) if topology is not Topology.MESH else pinned_work(topology)
    assert read_trace(log).faults == ()
    faults = read_trace(rewritten(log, change)).faults
    assert any(fault in each for each in faults), faults


def pinned_work(topology: Topology) -> list[bytes]:
    world = Shaped(topology)
    for agent in world.team(3):
        world.complete(world.submit(agent=agent))
    return world.log


@pytest.mark.acceptance("swarm-topology")
def test_a_log_with_the_topology_of_another_swarm_is_found_wrong() -> None:
    for topology in (Topology.HIERARCHICAL, Topology.STAR, Topology.RING):
        for other in ("hierarchical", "star", "ring", "mesh", "sequential"):
            if other != topology:
                trace = read_trace(rewritten(worked(topology), called(other)))
                # The centre of this star is the manager of the hierarchy, too.
                same = {"hierarchical", "star"} == {other, str(topology)}
                assert bool(trace.faults) != same, (topology, other)


def called(topology: str) -> Callable[[Fact], Fact]:
    def change(event: Fact) -> Fact:
        if event["t"] == "swarm_created":
            return {**event, "spec": {**event["spec"], "topology": topology}}
        return event

    return change


@pytest.mark.acceptance("swarm-topology")
def test_a_stage_that_begins_before_the_one_before_it_has_ended_is_found() -> None:
    log = rewritten(worked(Topology.HIERARCHICAL), by(None))
    faults = read_trace(rewritten(log, called("sequential"))).faults
    assert any("is given out before" in each for each in faults), faults


@pytest.mark.acceptance("swarm-topology")
def test_bids_that_do_not_add_up_or_are_not_the_best_or_are_missing_are_found() -> None:
    log = worked(Topology.HIERARCHICAL, Strategy.DISTRIBUTED)
    trace = read_trace(log)
    assert trace.faults == () and trace.count("biddings") == 4

    def inflated(event: Fact) -> Fact:
        if event["t"] != "bids_placed":
            return event
        first = {**event["bids"][0], "total_bp": event["bids"][0]["total_bp"] + 1}
        return {**event, "bids": [first, *event["bids"][1:]]}

    for change, fault in (
        (inflated, "does not add up"),
        (without("bids_placed"), "without bids"),
        (lambda event: {**event, "able": 9} if event["t"] == "bids_placed" else event, "could do"),
    ):
        faults = read_trace(rewritten(log, change)).faults
        assert any(fault in each for each in faults), faults
