"""What strangers' suites taught: faults found with packages from the index, kept away for good."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tool_projects import QUICK, reviewed, suite_of, write

from visionflow.agents.report.gates import base_gates

_TURNED = """
import itertools
import time


def test_later(monkeypatch):
    clock = itertools.count(time.time(), 1e9)
    for name in ("time.perf_counter", "_pytest.timing.perf_counter"):
        monkeypatch.setattr(name, lambda: next(clock))
    assert time.perf_counter() < time.perf_counter()
"""


def test_a_test_that_turns_the_clock_gets_the_time_it_really_took(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {"pytest.ini": QUICK, "test_turned.py": _TURNED})
    run = suite_of(root, tmp_path / "out")
    assert (run.outcome, run.counts.passed) == ("passed", 1)
    assert 0 <= run.slowest[0].seconds <= run.seconds
    elements = ElementTree.parse(tmp_path / "out" / "junit.xml").iter()
    times = [float(each.get("time", "0")) for each in elements]
    assert all(0 <= time <= run.seconds + 0.01 for time in times)
    assert any(times)


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"pytest.ini": "[pytest]\naddopts = -p no_such_plugin\n"}, "no_such_plugin"),
        ({"pytest.ini": QUICK, "test_old.py": "import py\npy.test.mark\n"}, "py"),
    ],
)
def test_an_absent_plugin_or_library_is_named_whatever_stands_in_its_place(
    tmp_path: Path, files: dict[str, str | bytes], missing: str
) -> None:
    root = write(tmp_path / "repo", {"test_a.py": "def test_a(): pass\n", **files})
    run = suite_of(root, tmp_path / "out")
    assert run.outcome == "could_not_run"
    assert run.missing == (missing,)


def test_why_pytest_gave_up_is_its_error_and_not_what_coverage_adds(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "pytest.ini": "[pytest]\naddopts = --strict-config\nno_such_setting = 1\n",
        "thing.py": "x = 1\n", "test_a.py": "def test_a(): pass\n",
    })  # fmt: skip
    run = suite_of(root, tmp_path / "out")
    assert run.outcome == "could_not_run"
    assert "no_such_setting" in (run.reason or "")


def test_a_module_that_no_test_imports_counts_as_not_covered(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "pytest.ini": QUICK, "used.py": "a = 1\nb = 2\n", "unused.py": "c = 3\nd = 4\n",
        "setup.py": "x = 1\n", "docs/conf.py": "y = 1\n", "docs/__init__.py": "",
        "test_a.py": "import used\ndef test_a(): assert used.a\n",
    })  # fmt: skip
    run = suite_of(root, tmp_path / "out")
    assert run.coverage == 50.0
    measured = ElementTree.parse(tmp_path / "out" / "coverage.xml").iter("class")
    assert {each.get("filename") for each in measured} == {"used.py", "unused.py"}


def test_no_tests_are_taken_through_links_that_lead_up_or_out(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"test_theirs.py": "def test_theirs(): assert 0\n"})
    root = write(tmp_path / "repo", {
        "pytest.ini": QUICK, "test_a.py": "def test_a(): pass\n",
        "shared/test_b.py": "def test_b(): pass\n", "deep/x.py": "",
    })  # fmt: skip
    (root / "deep" / "up").symlink_to("..")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to("shared")
    run = suite_of(root, tmp_path / "out")
    assert (run.outcome, run.counts.passed, run.counts.total) == ("passed", 3, 3)
    told = [note for note in run.notes if note.startswith("no tests are taken through")]
    assert [note.split(",")[0].rpartition(" ")[2] for note in told] == ["deep/up", "out"]


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_a_suite_that_leaves_before_its_first_test_gets_no_verdict(
    tmp_path: Path, leave: str
) -> None:
    root = write(tmp_path / "repo", {
        "pytest.ini": QUICK, "test_a.py": "def test_a(): pass\n", "a.py": "x = 1\n",
        "conftest.py": f"import os, sys\n{leave}\n",
    })  # fmt: skip
    run = suite_of(root, tmp_path / "out")
    assert run.outcome == "could_not_run"
    assert "without a result" in (run.reason or "")


@pytest.mark.parametrize("name", ["a$HOME", "b[1]", "c:d", "e\nf"])
def test_a_path_that_pytest_cannot_take_is_named_and_nothing_runs(
    tmp_path: Path, name: str
) -> None:
    root = write(tmp_path / name / "repo", {"test_a.py": "def test_a(): pass\n"})
    run = suite_of(root, tmp_path / "out")
    assert run.outcome == "could_not_run"
    assert "--out DIR" in (run.reason or "")


@pytest.mark.parametrize(
    ("content", "gate"),
    [
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", True),
        (b"x = '\xe9'\n", None),
        ("x = 1\n".encode("utf-16"), None),
        (b"x = " + b"-" * 100_000 + b"1\n", None),
    ],
)
def test_a_file_that_nobody_could_parse_leaves_the_syntax_gate_open(
    tmp_path: Path, content: bytes, gate: bool | None
) -> None:
    root = write(tmp_path / "repo", {"odd.py": content, "plain.py": "x = 1\n"})
    (root / "link.py").symlink_to("plain.py")
    assert base_gates(None, reviewed(root, tmp_path / "out"))["syntax"] is gate


def test_hostile_names_beside_the_code_do_not_disturb_its_coverage(tmp_path: Path) -> None:
    root = write(tmp_path / "repo, one" / "top", {
        "pytest.ini": QUICK, "used.py": "a = 1\n", "test_a.py": "import used\ndef test_a(): pass\n",
        "a\n[run]\nb.py": "x = 1\n", "$HOME,*.py": "x = 1\n", "[x]%s.py": "x = 1\n",
        "odd\nname/__init__.py": "x = 1\n",
    })  # fmt: skip
    run = suite_of(root, tmp_path / "out, two")
    assert (run.outcome, run.coverage) == ("passed", 100.0)
