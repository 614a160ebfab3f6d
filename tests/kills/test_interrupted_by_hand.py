"""Ctrl-C on a terminal: once is graceful, twice at once, and the last line goes on with the run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminals import OnTerminal
from tests.kills.slow_package import make_sample
from tests.kills.watched_run import EXAMINE, GOAL, VOTES, WatchedRun
from visionflow.domain import events as e

CTRL_C = b"\x03"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[WatchedRun]:
    workspace = make_sample(tmp_path / "sample")
    with WatchedRun(workspace, tmp_path / "runs") as watched:
        yield watched


def on_terminal(run: WatchedRun) -> OnTerminal:
    argv = [sys.executable, "-P", "-m", "visionflow.cli", "run", GOAL, "--out", str(run.out)]
    return OnTerminal(argv, {"PATH": os.environ["PATH"]}, run.workspace)


def last_line(terminal: OnTerminal) -> str:
    return [line for line in terminal.text.replace("\r", "\n").split("\n") if line.strip()][-1]


@pytest.mark.acceptance("main-job")
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_run_goes_on_by_its_last_line(run: WatchedRun, times: int) -> None:
    with on_terminal(run) as terminal:
        run.reach("reviews done", meanwhile=terminal.drain)
        terminal.type(CTRL_C)
        if times > 1:
            terminal.until(lambda: "Stopping" in terminal.text)
            terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert run.living() == []
    before, _, command = last_line(terminal).partition("Resume with: visionflow ")
    assert before.strip() in ("", "\x1b[?25h")
    resumed = f"{sys.executable} -P -m visionflow.cli {command} --no-progress"
    ran = subprocess.run(
        ["sh", "-c", resumed], cwd="/", capture_output=True, text=True, timeout=240
    )
    run.look()
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "Failed: findings." in ran.stdout
    done = [v.task for v in run.events if isinstance(v, e.TaskCompleted)]
    assert sorted(done) == sorted({"survey", *EXAMINE, "fix", *VOTES, "merge", "plan"})
    assert (done[0], done[-2:]) == ("survey", ["merge", "plan"])
