"""Workspaces, goals and agents of all kinds: each run ends, and says what it could not do."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from jobs import GOAL, GOOD, SAMPLE, carry_out, events_of, git, run_on, snapshot, write

from visionflow.compose.job import Outcome, create_run, find_run, list_runs
from visionflow.compose.job.exits import ExitCode, OutputError
from visionflow.domain.errors import ConfigError, UnknownId, UsageError, WorkspaceError

UNKNOWN = {"tests": None, "syntax": None, "findings": None}
OWN = """
import visionflow


class Counting(visionflow.BaseAgent):
    async def process_task(self, task):
        self.log("counting")
        return {"tests": {"outcome": "passed", "counts": {"passed": self.config["passed"]}}}


class Broken(visionflow.BaseAgent):
    async def start(self):
        raise RuntimeError("no such instrument")
"""


def own_agents(folder: Path, role: str, name: str) -> Path:
    (folder / "own.py").write_text(OWN)
    path = folder / "agents.yaml"
    path.write_text(
        f"agent_templates:\n  {role}: {{class: own.py:{name}, default_config: {{passed: 7}}}}\n"
    )
    return path


def test_a_folder_without_anything_in_it_leaves_every_gate_unknown(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    folder, outcome = run_on(tmp_path / "ws", tmp_path / "out")
    assert (outcome.status, outcome.exit_code) == ("completed", 0)
    assert outcome.summary["gates"] == UNKNOWN
    assert "Nothing could be checked" in folder.report.read_text()


def test_a_subfolder_through_a_link_is_taken_alone_and_read_only_is_enough(
    tmp_path: Path,
) -> None:
    top = write(tmp_path / "top", {"other.py": "import os\n"})
    write(top / "part", GOOD)
    git(top, "init", "--quiet")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "-m", "first")
    (tmp_path / "link").symlink_to(top / "part")
    for path in (*top.rglob("*"), top):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(top)
    try:
        folder, outcome = run_on(tmp_path / "link", tmp_path / "out")
        assert snapshot(top) == before
    finally:
        for path in (top, *top.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
    assert outcome.summary["gates"] == {"tests": True, "syntax": True, "findings": True}
    assert outcome.summary["findings"]["low"] == 0
    assert folder.read_record().workspace == str(top / "part")


@pytest.mark.acceptance("main-job")
def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    workspaces = [write(tmp_path / "good", GOOD), write(tmp_path / "bad", SAMPLE)]
    folders = [create_run(GOAL, each, tmp_path / "out") for each in workspaces]
    ended: dict[int, Outcome] = {}

    def work(number: int) -> None:
        ended[number] = carry_out(folders[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [ended[number].exit_code for number in range(2)] == [0, 1]
    assert {info.status for info in list_runs(tmp_path / "out")} == {"completed"}


@pytest.mark.acceptance("agent-templates")
def test_a_tester_of_ones_own_does_the_testing(tmp_path: Path) -> None:
    agents = own_agents(tmp_path, "tester", "Counting")
    folder, outcome = run_on(write(tmp_path / "ws", GOOD), tmp_path / "out", agents=agents)
    assert outcome.summary["gates"]["tests"] is True
    assert "7 passed" in folder.report.read_text()
    spawned = [e for e in events_of(folder) if e["type"] == "agent_spawned"]
    own = {e["spec"]["id"] for e in spawned if e["spec"]["class_path"].endswith(":Counting")}
    assert own == {"tester"}


def test_an_agent_that_never_starts_leaves_its_part_unknown_and_named(tmp_path: Path) -> None:
    agents = own_agents(tmp_path, "tester", "Broken")
    folder, outcome = run_on(write(tmp_path / "ws", GOOD), tmp_path / "out", agents=agents)
    assert (outcome.status, outcome.exit_code) == ("completed", 0)
    assert outcome.summary["gates"] == {"tests": None, "syntax": True, "findings": True}
    assert "no such instrument" in folder.report.read_text()


def test_a_run_whose_reviewer_never_starts_still_tells_of_the_tests(tmp_path: Path) -> None:
    agents = own_agents(tmp_path, "reviewer", "Broken")
    folder, outcome = run_on(write(tmp_path / "ws", GOOD), tmp_path / "out", agents=agents)
    assert outcome.summary["gates"] == {"tests": True, "syntax": None, "findings": None}
    assert outcome.summary["findings"] is None
    report = folder.report.read_text()
    assert "bandit not run" in report and "no such instrument" in report


@pytest.mark.acceptance("main-job")
@pytest.mark.parametrize(
    ("goal", "said"),
    [("Build an authentication service", "build"), ("Write tests for it", "write"),
     ("Fix the failing tests", "failing"), ("Research best practices", "not in this repository")],
)  # fmt: skip
def test_a_goal_that_nothing_here_can_meet_is_blocked_and_nothing_runs(
    tmp_path: Path, goal: str, said: str
) -> None:
    folder = create_run(goal, write(tmp_path / "ws", GOOD), tmp_path / "out")
    outcome = carry_out(folder)
    assert (outcome.status, outcome.exit_code) == ("blocked", ExitCode.BLOCKED)
    assert outcome.summary["gates"] == {} and outcome.summary["findings"] is None
    assert said in outcome.summary["why"] and said in outcome.summary["notes"][0]
    assert said in folder.report.read_text()
    assert not (folder.state / "log.db").exists()
    assert [info.status for info in list_runs(tmp_path / "out")] == ["blocked"]


def test_a_workspace_that_cannot_be_read_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    for name in ("gone", "file"):
        with pytest.raises(WorkspaceError, match=f"{name} cannot be used as a workspace") as caught:
            create_run(GOAL, tmp_path / name, tmp_path / "out")
        assert caught.value.status == ExitCode.WORKSPACE
    with pytest.raises(UsageError):
        create_run(" ", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Name a folder that you may write"):
        create_run(GOAL, tmp_path, tmp_path / "file" / "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".visionflow").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic link"):
        create_run(GOAL, tmp_path, tmp_path / ".visionflow" / "runs")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_git_is_told_to_leave_runs_alone_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "mine", {"notes.txt": ""})
    in_mine = create_run(GOAL, tmp_path, tmp_path / "mine")
    assert not (tmp_path / "mine" / ".gitignore").exists()
    assert (in_mine.path / ".gitignore").read_text() == "*\n"
    in_new = create_run(GOAL, tmp_path, tmp_path / "new")
    assert (in_new.path.parent / ".gitignore").read_text() == "*\n"


def test_a_run_is_found_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    first, second = (create_run(GOAL, tmp_path, tmp_path / "out") for _ in range(2))
    assert find_run(tmp_path / "out", first.run).path == first.path
    pairs = zip(first.run, second.run, strict=True)
    shared = first.run[: next(place for place, (a, b) in enumerate(pairs) if a != b)]
    assert find_run(tmp_path / "out", second.run[: len(shared) + 1]).path == second.path
    with pytest.raises(UnknownId, match="More than one run begins with"):
        find_run(tmp_path / "out", shared)
    with pytest.raises(UnknownId, match="There is no run 'nothing'"):
        find_run(tmp_path / "out", "nothing")
    assert [info.run for info in list_runs(tmp_path / "out")][-1] in (first.run, second.run)
    assert list_runs(tmp_path / "nowhere") == []


def test_templates_with_faults_stop_the_run_before_it_is_created(tmp_path: Path) -> None:
    absent = tmp_path / "agents.yaml"
    absent.write_text("agent_templates:\n  tester: {class: visionflow.agents.TestAgent}\n")
    with pytest.raises(ConfigError, match="Did you mean TesterAgent"):
        create_run(GOAL, tmp_path, tmp_path / "out", agents=absent)
    absent.write_text(
        "agent_templates:\n  coordinator:\n    class: visionflow.agents.CoordinatorAgent\n"
        "    default_config: {max_workers: 0}\n"
    )
    with pytest.raises(ConfigError, match="max_workers"):
        create_run(GOAL, tmp_path, tmp_path / "out", agents=absent)
    with pytest.raises(ConfigError, match="cannot be read"):
        create_run(GOAL, tmp_path, tmp_path / "out", agents=tmp_path / "gone.yaml")
    assert list_runs(tmp_path / "out") == []


@pytest.mark.acceptance("config")
@pytest.mark.parametrize(
    ("role", "settings", "told"),
    [
        ("tester", "default_config: {coverage_threshold: high}", "coverage_threshold"),
        ("researcher", "default_config: {search_depth: -1}", "search_depth"),
        ("reviewer", "default_config: {review_depth: deep}", "review_depth"),
        ("coder", "resources: {memory: 1Mi}", "less than 64Mi"),
    ],
)
def test_a_setting_that_no_role_can_use_stops_the_run_before_it_is_created(
    tmp_path: Path, role: str, settings: str, told: str
) -> None:
    agents = tmp_path / "agents.yaml"
    name = f"visionflow.agents.{role.capitalize()}Agent"
    agents.write_text(f"agent_templates:\n  {role}:\n    class: {name}\n    {settings}\n")
    with pytest.raises(ConfigError, match=told) as caught:
        create_run("Audit this", tmp_path, tmp_path / "out", agents=agents)
    assert "agents.yaml:3" in caught.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.acceptance("main-job")
@pytest.mark.acceptance("confine")
def test_a_run_needs_no_network(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("no network namespace can be made here")
    write(tmp_path / "ws", GOOD)
    command = [sys.executable, "-m", "visionflow.cli", "run", GOAL, "--json", "--no-progress"]
    # The kernel counts what leaves this namespace, or tries to.
    script = '"$@" && cat /proc/self/net/snmp'
    done = subprocess.run(
        [*alone, "sh", "-c", script, "sh", *command,
         "--workspace", str(tmp_path / "ws"), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    result, counted = done.stdout.split("\n", 1)
    assert json.loads(result)["gates"] == {"tests": True, "syntax": True, "findings": True}
    tried = {name: kernel_count(counted, name) for name in ("Tcp:ActiveOpens", "Udp:OutDatagrams")}
    assert tried == {"Tcp:ActiveOpens": 0, "Udp:OutDatagrams": 0}


def kernel_count(snmp: str, name: str) -> int:
    """One counter of /proc/net/snmp, where names and figures stand on lines of their own."""
    table, column = name.split(":")
    names, figures = (line.split() for line in snmp.splitlines() if line.startswith(f"{table}:"))
    return int(figures[names.index(column)])
