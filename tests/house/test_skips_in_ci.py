"""In CI a skipped test fails the session, unless its reason is listed."""

import os
import subprocess
import sys
from pathlib import Path

import house_rules as rules
import pytest

SUITE = """
import pytest

def test_passes() -> None: ...

@pytest.mark.xfail(reason="known")
def test_known() -> None:
    assert False

@pytest.mark.skipif(True, reason="no such device here")
def test_skipped() -> None: ...
"""
LISTED = '[[allowed]]\nreason = "no such device"\nwhy = "the machine has none"\n'


def run_suite(folder: Path, *, ci: str, allowed: str, suite: str = SUITE) -> tuple[int, str]:
    conftest = (rules.ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "allowed_skips.toml").write_text(allowed, encoding="utf-8")
    (folder / "test_planted.py").write_text(suite, encoding="utf-8")
    environment = {name: v for name, v in os.environ.items() if name != "VISIONFLOW_CLAIMS"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=folder,
        env={**environment, "CI": ci},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ran.returncode, ran.stdout


def test_a_skip_that_is_not_listed_fails_in_ci(tmp_path: Path) -> None:
    code, out = run_suite(tmp_path, ci="true", allowed="")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "test_planted.py::test_skipped: no such device here" in out
    assert "test_known" not in out


def test_a_skip_that_is_listed_passes_in_ci(tmp_path: Path) -> None:
    assert run_suite(tmp_path, ci="true", allowed=LISTED)[0] == pytest.ExitCode.OK


def test_a_skip_passes_at_home(tmp_path: Path) -> None:
    assert run_suite(tmp_path, ci="", allowed="")[0] == pytest.ExitCode.OK


def test_a_whole_module_that_is_skipped_fails_in_ci(tmp_path: Path) -> None:
    suite = "import pytest\npytest.importorskip('no_such_module_at_all')\n"
    code, out = run_suite(tmp_path, ci="true", allowed="", suite=suite)
    assert code != pytest.ExitCode.OK
    assert "no_such_module_at_all" in out
