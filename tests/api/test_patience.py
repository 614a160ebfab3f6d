"""Agents that are asked for patience, in processes of their own and over a kill -9 of the fleet."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow import AgentOrchestrator, BaseAgent, RetryPolicy, Task, TryLater
from visionflow.domain.tasks import Backoff

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
ONCE = RetryPolicy(backoff=Backoff.NONE)
KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.api.test_patience import ONCE, Patient
from visionflow import AgentOrchestrator, Task

with AgentOrchestrator(sys.argv[1]) as fleet:
    fleet.spawn(Patient)
    handle = fleet.submit(Task(input={"times": 1, "wait_ms": 4_000}), retry=ONCE)
    while not any(each.outcome == "throttled" for each in fleet.queries.attempts(handle.id)):
        time.sleep(0.02)
    print(handle.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Patient(BaseAgent):
    """Is turned away as often as it is told to be."""

    capabilities = ("patience",)

    def process_task(self, task: Task) -> int:
        if task.attempt <= task.input["times"]:
            raise TryLater("429 too many requests", wait_ms=task.input["wait_ms"])
        return task.attempt


@pytest.mark.acceptance("governor")
def test_a_task_that_is_turned_away_more_often_than_it_may_fail_completes() -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn(Patient)
        handle = fleet.submit(Task(input={"times": 5, "wait_ms": 1}), retry=ONCE)
        assert handle.result(WAIT_S) == 6
        outcomes = [each.outcome for each in fleet.queries.attempts(handle.id)]
        assert outcomes == ["throttled"] * 5 + ["completed"]


@pytest.mark.acceptance("governor")
def test_a_wait_goes_on_in_the_next_process_after_kill_9_and_is_kept_to_its_end(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    task = ran.stdout.strip()
    with AgentOrchestrator(str(folder)) as fleet:
        assert fleet.handle(task).result(WAIT_S) == 2
        first, second = fleet.queries.attempts(task)
    assert (first.outcome, second.outcome) == ("throttled", "completed")
    assert first.ended_ms is not None
    assert second.assigned_ms >= first.ended_ms + 4_000
