"""The job with known answers under each topology, by agents in live worker processes."""

from pathlib import Path
from typing import Any

import pytest

from visionflow import AgentOrchestrator, Limits
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import commands as c
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskSpec
from visionflow.interfaces.orchestrator import Fleet
from visionflow.testing.summing import PARTS, SUM, TEAM, Summing, job
from visionflow.testing.traces import Trace, read_trace

WAIT_S = 120.0
NUMBERS = list(range(1, 101))
ANSWER = 5_050


class Orders:
    """Hands a plan in whose tasks are for types of agents."""

    def __init__(self, node: Any, blobs: Any, queries: Any, post: Any, ask: Any) -> None:
        self.now_ms, self.ask = node.intake.now_ms, ask


def run(folder: Path, topology: Topology) -> tuple[Trace, dict[str, Any]]:
    """The trace of the job in a store of its own, and the results."""
    with AgentOrchestrator(folder, topology=topology, limits=Limits(workers_max=2)) as fleet:
        assert isinstance(fleet, Fleet)
        agents = [fleet.spawn(Summing, type=each, capabilities=(SUM,))[0].id for each in TEAM]
        phases, orders = job("sum", agents, NUMBERS), fleet.face(Orders)
        command = c.SubmitPlan(
            now_ms=orders.now_ms(), spec=TaskSpec(id="sum", type="plan"), phases=phases
        )
        orders.ask(command)
        fleet.handle("sum").result(WAIT_S)
        names = [task.id for phase in phases for task in phase.tasks]
        results = {name: fleet.handle(name).result(WAIT_S) for name in names}
    log = SqliteLog.open(folder / "log.db")
    try:
        (stream,) = (stream for stream in log.streams() if stream != "fleet")
        return read_trace(entry.body for entry in log.read(stream)), results
    finally:
        log.close()


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.parametrize("topology", list(Topology))
def test_live_agents_do_the_job_and_leave_the_trace_that_the_topology_demands(
    tmp_path: Path, topology: Topology
) -> None:
    trace, results = run(tmp_path / "store", topology)
    assert trace.faults == ()
    check = results["sum_check"]
    assert (check["total"], check["right"]) == (ANSWER, True)
    works = [results[f"sum_work{place}"] for place in range(len(PARTS))]
    assert trace.count("messages") == sum(len(work["told"]) for work in works)
    refused = sum(len(work["refused"]) for work in works)
    assert trace.count("refused messages") == refused
    assert (refused == 0) == (topology is Topology.MESH)
    refusing = topology not in (Topology.MESH, Topology.SEQUENTIAL)
    assert trace.count("refused delegations") == refusing == (check["recounted"] is None)
    if topology is Topology.RING:
        assert trace.count("tokens passed") == trace.count("assignments")
    if topology is Topology.MESH:
        assert trace.count("assignments by auction") > 0
