"""A minute of chaos shows no violation; and each violation that is planted in what it left shows.

The seed is fixed, so that a failure is tried again by its command; others run in `make prove`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import apsw
import msgspec
import pytest

from tests.chaos.kept_run import KeptRun, rewritten
from visionflow.testing.chaos import ChaosReport, Order, chaos, leftovers
from visionflow.testing.chaos.server import MARK

ORDER = Order(seed=1, duration_s=60.0, tasks=600)
PATIENCE_S = 90.0
Fact = dict[str, Any]


@pytest.fixture(scope="module")
def report() -> Iterator[ChaosReport]:
    """A run of a minute; what it left stays until the last test."""
    found = chaos(ORDER, keep=True)
    try:
        yield found
    finally:
        rmtree(str(found.folder))


@pytest.fixture
def kept(report: ChaosReport, tmp_path: Path) -> KeptRun:
    """What it left, to plant faults in: a copy."""
    copy = tmp_path / "kept"
    copytree(
        str(report.folder), copy, ignore=lambda folder, names: [n for n in names if ".sock" in n]
    )
    return KeptRun(copy, ORDER)


@pytest.mark.acceptance("durable", "detect", "recover")
def test_a_minute_of_chaos_loses_nothing_does_nothing_twice_and_leaves_no_process(
    report: ChaosReport,
) -> None:
    assert report.violations == (), f"again: {report.again}"
    assert (report.lost, report.completed_twice, report.left_over) == (0, 0, ())
    assert report.acknowledged == sum(report.by_status.values()) == ORDER.tasks


def test_the_faults_of_the_plan_were_really_brought_about(report: ChaosReport) -> None:
    assert report.missed == ()
    assert {kind: found.times for kind, found in report.faults.items()} == {
        "worker_killed": 5, "worker_cut": 4, "worker_paused": 2, "worker_starved": 2,
        "worker_hung": 2, "server_killed": 2, "server_paused": 1, "server_ended": 1,
        "server_upgraded": 1, "front_killed": 1,
    }  # fmt: skip
    assert report.server_starts >= 5
    assert report.worker_starts > 4 + 5
    assert report.attempts > ORDER.tasks
    assert sum(found.attempts_lost for found in report.faults.values()) > 0
    again = report.again_ms
    assert again is not None and again.worst_ms >= again.median_ms > 0


def test_what_it_left_is_judged_again_without_a_violation(kept: KeptRun) -> None:
    assert kept.violations() == []


# Planted ---------------------------------------------------------------------------------------


def first(kept: KeptRun, kind: str) -> Fact:
    return next(event for event in kept.facts() if event["t"] == kind)


def without(kind: str, which: Callable[[Fact], bool]) -> Callable[[Fact], list[Fact]]:
    return lambda event: [] if event["t"] == kind and which(event) else [event]


def test_a_completion_that_is_missing_is_found(kept: KeptRun) -> None:
    task = first(kept, "task_completed")["task"]
    rewritten(kept, without("task_completed", lambda event: event["task"] == task))
    assert any(f"task {task} is" in each for each in kept.violations())


def test_a_second_completion_is_found(kept: KeptRun) -> None:
    task = first(kept, "task_completed")["task"]
    rewritten(
        kept,
        lambda event: (
            [event, event] if event["t"] == "task_completed" and event["task"] == task else [event]
        ),
    )
    assert any("cannot happen" in each and task in each for each in kept.violations())


def test_a_result_of_an_attempt_that_was_fenced_off_is_found(kept: KeptRun) -> None:
    done = next(e for e in kept.facts() if e["t"] == "task_completed" and e["attempt"] > 1)

    def older(event: Fact) -> list[Fact]:
        mine = event["t"] == "task_completed" and event["task"] == done["task"]
        return [{**event, "attempt": event["attempt"] - 1} if mine else event]

    rewritten(kept, older)
    assert any(f"quotes attempt {done['attempt'] - 1}" in each for each in kept.violations())


def test_a_result_that_is_another_one_is_found(kept: KeptRun) -> None:
    done = next(e for e in kept.facts() if e["t"] == "task_completed" and e["result"][0])
    value = msgspec.msgpack.decode(done["result"][0])
    value["number"] += 1

    def other(event: Fact) -> list[Fact]:
        mine = event["t"] == "task_completed" and event["task"] == done["task"]
        return [{**event, "result": [msgspec.msgpack.encode(value)]} if mine else event]

    rewritten(kept, other)
    assert any("has the number" in each for each in kept.violations())


def test_a_blob_that_is_gone_is_found(kept: KeptRun) -> None:
    # What an attempt stored before it was killed may be named nowhere.
    results = (e["result"] for e in kept.facts() if e["t"] == "task_completed")
    name = next(result[1] for result in results if len(result) > 1 and result[1])
    stored = (path for path in kept.place.blobs.rglob("*") if path.is_file())
    next(path for path in stored if name.endswith(path.name)).unlink()
    assert any(f"blob {name[:8]}" in each for each in kept.violations())


def test_a_record_that_was_changed_is_found(kept: KeptRun) -> None:
    with closing(apsw.Connection(str(kept.place.log))) as log:
        log.execute("UPDATE records SET body = zeroblob(9) WHERE seq = 5")
    assert any("the log is damaged" in each for each in kept.violations())


def test_a_tail_that_was_cut_off_is_found(kept: KeptRun) -> None:
    watcher = kept.watched()
    rewritten(kept, without("task_completed", lambda event: True))
    found = list(kept.judged(watcher))
    assert any("is not the one that was seen" in e or "the log ends before" in e for e in found)


def test_a_task_that_was_acknowledged_and_is_not_there_is_found(kept: KeptRun) -> None:
    kept.tasks["task_of_nobody"] = next(iter(kept.tasks.values()))
    assert any("task_of_nobody was acknowledged" in each for each in kept.violations())


def test_an_attempt_that_ran_in_two_processes_is_found(kept: KeptRun) -> None:
    lines = kept.place.trace.read_bytes().splitlines()
    what, task, attempt, pid = msgspec.json.decode(lines[0])
    with kept.place.trace.open("ab") as trace:
        trace.write(msgspec.json.encode([what, task, attempt, pid + 1]) + b"\n")
    assert any("ran in processes" in each for each in kept.violations())


def test_a_finished_step_that_ran_again_is_found(kept: KeptRun) -> None:
    step = next(e for e in kept.facts() if e["t"] == "step_finished")
    place = step["key"].partition(":")[0]
    line = next(
        line
        for line in kept.place.trace.read_bytes().splitlines()
        if msgspec.json.decode(line)[:3] == [place, step["task"], step["attempt"]]
    )
    with kept.place.trace.open("ab") as trace:
        trace.write(line + b"\n")
    assert any("ran twice" in each for each in kept.violations())


def test_an_answer_that_is_not_true_is_found(kept: KeptRun) -> None:
    task = first(kept, "task_completed")["task"]
    kept.told[task] = {"status": "failed"}
    assert any("who waited was told 'failed'" in each for each in kept.violations())


def test_a_process_that_is_left_over_is_found_and_ended(tmp_path: Path) -> None:
    code = "import time; print('up', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, MARK: str(tmp_path)},
        stdout=subprocess.PIPE,
    ) as left:
        assert left.stdout is not None and left.stdout.readline() == b"up\n"
        found = leftovers.marked(MARK, str(tmp_path))
        assert [who.pid for who in found] == [left.pid]
        leftovers.end(found)
        assert left.wait(PATIENCE_S) == -signal.SIGKILL
    assert leftovers.marked(MARK, str(tmp_path)) == []


# The command -----------------------------------------------------------------------------------


def test_a_term_ends_it_in_order_as_ctrl_c_does_and_nothing_is_left(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "visionflow.cli", "chaos", "--seed", "3", "--agents", "2"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as running:
        deadline = time.monotonic() + PATIENCE_S
        while not (home := next(tmp_path.glob("vf-chaos-*/home/server/mcp.sock"), None)):
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        mark = str(home.parents[1])
        assert leftovers.marked(MARK, mark)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 143
        assert b"Interrupted: nothing was checked" in said
    assert leftovers.marked(MARK, mark) == []
    assert list(tmp_path.iterdir()) == []


def test_what_it_started_ends_with_it_when_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "visionflow.cli", "chaos", "--seed", "3", "--agents", "2"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        deadline = time.monotonic() + PATIENCE_S
        while not (home := next(tmp_path.glob("vf-chaos-*/home/server/mcp.sock"), None)):
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        mark = str(home.parents[1])
        assert leftovers.marked(MARK, mark)
        running.kill()
        running.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while leftovers.marked(MARK, mark) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        left = leftovers.marked(MARK, mark)
        leftovers.end(left)
    assert left == []
