"""One job under all six topologies on the simulated machine: the right answer, and for each the
trace that its rules demand, with what they forbid refused."""

from functools import cache
from typing import Any

import pytest

from visionflow.domain.swarms import Strategy, Topology
from visionflow.testing.simulator.topologies import AGENTS, JobResult, run_job
from visionflow.testing.summing import PARTS
from visionflow.testing.traces import read_trace, rewritten

COORDINATOR, RESEARCHER, CODER, OTHER, TESTER = AGENTS
EVERYBODY = {(a, b) for a in AGENTS for b in AGENTS if a != b}
ALLOWED: dict[Topology, set[tuple[str, str]]] = {
    Topology.HIERARCHICAL: {(a, b) for a, b in EVERYBODY if COORDINATOR in (a, b)},
    Topology.ADAPTIVE: {(a, b) for a, b in EVERYBODY if COORDINATOR in (a, b)},
    Topology.MESH: EVERYBODY,
    Topology.STAR: {(a, b) for a, b in EVERYBODY if COORDINATOR in (a, b)},
    Topology.RING: set(zip(AGENTS, (*AGENTS[1:], AGENTS[0]), strict=True)),
    # The stages: researcher, coordinator, the two coders, tester.
    Topology.SEQUENTIAL: EVERYBODY
    - {
        pair
        for a, b in ((RESEARCHER, CODER), (RESEARCHER, OTHER), (RESEARCHER, TESTER))
        for pair in ((a, b), (b, a))
    }
    - {(COORDINATOR, TESTER), (TESTER, COORDINATOR)},
}
"""Who may talk to whom in this team, written down by hand."""


@cache
def done(topology: Topology) -> JobResult:
    result = run_job(11, topology)
    assert result.faults == () and result.trace.faults == ()
    return result


def answers(result: JobResult) -> tuple[int, bool]:
    check = result.results["check"]
    return check["total"], check["right"]


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize("topology", list(Topology))
def test_the_job_gives_the_known_answer_and_what_the_rules_forbid_is_refused(
    topology: Topology,
) -> None:
    result, allowed = done(topology), ALLOWED[topology]
    assert answers(result) == (result.answer, True)
    works = [result.results[f"work{place}"] for place in range(len(PARTS))]
    told = {(work["by"], name) for work in works for name in work["told"]}
    refused = {(work["by"], name) for work in works for name in work["refused"]}
    assert told <= allowed and refused <= EVERYBODY - allowed
    assert bool(refused) == (topology is not Topology.MESH)
    assert set(result.trace.pairs) == told
    assert result.trace.count("refused messages") == sum(len(work["refused"]) for work in works)
    check = result.results["check"]
    if (TESTER, CODER) in allowed:
        assert (check["recounted"], check["refused"]) == (result.answer, None)
    else:
        assert check["recounted"] is None and "may not delegate" in check["refused"]
        assert result.trace.count("refused delegations") == 1


@pytest.mark.acceptance("swarm-topology")
def test_who_assigned_differs_as_the_rules_say() -> None:
    shown = {topology: done(topology).trace for topology in Topology}
    for topology in (Topology.HIERARCHICAL, Topology.ADAPTIVE, Topology.STAR):
        assert {by for by, _ in shown[topology].assigners} == {COORDINATOR}
    for topology in (Topology.RING, Topology.MESH, Topology.SEQUENTIAL):
        assert {by for by, _ in shown[topology].assigners} == {None}
    ring, mesh = shown[Topology.RING], shown[Topology.MESH]
    assert ring.count("tokens passed") == ring.count("assignments") > 0
    assert mesh.count("assignments by auction") > 0
    assert mesh.count("assignments") == mesh.count("assignments by auction") + mesh.count(
        "assignments without auction"
    )
    assert shown[Topology.SEQUENTIAL].count("phases in stages") == 1
    for topology in (Topology.HIERARCHICAL, Topology.STAR, Topology.SEQUENTIAL):
        assert shown[topology].count("tokens passed") == 0
        assert shown[topology].count("assignments by auction") == 0


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize("topology", [each for each in Topology if each != "adaptive"])
def test_the_log_of_one_topology_read_as_that_of_another_is_found_wrong(
    topology: Topology,
) -> None:
    bodies = done(topology).bodies
    # With one coordinator and no teams a star is the hierarchy of its manager.
    twins = {"star": "hierarchical", "hierarchical": "star"}
    for other in ("hierarchical", "mesh", "sequential", "star", "ring"):

        def named(event: dict[str, Any], other: str = other) -> dict[str, Any]:
            if event["t"] != "swarm_created":
                return event
            return {**event, "spec": {**event["spec"], "topology": other}}

        faults = read_trace(rewritten(bodies, named)).faults
        assert bool(faults) == (other not in (topology, twins.get(topology))), (other, faults)


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize("topology", list(Topology))
def test_a_message_that_the_rules_forbid_planted_in_the_log_is_found(topology: Topology) -> None:
    bodies = done(topology).bodies
    forbidden = sorted(EVERYBODY - ALLOWED[topology]) or [(TESTER, "agent_9")]
    sender, to = forbidden[0]

    def planted(event: dict[str, Any]) -> dict[str, Any]:
        if event["t"] != "mail_sent":
            return event
        return {**event, "letter": {**event["letter"], "sender": sender}, "to": [to]}

    faults = read_trace(rewritten(bodies, planted)).faults
    assert any(f"{sender} speaks to {to}" in each for each in faults), faults[:3]


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize("topology", list(Topology))
def test_the_trace_holds_and_the_answer_is_right_whatever_befalls_the_machine(
    topology: Topology,
) -> None:
    for seed in range(3):
        result = run_job(seed, topology, faults=True)
        assert (result.faults, result.trace.faults) == ((), ()), seed
        assert answers(result) == (result.answer, True), seed
        assert result.injected, seed


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize("strategy", [each for each in Strategy if each != "centralized"])
def test_the_job_is_done_under_each_strategy_and_bids_are_written_where_it_has_some(
    strategy: Strategy,
) -> None:
    for topology in (Topology.HIERARCHICAL, Topology.STAR, Topology.SEQUENTIAL):
        result = run_job(5, topology, strategy)
        assert (result.faults, result.trace.faults) == ((), ()), topology
        assert answers(result) == (result.answer, True), topology
        free = result.trace.count("assignments") - result.trace.count("delegations to an agent")
        expected = free if strategy is Strategy.DISTRIBUTED else 0
        assert result.trace.count("biddings") == expected, topology


def test_one_seed_is_one_run() -> None:
    first, again = (run_job(3, Topology.RING, faults=True) for _ in range(2))
    assert first.digest == again.digest and first.bodies == again.bodies
