"""Coding agents of a real server: killed in the middle, asked from the command line, over REST."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.coding.sample import ACCEPT, command_of, make_sample, run_git
from tests.serve.server_process import PATIENCE_S, Served, serving, until

GOAL = "Limit the calls"
GOOD, BREAKS = command_of("report:100:20:3000,good"), command_of("breaks")


def allowed(*agents: str) -> list[str]:
    return [word for each in agents for word in ("--coding-agent", each)]


def sample_in(folder: Path) -> Path:
    (folder / "workspace").mkdir()
    return make_sample(folder / "workspace")


def run_words(served: Served, *flags: str) -> "subprocess.CompletedProcess[str]":
    words = ["-m", "visionflow.cli", "run", GOAL, "--server", served.told["tcp"], *flags]
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=4 * PATIENCE_S
    )


def posted(url: str, path: str, body: object) -> Any:
    """What REST answers."""
    place = http.client.HTTPConnection(url.removeprefix("http://").strip("/"), timeout=PATIENCE_S)
    place.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    reply = place.getresponse()
    read = json.loads(reply.read())
    assert reply.status < 300, read
    place.close()
    return read


def programs(mark: str) -> list[int]:
    found: list[int] = []
    for each in Path("/proc").iterdir():
        try:
            words = (each / "cmdline").read_bytes() if each.name.isdigit() else b""
        except OSError:
            continue
        # The server itself was started with the agent's command line as one word.
        own = any(word.endswith(b"/scripted_agent.py") for word in words.split(b"\0"))
        if own and mark.encode() in words:
            found.append(int(each.name))
    return found


@pytest.mark.acceptance("coding-agents")
def test_a_server_that_is_killed_goes_on_with_its_coding_agents_and_leaves_none_behind(
    tmp_path: Path,
) -> None:
    workspace, mark = sample_in(tmp_path), f"mark-of-{tmp_path.name}"
    before = (run_git(workspace, "status", "--porcelain"), run_git(workspace, "rev-parse", "HEAD"))
    slow = command_of(f"say:{mark},sleeps:6,good")
    with serving(tmp_path, *allowed(slow)) as served:
        taken = served.call("task_orchestrate", task=GOAL, candidates=2, accept=[ACCEPT])
        name = taken["taskId"].replace("task_", "run_", 1)
        coding = tmp_path / "home" / "server" / "runs" / name / "state" / "coding"
        log = coding / "candidate-1" / "output.log"
        until(lambda: log.exists() and mark.encode() in log.read_bytes())
        served.kill_server()
        served.started()
        found = served.call("task_results", taskId=taken["taskId"], wait=True)
        assert found["status"] == "completed"
        contest = found["result"]["contest"]
        assert contest["winner"] in ("candidate-1", "candidate-2")
        goes = json.loads((coding / "candidate-1" / "go.json").read_text())["goes"]
        # Its program hangs under a worker that outlived the server, and never learned of it.
        assert [each["how"] for each in goes] == ["started"]
        assert log.read_bytes().count(mark.encode()) == 1
        until(lambda: not programs(mark))
    assert not programs(mark)
    after = (run_git(workspace, "status", "--porcelain"), run_git(workspace, "rev-parse", "HEAD"))
    assert after == before


@pytest.mark.acceptance("coding-agents")
def test_the_command_line_and_rest_have_a_servers_coding_agents_do_a_goal(tmp_path: Path) -> None:
    workspace = sample_in(tmp_path)
    with serving(tmp_path, *allowed(GOOD, BREAKS)) as served:
        assert served.call("server_info")["codingAgents"] == [GOOD, BREAKS]
        done = run_words(
            served, "--workspace", str(workspace), "--candidates", "2", "--accept", ACCEPT,
            "--max-tokens", "100000", "--agent-timeout", "2m", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        standings = {each["agent"]: each["standing"] for each in told["contest"]["candidates"]}
        assert standings == {GOOD: "taken", BREAKS: "not_good"}
        refused = run_words(served, "--agent", GOOD)
        assert refused.returncode == 2
        assert "owner allowed" in refused.stderr and "--candidates" in refused.stderr
        host = served.told["web"]
        given: dict[str, Any] = {"task": GOAL, "candidates": 1, "wait": True}
        answer = posted(host, "/api/tasks", given)
        assert answer["result"]["contest"]["winner"] == "candidate-1"
