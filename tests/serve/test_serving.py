"""`visionflow serve` with real processes: started, stopped, killed, started again."""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from served import settings_in
from server_process import Served, alive, free_port, serving, until

from visionflow.compose.serve.opening import open_server
from visionflow.compose.serve.ports import open_ports, probe
from visionflow.interfaces.mcp.dialling import dial


def workers_of(served: Served, swarm: str) -> list[int]:
    """The pids of the processes that host agents."""
    agents = served.call("agent_list", swarmId=swarm)["agents"]
    return sorted({agent["pid"] for agent in agents if agent["pid"] is not None})


def waiting(served: Served, folder: Path) -> tuple[str, str, str]:
    """A swarm with an agent in the middle of a task: (swarm, agent, task)."""
    swarm = served.call("swarm_init", topology="hierarchical")["swarmId"]
    spawned = served.call("agent_spawn", swarmId=swarm, agentType="waiter", wait=True)
    order = {
        "type": "wait",
        "description": "wait for the file",
        "agentType": "waiter",
        "input": {"trace": str(folder / "trace"), "go": str(folder / "go")},
    }
    task = served.call("task_orchestrate", swarmId=swarm, task=order)["taskId"]
    until((folder / "trace").exists)
    return swarm, spawned["agentId"], task


def attempts(folder: Path) -> list[int]:
    return [int(line.split()[0]) for line in (folder / "trace").read_text().splitlines()]


def let_go_on(
    served: Served, folder: Path, swarm: str, agent: str, task: str, count: int = 1
) -> dict[str, Any]:
    """Everything is back, in the attempt of this number; the task's result."""
    [found] = served.call("agent_list", swarmId=swarm)["agents"]
    assert found["id"] == agent
    until(lambda: len(attempts(folder)) == count)
    (folder / "go").touch()
    return served.call("task_results", taskId=task, wait=True)


def test_it_says_where_it_listens_and_ends_in_order_with_its_workers(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        swarm, _, task = waiting(served, tmp_path)
        for path, status in (("health", 200), ("ready", 200)):
            with urllib.request.urlopen(f"http://{served.told['web']}/{path}", timeout=30) as found:
                assert found.status == status
        workers = workers_of(served, swarm)
        assert workers
        assert os.stat(served.told["socket"]).st_mode & 0o777 == 0o600
        (tmp_path / "go").touch()
        served.call("task_results", taskId=task, wait=True)
        assert served.end(signal.SIGTERM) == 0
        assert [pid for pid in (*workers, served.pid) if alive(pid)] == []
    assert f"process {served.pid}, home {tmp_path}/home" in served.said
    assert "only this user's programs" in served.said
    assert not Path(served.told["socket"]).exists()


@pytest.mark.acceptance("durable")
@pytest.mark.parametrize("grace_s", [60, 0])
def test_a_killed_server_comes_back_on_its_port_and_its_tasks_run_on(
    tmp_path: Path, grace_s: int
) -> None:
    grace = {"VISIONFLOW_ORPHAN_GRACE": str(grace_s)}
    with serving(tmp_path, "--port", str(free_port()), environment=grace) as served:
        swarm, agent, task = waiting(served, tmp_path)
        before, workers, tcp = served.pid, workers_of(served, swarm), served.told["tcp"]
        served.kill_server()
        served.started()
        assert served.told["tcp"] == tcp
        assert served.pid != before
        # The very process of before, in the middle of its attempt, or another one.
        assert [pid for pid in workers if alive(pid)] == (workers if grace_s else [])
        count = 1 if grace_s else 2
        result = let_go_on(served, tmp_path, swarm, agent, task, count)
        assert (result["status"], result["result"]) == ("completed", count)
        assert attempts(tmp_path) == [1, 2][:count]
        assert (workers_of(served, swarm) == workers) == bool(grace_s)
    assert "The server was ended by SIGKILL; it goes on from its log again (1 of 3" in served.said


@pytest.mark.acceptance("durable")
def test_a_killed_front_takes_its_server_along_and_the_next_adopts_its_workers(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as served:
        swarm, agent, task = waiting(served, tmp_path)
        server, workers = served.pid, workers_of(served, swarm)
        served.kill_front()
        with serving(tmp_path) as again:
            assert not alive(server)
            result = let_go_on(again, tmp_path, swarm, agent, task)
            assert (result["status"], result["result"]) == ("completed", 1)
            assert workers_of(again, swarm) == workers
        assert [pid for pid in workers if alive(pid)] == []


@pytest.mark.acceptance("durable")
def test_a_server_whose_disk_takes_no_more_ends_and_comes_back_with_all_it_acknowledged(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "--port", str(free_port())) as served:
        _, hard = resource.prlimit(served.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (600_000, hard))
        kept: list[str] = []
        refused: Exception | None = None
        while refused is None and len(kept) < 100:
            key = f"key-{len(kept)}"
            try:
                served.call("memory_store", key=key, value="x" * 15_000)
            except (AssertionError, OSError, ValueError) as error:
                refused = error
            else:
                kept.append(key)
        assert 0 < len(kept) < 100
        served.started()
        for key in kept:
            assert len(served.call("memory_retrieve", key=key)["value"]) == 15_000
    assert "should not happen" not in served.said
    assert "The server ended with exit code 70; it goes on from its log again" in served.said


def test_a_server_that_dies_again_and_again_is_given_up_and_each_start_says_what_holds(
    tmp_path: Path,
) -> None:
    open_to_all = {"VISIONFLOW_ALLOW_UNAUTHENTICATED": "1"}
    with serving(tmp_path, "--log-format", "json", environment=open_to_all) as served:
        for _ in range(3):
            served.kill_server()
            served.started()
        served.kill_server()
        assert served.process.wait(60) == 70
    # The last lines before a kill may be in the file alone.
    file = (tmp_path / "home/server/visionflow.log").read_text()
    codes = [json.loads(line)["code"] for line in file.splitlines()]
    assert codes.count("recovered") == codes.count("listening") == 4
    assert codes.count("unauthenticated") == 4
    told = [json.loads(line) for line in served.said.splitlines()]
    said = [line["message"] for line in told if line["code"] == "front"]
    assert [line for line in said if "was ended by SIGKILL; it goes on" in line] == said[:3]
    assert "too often in a minute" in said[3]


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        swarm, _, _ = waiting(served, tmp_path)
        workers = workers_of(served, swarm)
        served.process.send_signal(signal.SIGINT)
        until(lambda: "Stopping" in served.said)
        assert served.end(signal.SIGINT) == 130
        assert [pid for pid in (*workers, served.pid) if alive(pid)] == []


def test_a_home_or_a_port_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        with serving(tmp_path, start=False) as other:
            assert other.process.wait(60) == 75
        assert f"is served by process {served.process.pid}. Use that server" in served.said
        port = served.told["tcp"].rpartition(":")[2]
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        with serving(elsewhere, "--port", port, start=False) as other:
            assert other.process.wait(60) == 75
        assert f"127.0.0.1:{port} is in use by another process" in other.said
        assert "--port" in other.said


def test_the_ports_are_opened_when_recovery_is_done_and_not_before(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_in(tmp_path, tcp_port=port)

    def dial() -> None:
        socket.create_connection(("127.0.0.1", port), 10).close()

    async def run() -> None:
        probe(settings)
        opened = await open_server(settings)
        try:
            assert opened.server.ready
            with pytest.raises(ConnectionRefusedError):
                dial()
            ports = await open_ports(opened)
            await asyncio.to_thread(dial)
            await ports.close()
            with pytest.raises(ConnectionRefusedError):
                dial()
        finally:
            await opened.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_home_may_have_a_path_longer_than_that_of_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    async def run() -> None:
        opened = await open_server(settings_in(deep))
        try:
            ports = await open_ports(opened)
            reader, writer = await dial(opened.core.store.socket)
            writer.write(b'{"jsonrpc": "2.0", "id": 7, "method": "ping"}\n')
            assert json.loads(await reader.readline())["id"] == 7
            writer.close()
            await writer.wait_closed()
            await ports.close()
            assert not opened.core.store.socket.exists()
        finally:
            await opened.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_run_works_beside_a_server(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        workspace = tmp_path / "workspace"
        (workspace / "sums.py").write_text('"""Sums."""\n\n\ndef add(a, b):\n    return a + b\n')
        words = ["run", "How does add work?", "--playbook", "explain", "--json", "--no-progress"]
        ended = subprocess.run(
            [sys.executable, "-m", "visionflow.cli", *words, "--out", str(tmp_path / "runs")],
            cwd=workspace,
            env={**os.environ, "VISIONFLOW_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["status"] == "completed"
        assert served.call("swarm_list")["swarms"] == []


def test_lines_go_to_a_file_and_to_standard_error_in_the_form_of_the_guide(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        _, agent, _ = waiting(served, tmp_path)
        (tmp_path / "go").touch()
        until(lambda: agent in served.said)
        told = served.call("agent_logs", agentId=agent)
        file = tmp_path / "home/server/visionflow.log"
        grep = f"grep '{agent}' {file} | awk '$3 == \"WARNING\" {{print $4, $5}}' | sort | uniq -c"
        counted = subprocess.run(["sh", "-c", grep], capture_output=True, text=True, timeout=30)
        assert counted.stdout.split() == ["1", agent, "agent"]
        codes = [line.split()[4] for line in told["lines"]]
        assert codes[:4] == ["agent_spawned", "agent_ready", "task_assigned", "agent"]
        assert "waits, and its key is Bearer ***" in json.dumps(told)
    lines = file.read_text().splitlines()  # It has ended in order, so the echo is complete.
    assert {"recovered", "listening", "agent", "agent_ready"} <= {line.split()[4] for line in lines}
    assert all(line in served.said for line in lines)
    assert "0123456789abcdef" not in served.said


@pytest.mark.acceptance("recover")
def test_agents_that_end_or_hold_up_their_process_at_import_disturb_nobody(
    tmp_path: Path,
) -> None:
    file, begun = tmp_path / "own.yaml", tmp_path / "begun"
    (tmp_path / "gone.py").write_text("import os\nos._exit(7)\n")
    (tmp_path / "hung.py").write_text(
        f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(600)\n"
    )
    echo = Path(__file__).parent / "serve_agents.py"
    file.write_text(
        "agent_templates:\n  gone: {class: ./gone.py:X}\n  hung: {class: ./hung.py:X}\n"
        f"  echo: {{class: {echo}:Echo}}\n"
    )
    with serving(tmp_path, "--agents", str(file)) as served, ThreadPoolExecutor() as calls:
        swarm = served.call("swarm_init", topology="hierarchical")["swarmId"]
        with pytest.raises(AssertionError, match=r"Importing .*gone\.py ends .* exit code 7"):
            served.call("agent_spawn", swarmId=swarm, agentType="gone")
        hung = calls.submit(served.call, "agent_spawn", swarmId=swarm, agentType="hung")
        until(begun.exists)
        spawned = served.call("agent_spawn", swarmId=swarm, agentType="echo", wait=True)
        assert spawned["status"] == "ready"
        assert served.end(signal.SIGTERM) == 0
        assert hung.exception(60) is not None
    assert "Ending at once" not in served.said
