"""What strangers' suites taught: faults found with packages from the index, kept away for good."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tool_projects import QUICK, suite_of, write

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
