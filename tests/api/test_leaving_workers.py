"""Workers that are about to end, because they were told to or nothing needs them, lose no task."""

import os
import signal
from pathlib import Path

from tests.api.agents import Gated, wait_for_line
from visionflow import AgentOrchestrator, Limits, Task

WAIT_S = 60.0
ONE = Limits(workers_max=1)


def test_what_is_given_to_a_worker_that_was_told_to_end_goes_to_the_next(tmp_path: Path) -> None:
    with AgentOrchestrator(limits=ONE) as fleet:
        fleet.spawn(Gated)
        first = fleet.submit(Task(input=str(tmp_path)))
        worker = wait_for_line(tmp_path / "pids", 1)
        rest = [fleet.submit(Task(input=str(tmp_path))) for _ in range(10)]
        os.kill(worker, signal.SIGTERM)
        rest += [fleet.submit(Task(input=str(tmp_path))) for _ in range(10)]
        assert rest[-1].wait_accepted(WAIT_S)
        (tmp_path / "open").touch()
        assert first.result(WAIT_S) == 1
        assert max(handle.result(WAIT_S) for handle in rest) <= 3
        pids = (tmp_path / "pids").read_text().split()
        assert len(pids) == 21
        assert set(pids[1:]) != {str(worker)}


def test_an_agent_that_comes_while_its_worker_leaves_gets_another_one(tmp_path: Path) -> None:
    with AgentOrchestrator(limits=ONE) as fleet:
        (tmp_path / "open").touch()
        for _ in range(3):
            agent = fleet.spawn(Gated)[0]
            task = fleet.submit(Task(input=str(tmp_path)))
            fleet.terminate(agent)
            fleet.spawn(Gated)
            assert task.result(WAIT_S) <= 3
            fleet.terminate(fleet.agents()[-1])
