"""A server that is killed with a run under way: the next one goes on with it, once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from desks import Desk, workspace_in
from served import HERE, settings_in, until, with_core

from visionflow.compose.job import RunFolder
from visionflow.compose.serve.opening import OpenServer


@pytest.mark.parametrize("strikes", [1, 2])
def test_what_a_client_was_told_goes_on_after_kill_9_and_is_not_done_twice(
    tmp_path: Path, strikes: int
) -> None:
    workspace_in(tmp_path)
    goal = "Explain where double is"
    told: list[dict[str, str]] = []
    for _ in range(strikes):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "jobs_process.py"), str(tmp_path), goal, "k"],
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            told.append(json.loads(process.stdout.readline()))
            process.kill()
    task, run = told[0]["taskId"], told[0]["runId"]
    assert {(each["taskId"], each["runId"]) for each in told} == {(task, run)}

    async def go_on(opened: OpenServer) -> None:
        desk = Desk(opened)
        again = await desk.call("task_orchestrate", task=goal, idempotencyKey="k", swarmId="s1")
        assert again["taskId"] == task
        ended = await desk.call("task_results", taskId=task, wait=True)
        assert ended["report"]["status"] == "completed"
        swarm = opened.server.swarms.get("s1")
        assert len(await swarm.read(lambda queries: queries.agents())) == 3
        await until(lambda: not swarm.state.agents)
        assert [each.run for each in opened.server.jobs.runs()] == [run]

    with_core(settings_in(tmp_path), go_on)
    folder = RunFolder(tmp_path / "home" / "server" / "runs" / run)
    lines = [json.loads(line) for line in folder.events.read_text().splitlines()]
    ended = [each["task"] for each in lines if each["type"] == "task_completed"]
    assert len(ended) == len(set(ended)) == 5
    assert not os.listdir(tmp_path / "home" / "server" / "open_runs")
