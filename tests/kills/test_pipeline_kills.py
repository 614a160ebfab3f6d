"""A program killed with -9 in a stage, and between a stage's completion and its judgement."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.api.rogues import events_of
from visionflow.domain import events as e
from visionflow.domain import pipelines_events as pe

ROOT = Path(__file__).parents[2]
WAIT_S = 150.0


def begin(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kills.killed_pipeline", str(folder)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.acceptance("pipeline")
def test_a_pipeline_goes_on_after_each_kill_and_no_stage_is_done_or_judged_twice(
    tmp_path: Path,
) -> None:
    first = begin(tmp_path)
    try:
        deadline = time.monotonic() + WAIT_S
        while not (tmp_path / "began").exists():
            assert first.poll() is None, first.communicate()
            assert time.monotonic() < deadline, "the stage did not begin"
            time.sleep(0.02)
    finally:
        first.kill()
        first.communicate(timeout=WAIT_S)
    (tmp_path / "go").touch()
    second = begin(tmp_path)
    second.communicate(timeout=WAIT_S)
    assert second.returncode == -signal.SIGKILL and (tmp_path / "transformed").exists()
    third = begin(tmp_path)
    out, err = third.communicate(timeout=WAIT_S)
    assert third.returncode == 0, err

    found = json.loads(out)
    assert found["result"]["n"] == 21, "0 + 1, + 1, times 10, + 1"
    assert found["report"]["status"] == "completed"
    assert [len(stage["rounds"]) for stage in found["report"]["stages"]] == [1, 1, 1]
    assert found["report"]["stages"][1]["rounds"][0]["measured"] == {"quality": 0.5}
    events = events_of(tmp_path / "store")
    stages = {"mine.first.1", "mine.slow.1", "mine.last.1"}
    completed = Counter(v.task for v in events if isinstance(v, e.TaskCompleted))
    judged = Counter(v.task for v in events if isinstance(v, pe.StageJudged))
    assert completed == judged == dict.fromkeys(stages, 1)
    assert sum(isinstance(v, e.Recovered) for v in events) == 2
    (tries,) = {line.split()[0] for line in (tmp_path / "began").read_text().splitlines()}
    assert tries == "mine.slow.1"
