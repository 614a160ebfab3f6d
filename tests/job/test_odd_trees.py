"""The job on trees that nobody would make on purpose: it ends, says what it could not, harms none.

What the tools alone do with odd files is in the tools' own tests; here it is the whole job.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from jobs import GOAL, QUICK, carry_out, events_of, git, run_on, snapshot, write

from visionflow.compose.job import create_run

_PASSES = "def test_it():\n    assert True\n"


def _sarif_paths(sarif: Path) -> set[str]:
    runs = json.loads(sarif.read_bytes())["runs"]
    return {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for run in runs
        for result in run["results"]
    }


def _pids_left(folder_events: list[dict[str, object]]) -> list[object]:
    pids = [event["pid"] for event in folder_events if event["type"] == "worker_started"]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.acceptance("main-job")
def test_a_dirty_tree_is_taken_as_it_stands_and_left_as_it_stood(tmp_path: Path) -> None:
    inner = write(tmp_path / "inner", {"inner.py": "x = 1\n"})
    top = write(tmp_path / "ws", {
        "pytest.ini": QUICK, "test_it.py": _PASSES, "staged.py": "x = 1\n", "edited.py": "x = 1\n",
        "gone.py": "import os\n", "old.py": "import re\n",
    })  # fmt: skip
    for folder in (inner, top):
        git(folder, "init", "--quiet")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", "first")
    local = ("-c", "protocol.file.allow=always")
    git(top, *local, "submodule", "--quiet", "add", str(inner), "part")
    git(top, "commit", "--quiet", "-m", "second")
    write(top, {"staged.py": "import sys\n"})
    git(top, "add", "staged.py")
    git(top, "mv", "old.py", "new.py")
    write(top, {"edited.py": "import json\n", "new_one.py": "import io\n"})
    write(top, {"part/inner.py": "import abc\n"})
    (top / "gone.py").unlink()
    before = snapshot(top)
    folder, outcome = run_on(top, tmp_path / "out")
    assert snapshot(top) == before
    assert outcome.summary["gates"] == {"tests": True, "syntax": True, "findings": True}
    assert _sarif_paths(folder.sarif) == {
        "staged.py", "new.py", "edited.py", "new_one.py", "part/inner.py",
    }  # fmt: skip


@pytest.mark.acceptance("main-job")
def test_odd_files_and_names_cost_only_themselves(tmp_path: Path) -> None:
    top = write(tmp_path / "wörk 😀 space", {
        "pytest.ini": QUICK, "test_it.py": _PASSES, "a\nb.py": "import os\n",
        "\x1b[31m<img src=x>`|.py": "import os\n", "-rf.py": "import os\n", "d/deep.py": "x = 1\n",
    })  # fmt: skip
    (top / "utf16.py").write_bytes("x = 1\n".encode("utf-16"))
    (top / "bom.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    (top / "latin1.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    (top / "d" / "up").symlink_to("..")
    (top / "itself").symlink_to("itself")
    (top / "away.py").symlink_to("/etc/passwd")
    os.mkfifo(top / "pipe.py")
    folder, outcome = run_on(top, tmp_path / "out")
    # What is not UTF-8 and no Python either was read by nobody, so that gate cannot be told.
    assert outcome.summary["gates"] == {"tests": True, "syntax": None, "findings": True}
    assert _sarif_paths(folder.sarif) == {
        "a%0Ab.py", "%1B%5B31m%3Cimg%20src%3Dx%3E%60%7C.py", "-rf.py",
    }  # fmt: skip
    report = folder.report.read_text()
    assert "\x1b" not in report
    for name in ("utf16.py", "latin1.py", "away.py", "pipe.py", "d/up"):
        assert name in report
    assert "1 passed, 0 failed" in report


def test_a_suite_that_hangs_is_cut_off_by_the_limit_that_a_template_sets(tmp_path: Path) -> None:
    top = write(tmp_path / "ws", {
        "pytest.ini": QUICK, "test_it.py": _PASSES,
        "test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(1000)\n",
    })  # fmt: skip
    agents = tmp_path / "agents.yaml"
    agents.write_text(
        "agent_templates:\n  tester:\n    class: visionflow.agents.roles.tester:TesterAgent\n"
        "    default_config: {timeout: 6}\n"
    )
    folder, outcome = run_on(top, tmp_path / "out", agents=agents)
    assert (outcome.status, outcome.exit_code) == ("completed", 0)
    assert outcome.summary["gates"]["tests"] is None
    assert "the wall clock ended the tests" in folder.report.read_text()
    assert _pids_left(events_of(folder)) == []


@pytest.mark.acceptance("confine")
def test_a_suite_that_attacks_where_it_runs_reaches_nothing_of_the_users(tmp_path: Path) -> None:
    mark = f"visionflow-odd-{os.getpid()}"
    top = write(tmp_path / "ws", {
        "pytest.ini": QUICK,
        "test_attack.py": (
            "import os, shutil, subprocess, sys\n\n\n"
            "def test_daemon():\n"
            "    sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
            f"    subprocess.Popen([*sleep, '{mark}'], start_new_session=True)\n\n\n"
            "def test_all_others():\n    try:\n        os.kill(-1, 9)\n"
            "    except (ProcessLookupError, PermissionError):\n        pass\n\n\n"
            "def test_users_file():\n"
            f"    assert not os.path.exists({str(tmp_path / 'mine')!r})\n\n\n"
            "def test_zz_own_folder():\n    shutil.rmtree(os.getcwd(), ignore_errors=True)\n"
        ),
    })  # fmt: skip
    (tmp_path / "mine").write_text("private")
    before = snapshot(top)
    folder, outcome = run_on(top, tmp_path / "out")
    assert snapshot(top) == before
    assert (tmp_path / "mine").read_text() == "private"
    assert outcome.status == "completed"
    assert outcome.summary["gates"]["syntax"] is True
    assert _pids_left(events_of(folder)) == []
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, timeout=30)
    assert not [line for line in listed.stdout.splitlines() if mark in line]


def test_an_output_folder_inside_the_workspace_is_no_part_of_it(tmp_path: Path) -> None:
    top = write(tmp_path / "ws", {"pytest.ini": QUICK, "test_it.py": _PASSES})
    earlier = create_run(GOAL, top, top / "results")
    write(earlier.path, {"left.py": "import os\n", "test_left.py": "def test(): assert 0\n"})
    folder, outcome = run_on(top, top / "results")
    assert outcome.summary["gates"] == {"tests": True, "syntax": True, "findings": True}
    assert outcome.summary["findings"]["low"] == 0
    assert carry_out(folder) == outcome
