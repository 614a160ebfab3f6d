"""A program that is killed with -9 in the middle of a delegation: the next one goes on with it."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.rogues import events_of
from visionflow.domain import events as e
from visionflow.domain import teams_events as t
from visionflow.domain.teams import DELEGATE, LEAD

ROOT = Path(__file__).parents[2]
WAIT_S = 150.0

pytestmark = pytest.mark.acceptance("hierarchy")


def begin(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kills.killed_delegation", str(folder)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(reached: Callable[[], bool], program: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def began(folder: Path) -> list[str]:
    """The first numbers of the parts that began, with the attempt."""
    return sorted(path.name.removeprefix("began-") for path in folder.glob("began-*"))


def test_a_delegation_goes_on_after_a_kill_9_and_nothing_of_it_is_done_twice(
    tmp_path: Path,
) -> None:
    first = begin(tmp_path)
    try:
        until(lambda: began(tmp_path) == ["1-1", "3-1"], first)
    finally:
        first.kill()
        first.communicate(timeout=WAIT_S)
    (tmp_path / "go").touch()
    second = begin(tmp_path)
    try:
        out, err = second.communicate(timeout=WAIT_S)
    finally:
        second.kill()
    assert second.returncode == 0, err
    result = json.loads(out)
    assert result["result"]["total"] == 10 and result["accepted"]
    assert [part["completed"] for part in result["parts"]] == [True, True]

    events = events_of(tmp_path / "store")
    assert sum(isinstance(v, e.Recovered) for v in events) == 1
    submitted = Counter(v.spec.type for v in events if isinstance(v, e.TaskSubmitted))
    assert submitted == {DELEGATE: 1, LEAD: 1, "add": 2}, "the second attempts made nothing new"
    completed = Counter(v.task for v in events if isinstance(v, e.TaskCompleted))
    assert len(completed) == 4 and set(completed.values()) == {1}
    assert len([v for v in events if isinstance(v, t.TaskDelegated)]) == 1
    assert not [v for v in events if isinstance(v, t.LeadReplaced)], "who is restarted stays"
    steps = [v.name for v in events if isinstance(v, e.StepFinished)]
    assert sorted(steps) == ["aggregate", "distribute to sums", "review 1"]
