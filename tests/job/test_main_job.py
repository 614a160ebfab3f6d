"""The whole job on a repository with faults, through real worker processes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from jobs import GOAL, GOOD, SAMPLE, carry_out, events_of, git, run_on, snapshot, steps_of, write

from visionflow.compose.job import Outcome, RunFolder, create_run, list_runs


class Done(NamedTuple):
    """A finished run over a repository whose history has a branch and a hook."""

    workspace: Path
    before: dict[str, Any]
    folder: RunFolder
    outcome: Outcome


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    workspace = write(tmp_path_factory.mktemp("strange"), SAMPLE)
    git(workspace, "init", "--quiet")
    git(workspace, "add", ".")
    git(workspace, "commit", "--quiet", "-m", "first")
    hook = workspace / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    (workspace / "dirty.py").write_text("x = 1\n")
    before, here = snapshot(workspace), os.getcwd()
    os.chdir(workspace)
    try:
        folder = create_run(GOAL, ".")
        outcome = carry_out(folder)
    finally:
        os.chdir(here)
    yield Done(workspace, before, folder, outcome)


@pytest.mark.acceptance("main-job")
def test_a_strange_repository_is_tested_and_reviewed(done: Done) -> None:
    summary = done.outcome.summary
    assert (done.outcome.status, done.outcome.exit_code) == ("completed", 1)
    assert summary["gates"] == {"tests": False, "syntax": True, "findings": False}
    assert summary["findings"]["high"] == 1
    assert summary["findings"]["medium"] >= 1
    assert summary["out"] == str(done.folder.path)
    assert {"run", "status", "out", "findings", "gates", "seconds", "trust"} <= set(summary)
    assert json.loads(done.folder.summary.read_bytes()) == summary


@pytest.mark.acceptance("main-job")
def test_the_users_tree_and_git_are_byte_for_byte_as_before(done: Done) -> None:
    assert snapshot(done.workspace) == done.before
    assert (done.workspace / ".visionflow" / ".gitignore").read_text() == "*\n"


@pytest.mark.acceptance("main-job")
def test_every_output_can_be_read_by_other_programs(done: Done) -> None:
    sarif = json.loads(done.folder.sarif.read_bytes())
    assert [run["tool"]["driver"]["name"] for run in sarif["runs"]] == [
        "bandit", "complexipy", "detect-secrets", "ruff", "vulture",
    ]  # fmt: skip
    results = [result for run in sarif["runs"] for result in run["results"]]
    assert results
    for result in results:
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert result["ruleId"] and (done.workspace / place).is_file()
    suite = ElementTree.parse(done.folder.junit).getroot()
    cases = [case.get("name") for case in suite.iter("testcase")]
    assert sorted(filter(None, cases)) == ["test_bad", "test_good"]
    coverage = ElementTree.parse(done.folder.coverage).getroot()
    assert float(coverage.get("line-rate", "0")) > 0
    report = done.folder.report.read_text()
    assert report.startswith("> How far to trust this: ")
    assert "tests failed (1 failed), confined" in report


def test_the_events_are_numbered_complete_and_told_once(done: Done) -> None:
    events = events_of(done.folder)
    assert [each["seq"] for each in events] == sorted(each["seq"] for each in events)
    assert all(each["at"].endswith("Z") and each["type"] for each in events)
    kinds = [each["type"] for each in events]
    assert kinds[0] == "swarm_created"
    assert kinds.count("plan_submitted") == 1
    completed = [each["task"] for each in events if each["type"] == "task_completed"]
    assert sorted(completed) == [
        "merge", "plan", "review-maintainability", "review-performance", "review-security",
        "run_tests", "survey",
    ]  # fmt: skip
    assert (completed[0], completed[-2:]) == ("survey", ["merge", "plan"])
    assert len(set(steps_of(done.folder))) == len(steps_of(done.folder))


def test_tests_and_review_ran_in_two_processes_and_none_is_left(done: Done) -> None:
    events = events_of(done.folder)
    started = {each["pid"] for each in events if each["type"] == "worker_started"}
    assert len(started) == 2
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert [each["type"] for each in events].count("worker_stopped") == 2


def test_copies_of_the_workspace_go_with_the_run_that_made_them(done: Done) -> None:
    left = {path.name for path in done.folder.state.iterdir()}
    assert "scratch" not in left and {"log.db", "repository"} <= left
    assert not (done.folder.state / "repository" / "worktrees").exists()


def test_a_finished_run_is_listed_and_its_outcome_is_given_again(done: Done) -> None:
    before = done.folder.events.stat().st_mtime_ns
    assert carry_out(done.folder) == done.outcome
    assert done.folder.events.stat().st_mtime_ns == before
    (info,) = list_runs(done.folder.path.parent)
    assert (info.run, info.status, info.goal) == (done.folder.run, "completed", GOAL)
    assert info.out == str(done.folder.path)


def test_a_sound_project_passes_every_gate(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", GOOD)
    _, outcome = run_on(workspace, tmp_path / "out")
    assert outcome.exit_code == 0
    assert outcome.summary["gates"] == {"tests": True, "syntax": True, "findings": True}
    assert snapshot(workspace).keys() == snapshot(write(tmp_path / "same", GOOD)).keys()
