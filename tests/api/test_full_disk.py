"""A disk that takes no more: the orchestrator stops, says so, and lied to nobody."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow import AgentOrchestrator

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, resource, signal, sys
from visionflow import AgentOrchestrator, Task, VisionFlowError
from tests.api.agents import Doubler

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    done, error = [], None
    with AgentOrchestrator(sys.argv[1]) as fleet:
        fleet.spawn(Doubler)
        fleet.submit(Task(input=1)).result(60)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
        for number in range(1_000):
            handle = fleet.submit(Task(input=number, description="x" * 3_000))
            try:
                assert handle.result(60) == 2 * number
            except VisionFlowError as found:
                error = found.code
                break
            done.append(handle.id)
    print(json.dumps({"done": done, "error": error}))
"""


@pytest.mark.acceptance("durable")
def test_a_full_disk_stops_the_orchestrator_and_all_that_it_acknowledged_is_there(
    tmp_path: Path,
) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "store")],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["error"] == "log_unavailable"
    assert told["done"]
    with AgentOrchestrator(tmp_path / "store") as fleet:
        rows = {row.id: row.status for row in fleet.queries.tasks()}
    assert [rows.get(task) for task in told["done"]] == ["completed"] * len(told["done"])
