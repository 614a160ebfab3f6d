"""The audit under each topology: the same findings, and the trace that the rules demand."""

from pathlib import Path
from typing import Any

import pytest
from desks import Desk, workspace_in
from served import settings_in, with_core

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.swarms import Topology
from visionflow.testing.traces import Trace, read_trace

GOAL = "Audit this repository: security, quality, tests"
FILES = {
    "pytest.ini": "[pytest]\naddopts = -p no:hypothesispytest\n",
    "shop.py": (
        "import os\nimport subprocess\n\n\n"
        "def open_it(path):\n    subprocess.run('lpr ' + path, shell=True)\n"
    ),
    "test_shop.py": "import shop\n\n\ndef test_it():\n    assert shop.open_it\n",
}
PATIENCE_S = 480.0


def audited(folder: Path, topologies: list[Topology]) -> dict[str, dict[str, Any]]:
    """The answer of each swarm's audit, one after the other."""

    async def use(opened: Any) -> dict[str, dict[str, Any]]:
        desk, found = Desk(opened), dict[str, dict[str, Any]]()
        for topology in topologies:
            swarm = await desk.call("swarm_init", topology=str(topology), maxAgents=12)
            found[topology] = await desk.call(
                "task_orchestrate", task=GOAL, swarmId=swarm["swarmId"], wait=True
            )
        return found

    workspace_in(folder, FILES)
    return with_core(settings_in(folder), use, PATIENCE_S)


def trace_of(folder: Path, swarm: str) -> Trace:
    log = SqliteLog.open(folder / "home" / "server" / "log.db")
    try:
        return read_trace(entry.body for entry in log.read(swarm))
    finally:
        log.close()


def found_in(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What an audit found; but the command that repeats it names its run."""
    words = ("rank", "place", "message", "rules", "fixed", "fingerprints")
    return [tuple(issue[word] for word in words) for issue in result["issues"]]


@pytest.mark.acceptance("swarm-topology")
def test_the_audit_finds_the_same_under_each_topology_and_leaves_the_trace_of_each(
    tmp_path: Path,
) -> None:
    found = audited(tmp_path, list(Topology))
    results = {each: answer["result"] for each, answer in found.items()}
    assert {each: result["status"] for each, result in results.items()} == dict.fromkeys(
        Topology, "completed"
    )
    issues = {each: found_in(result) for each, result in results.items()}
    assert len(issues[Topology.HIERARCHICAL]) > 1
    assert issues == dict.fromkeys(Topology, issues[Topology.HIERARCHICAL])
    for topology, answer in found.items():
        trace = trace_of(tmp_path, answer["swarmId"])
        assert trace.faults == (), topology
        by_auction = trace.count("assignments by auction")
        assert (by_auction > 0) == (topology is Topology.MESH), topology
        assert trace.count("assignments") + by_auction > 0, topology
        if topology is Topology.RING:
            assert trace.count("tokens passed") == trace.count("assignments")
