"""What the commands print of runs: results on standard output alone, one object with --json."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.cli.command_line import finished_run, visionflow
from visionflow.adapters.lock import acquire
from visionflow.compose.job import RunFolder, create_run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


@pytest.fixture
def done(workspace: Path, out: Path) -> RunFolder:
    return finished_run(workspace, out)


def test_a_finished_run_prints_its_result_again(done: RunFolder, out: Path) -> None:
    ran = visionflow("run", "--resume", done.run, "--out", out, "--json")
    assert ran.returncode == 1
    assert ran.stdout.count("\n") == 1
    assert json.loads(ran.stdout) == done.read_summary()
    assert ran.stderr == ""


def test_a_run_is_found_by_how_its_name_begins(done: RunFolder, out: Path) -> None:
    ran = visionflow("show", done.run[:-1], "--out", out, "--json")
    assert json.loads(ran.stdout) == done.read_summary()


def test_a_person_gets_verdict_gates_findings_and_where_the_report_is(
    done: RunFolder, out: Path
) -> None:
    ran = visionflow("run", "--resume", done.run, "--out", out)
    lines = ran.stdout.splitlines()
    assert lines[0] == "Failed: findings. (1.5 s)"
    assert lines[1].startswith("  findings failed ")
    assert f"Report: {done.page}" in lines
    assert lines[-1] == f"Show it: visionflow show {done.run} --out {out}"
    assert any("name.py:1 " in line for line in lines)


def test_many_findings_still_fit_into_25_lines(workspace: Path, out: Path) -> None:
    many = {f"gate {n}": None for n in range(9)}
    folder = finished_run(workspace, out, gates=many, findings=300)
    ran = visionflow("run", "--resume", folder.run, "--out", out)
    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) <= 25
    assert "and 295 more" in ran.stdout


def test_texts_of_a_repository_steer_no_terminal(done: RunFolder, out: Path) -> None:
    for words in (("run", "--resume", done.run), ("show", done.run), ("runs",)):
        ran = visionflow(*words, "--out", out)
        assert ran.stdout
        assert "\x1b" not in ran.stdout + ran.stderr
        assert "\x07" not in ran.stdout + ran.stderr


def test_colours_are_for_those_who_want_them(done: RunFolder, out: Path) -> None:
    words = ("run", "--resume", done.run, "--out", out)
    assert "\x1b[31m" in visionflow(*words, env={"FORCE_COLOR": "1"}).stdout
    both = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert "\x1b" not in visionflow(*words, env=both).stdout
    assert "\x1b" not in visionflow(*words, "--json", env={"FORCE_COLOR": "1"}).stdout


def test_a_reader_that_goes_away_is_no_error(done: RunFolder, out: Path) -> None:
    program = f"{sys.executable} -P -m visionflow.cli"
    words = f"{program} show {done.run} --out {out} | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)
    assert ran.stderr == ""
    assert ran.stdout.strip() in ("0", "141")


def test_a_reader_of_the_help_may_go_away_too() -> None:
    words = f"{sys.executable} -P -m visionflow.cli run --help | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() in ("0", "141")


def test_a_closed_standard_output_is_no_error(done: RunFolder, out: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "visionflow.cli", "runs", "--out", out],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_runs_are_listed_newest_first_while_they_run(
    done: RunFolder, workspace: Path, out: Path
) -> None:
    # Its owner is this process, which lives.
    running = create_run("Test it", workspace, out)
    ran = visionflow("runs", "--out", out, "--json")
    listed = json.loads(ran.stdout)["runs"]
    assert [(each["run"], each["status"]) for each in listed] == [
        (running.run, "running"),
        (done.run, "completed"),
    ]
    assert all(set(each) == {"run", "status", "out", "goal", "started"} for each in listed)
    assert listed[0]["out"] == str(running.path)
    people = visionflow("runs", "--out", out).stdout.splitlines()
    assert [line.split()[0] for line in people] == [running.run, done.run]


def test_no_runs_are_an_empty_list(out: Path) -> None:
    assert json.loads(visionflow("runs", "--out", out, "--json").stdout) == {"runs": []}
    assert visionflow("runs", "--out", out).stdout == f"No runs in {out}.\n"


def test_a_run_that_is_not_over_shows_what_there_is(workspace: Path, out: Path) -> None:
    folder = create_run("Test it", workspace, out)
    told = visionflow("show", folder.run, "--out", out)
    assert told.returncode == 0
    assert told.stdout.splitlines()[:2] == [f"Run {folder.run}: running", "Goal: Test it"]
    shown = json.loads(visionflow("show", folder.run, "--out", out, "--json").stdout)
    assert (shown["status"], shown["gates"], shown["findings"]) == ("running", None, None)


def test_a_run_that_somebody_works_on_is_not_resumed(workspace: Path, out: Path) -> None:
    folder = create_run("Test it", workspace, out)
    with acquire(folder.state / "front.lock"):
        ran = visionflow("run", "--resume", folder.run, "--out", out, "--json")
    assert ran.returncode == 75
    assert ran.stdout == ""
    assert f"process {os.getpid()}" in ran.stderr


def test_a_run_that_is_not_there_is_told_with_those_that_are(done: RunFolder, out: Path) -> None:
    ran = visionflow("run", "--resume", "run_nothing", "--out", out, "--json")
    assert (ran.returncode, ran.stdout) == (69, "")
    assert done.run in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_goal_that_nothing_can_meet_is_blocked(workspace: Path, out: Path) -> None:
    ran = visionflow("run", "Invent a language", "--workspace", workspace, "--out", out, "--json")
    assert ran.returncode == 3
    assert json.loads(ran.stdout)["status"] == "blocked"


def test_a_run_that_was_killed_does_not_look_under_way(done: RunFolder, out: Path) -> None:
    summary = {**(done.read_summary() or {}), "status": "running", "headline": "Under way: tests."}
    done.write_summary(summary)
    done.write_record(msgspec.structs.replace(done.read_record(), status="running", owner=None))
    told = json.loads(visionflow("show", done.run, "--out", out, "--json").stdout)
    assert (told["status"], told["headline"]) == ("interrupted", "Interrupted; it can be resumed.")
    people = visionflow("show", done.run, "--out", out).stdout
    assert "Interrupted; it can be resumed." in people and "Under way" not in people
    assert "Resume with: visionflow run --resume" in people
