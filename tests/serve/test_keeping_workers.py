"""Workers of a real server that is gone: they go on and are adopted, or nothing of them is left."""

import signal
from pathlib import Path
from typing import Any

import pytest
from server_process import Served, alive, serving, until

from tests.kills.test_server_kills import in_log
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.testing.chaos.wires import can_cut, cut

HERE = Path(__file__).parent
STUBBORN = f"agent_templates:\n  stubborn: {{class: {HERE}/stubborn_agents.py:Stubborn}}\n"


def at_work(served: Served, folder: Path, agent: str = "waiter") -> tuple[str, str]:
    """(swarm, task) of an agent in the middle of it."""
    swarm = served.call("swarm_init")["swarmId"]
    served.call("agent_spawn", swarmId=swarm, type=agent, name="one", wait=True)
    files = {"trace": str(folder / "trace"), "go": str(folder / "go")}
    task = {"description": "wait", "agentId": "one", "input": files, "timeout": 120}
    task_id = served.call("task_orchestrate", swarmId=swarm, task=task)["taskId"]
    until(lambda: traces(folder) != [])
    return swarm, task_id


def traces(folder: Path) -> list[list[int]]:
    """Of each attempt its number, and the pids of its worker and what that started."""
    file = folder / "trace"
    lines = file.read_text().splitlines() if file.exists() else []
    return [[int(word) for word in line.split()] for line in lines]


def result_of(served: Served, task: str) -> tuple[str, Any]:
    found = served.call("task_results", taskId=task, wait=True)
    return found["status"], found["result"]


@pytest.mark.acceptance("durable")
def test_an_upgrade_leaves_workers_to_the_next_server_with_what_they_did_meanwhile(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "--keep-workers") as served:
        swarm, task = at_work(served, tmp_path)
        [[_, worker]] = traces(tmp_path)
        assert served.end(signal.SIGTERM) == 0
        assert not alive(served.pid)
        assert alive(worker)
        assert "workers_left 1 process goes on for 60 s" in served.said
        # Nobody is there who could be told of its result.
        (tmp_path / "go").touch()
        with serving(tmp_path) as again:
            assert result_of(again, task) == ("completed", 1)
            [agent] = again.call("agent_list", swarmId=swarm)["agents"]
            assert agent["pid"] == worker
        # That one was not told to leave it.
        assert not alive(worker)
    events, _ = in_log(tmp_path, swarm)
    kinds = [type(event) for event in events]
    assert kinds.count(s.WorkerAdopted) == 1 == kinds.count(e.TaskCompleted)
    assert e.WorkerLost not in kinds and e.AttemptFailed not in kinds
    assert [number for number, _ in traces(tmp_path)] == [1]


@pytest.mark.acceptance("durable")
def test_a_worker_that_nobody_comes_back_for_ends_with_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "stubborn.yaml").write_text(STUBBORN)
    flags = ("--agents", str(tmp_path / "stubborn.yaml"))
    with serving(tmp_path, *flags, environment={"VISIONFLOW_ORPHAN_GRACE": "2"}) as served:
        at_work(served, tmp_path, "stubborn")
        [[_, *pids]] = traces(tmp_path)
        served.kill_front()
        until(lambda: not alive(served.pid))
        until(lambda: not any(map(alive, pids)))


@pytest.mark.acceptance("durable")
def test_what_an_adopted_worker_started_ends_with_the_server_that_adopted_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "stubborn.yaml").write_text(STUBBORN)
    flags = ("--agents", str(tmp_path / "stubborn.yaml"))
    with serving(tmp_path, *flags, "--keep-workers") as served:
        swarm, _ = at_work(served, tmp_path, "stubborn")
        [[_, worker, *started]] = traces(tmp_path)
        assert served.end(signal.SIGTERM) == 0
        assert all(map(alive, (worker, *started)))
    with serving(tmp_path, *flags) as again:
        until(lambda: "worker_adopted" in again.said)
        [agent] = again.call("agent_list", swarmId=swarm)["agents"]
        assert agent["pid"] == worker
        assert again.end(signal.SIGTERM) in (0, 143)
        assert [pid for pid in (worker, *started) if alive(pid)] == []


@pytest.mark.acceptance("durable")
def test_ending_in_order_leaves_nothing_of_what_ignores_it_and_its_task_to_the_next_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "stubborn.yaml").write_text(STUBBORN)
    flags = ("--agents", str(tmp_path / "stubborn.yaml"))
    with serving(tmp_path, *flags) as served:
        _, task = at_work(served, tmp_path, "stubborn")
        [[_, *pids]] = traces(tmp_path)
        # A slow machine may take longer than the ten seconds, and then it is ended at once.
        assert served.end(signal.SIGTERM) in (0, 143)
        assert [pid for pid in (served.pid, *pids) if alive(pid)] == []
        with serving(tmp_path, *flags) as again:
            until(lambda: len(traces(tmp_path)) == 2)
            (tmp_path / "go").touch()
            assert result_of(again, task) == ("completed", 2)
            # Its worker would ignore it once more.
            again.process.send_signal(signal.SIGINT)
            until(lambda: again.said.count("Stopping") == 2)
            assert again.end(signal.SIGINT) == 130


@pytest.mark.acceptance("recover")
@pytest.mark.skipif(not can_cut(), reason="needs a system that lends descriptors of a process")
def test_a_worker_whose_connection_breaks_dials_again_and_nothing_is_given_out_anew(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as served:
        swarm, task = at_work(served, tmp_path)
        [[_, worker]] = traces(tmp_path)
        assert cut(worker, hub_of(tmp_path)) == 2
        until(lambda: "worker_trusted" in served.said or "dialled again" in served.said)
        (tmp_path / "go").touch()
        assert result_of(served, task) == ("completed", 1)
        [agent] = served.call("agent_list", swarmId=swarm)["agents"]
        assert agent["pid"] == worker
    events, _ = in_log(tmp_path, swarm)
    assert not any(isinstance(event, e.WorkerLost | e.AttemptFailed) for event in events)
    assert sum(isinstance(event, e.WorkerStarted) for event in events) == 1


def hub_of(folder: Path) -> Path:
    """Where workers of the server in this folder dial."""
    from visionflow.adapters.hub import socket_path_in

    return Path(socket_path_in(folder / "home" / "server"))
