"""What of a change decides how a predicate goes, and whether a pass of it proves anything."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from visionflow.agents.candidates.commandline import calls_pytest, scripts_in, simple_commands
from visionflow.agents.candidates.counting import counted_in
from visionflow.agents.candidates.proofs import TOGETHER, OnBase, WithBase, proof_of
from visionflow.agents.candidates.steering import Touched, kind_of, touched_by
from visionflow.agents.candidates.values import Accepted, Counted

CODING = pytest.mark.acceptance("coding-agents")

KINDS = {
    "test": (
        "test_a.py", "a/test_a.py", "a/b_test.py", "tests.py", "tests/data/a.json", "test/a.c",
        "pkg/tests/helpers.py", "Tests/A.cs", "spec/a_spec.rb", "specs/a.js", "a/__tests__/a.js",
        "src/a.test.ts", "src/a.spec.tsx", "limit_test.go", "a/LimitTest.java",
    ),
    "steers": (
        "conftest.py", "tests/deep/conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml",
        "pyproject.toml", "setup.cfg", "tox.ini", "sitecustomize.py", "src/usercustomize.py",
        "a.pth", "pytest.py", "pytest/__init__.py", "_pytest/runner.py", "src/unittest/case.py",
        "coverage.py", "lib/pluggy.py", "Makefile", "noxfile.py", "package.json",
        "jest.config.js", "vitest.config.ts", ".coveragerc", "a.egg-info/entry_points.txt",
    ),
    None: (
        "app/login.py", "README.md", "latest.py", "app/contest.py", "testing.py", "app/pytest.py",
        "shop/unittest/a.py", "docs/tests.md", "coverage/index.html", "app/Makefile.txt", "go.sum",
        "spec.md", "protest/a.py",
    ),
}  # fmt: skip


@CODING
@pytest.mark.parametrize(("kind", "path"), [(k, p) for k, paths in KINDS.items() for p in paths])
def test_tests_and_what_steers_them_are_told_by_their_names(kind: str | None, path: str) -> None:
    assert kind_of(path) == kind


STARTED: dict[str, tuple[set[str], bool]] = {
    "pytest -q -k limit": ({"limit"}, True),
    "pytest -q a/limits_check.py::test_b -x": ({"a/limits_check.py"}, True),
    "python -m pytest ./checks/a.py": ({"checks/a.py", "pytest"}, True),
    "python3.12 -m unittest checks/a.py": ({"checks/a.py", "unittest"}, False),
    "sh -c 'cd app && X=1 pytest ../a; ./check.sh'": ({"check.sh"}, True),
    "bash -ec 'sh check.sh | tee out'": ({"check.sh"}, False),
    "env A=b .venv/bin/py.test": ({".venv/bin/py.test"}, True),
    "python scripts/check.py --fast app/login.py": ({"scripts/check.py"}, False),
    "python -c 'import pytest'": (set(), False),
    "make -f build/Makefile test": ({"build/Makefile"}, False),
    "grep -q 'def limited' app/limits.py": (set(), False),
    "grep pytest README.md": (set(), False),
    "ruff check app": (set(), False),
    "./run-tests": ({"run-tests"}, False),
    "/usr/bin/true ../x": (set(), False),
    "sh check.sh": ({"check.sh"}, False),
    "echo 'open": (set(), False),
}


@CODING
@pytest.mark.parametrize("command", STARTED)
def test_what_a_command_line_executes_and_whether_it_is_pytest(command: str) -> None:
    scripts, by_pytest = STARTED[command]
    assert scripts_in(command) == scripts
    assert calls_pytest(command) is by_pytest


def test_a_line_of_a_shell_is_parted_where_it_starts_another_program() -> None:
    assert simple_commands("sh -c 'a 1 && (b \"x y\" | c)'") == (("a", "1"), ("b", "x y"), ("c",))
    assert simple_commands("a && b") == (("a", "&&", "b"),)


CHANGES: list[tuple[str, Any]] = [
    ("tests/test_limit.py", "changed"), ("tests/test_old.py", "deleted"),
    ("tests/test_new.py", "added"), ("conftest.py", "added"), ("app/login.py", "changed"),
    ("app/new.py", "added"), ("check.sh", "changed"),
]  # fmt: skip


@CODING
def test_each_touched_file_is_put_where_its_fate_is_told() -> None:
    assert touched_by(CHANGES, "pytest -k limit") == Touched(
        ("tests/test_limit.py",), ("tests/test_old.py",), ("conftest.py",), ("tests/test_new.py",)
    )
    named = touched_by(CHANGES, "pytest tests/test_new.py")
    assert named.tests == ()
    assert "check.sh" in touched_by(CHANGES, "sh check.sh").judges
    assert touched_by([("app/login.py", "changed")], "pytest").every == ()


PASSES = Accepted("pytest -k limit", True, 0, counted=Counted(2, 0, 2))
BASE = OnBase(False, Counted(1, 0, 2))
NONE = Touched()
CHEATS = Touched(("tests/test_a.py",))


def run_again(passed: bool | None, *counts: int, reason: str | None = None) -> WithBase:
    counted = Counted(*counts) if counts else None
    return WithBase(Accepted("pytest -k limit", passed, reason=reason, counted=counted))


DOUBTS: list[tuple[dict[str, Any], OnBase, Touched, WithBase | None, str | None]] = [
    ({}, BASE, NONE, None, None),
    ({}, BASE, CHEATS, run_again(True, 2, 0, 2), None),
    ({}, BASE, CHEATS, run_again(False, 1, 0, 2),
     "passes only with tests/test_a.py as this candidate changed it"),
    ({}, BASE, Touched(("a", "b"), ("c",), ("d",), ("e",)),
     WithBase(Accepted("p", False), ("e",)),
     ("passes only with a and b as this candidate changed them, and with d and e, which this "
      "candidate added, and without c, which this candidate deleted")),
    ({}, BASE, Touched(tuple("abcde")), run_again(False),
     "passes only with a, b, c and 2 more as this candidate changed them"),
    ({}, BASE, CHEATS, run_again(None, reason="no sandbox"),
     "is not known to pass with tests/test_a.py as base has it: no sandbox"),
    ({}, BASE, CHEATS, run_again(True, 0, 2, 2),
     "passes with tests/test_a.py as base has it, but no test in it does: 2 skipped"),
    ({"counted": Counted(0, 1, 1)}, BASE, NONE, None, "passes, but no test in it does: 1 skipped"),
    ({"counted": Counted(0, 0, 0)}, BASE, NONE, None,
     "passes, but no test in it does: none was run"),
    ({"counted": Counted(1, 1, 2)}, BASE, NONE, None,
     "passes with 1 test skipped, and 0 on base"),
    ({"counted": Counted(1, 0, 1)}, BASE, NONE, None, "passes with 1 test, and 2 on base"),
    ({"counted": Counted(1, 1, 2)}, OnBase(False, Counted(0, 1, 2)), NONE, None, None),
    ({"counted": Counted(1, 1, 2)}, OnBase(False, Counted(0, 0, 0)), NONE, None, None),
    ({"counted": Counted(1, 1, 2)}, OnBase(None), NONE, None, None),
    ({"counted": None}, BASE, NONE, None,
     "passes, but pytest left no results, so what passed is not known"),
    ({"counted": None, "command": "make test"}, OnBase(False), NONE, None, None),
    ({"counted": None, "command": "make test"}, BASE, NONE, None,
     "passes, but pytest left no results, so what passed is not known"),
    ({"passed": False}, BASE, CHEATS, None, None),
]  # fmt: skip


@CODING
@pytest.mark.parametrize(("own", "base", "touched", "again", "doubt"), DOUBTS)
def test_why_a_pass_is_no_proof(
    own: dict[str, Any], base: OnBase, touched: Touched, again: WithBase | None, doubt: str | None
) -> None:
    found = proof_of(msgspec.structs.replace(PASSES, **own), base, touched, again)
    assert found.doubt == doubt
    assert found.proved == (found.passed is True and base.passed is False and doubt is None)
    assert found.with_base_tests is (None if again is None else again.accepted.passed)


@CODING
def test_of_the_work_of_several_it_is_not_said_to_be_a_candidates() -> None:
    found = proof_of(PASSES, BASE, CHEATS, run_again(False), TOGETHER)
    assert found.doubt == "passes only with tests/test_a.py as the work of all together changed it"


CASES = (
    '<testcase name="a" /><testcase name="b"><skipped type="pytest.skip" /></testcase>'
    '<testcase name="c"><skipped type="pytest.xfail" /></testcase><testcase time="0" />'
    '<testcase name="d"><failure /></testcase><testcase name="e"><error /></testcase>'
)


@CODING
def test_the_results_of_several_calls_are_counted_together(tmp_path: Path) -> None:
    assert counted_in(tmp_path) is None
    (tmp_path / "1.xml").write_text(f"<testsuites><testsuite>{CASES}</testsuite></testsuites>")
    assert counted_in(tmp_path) == Counted(1, 2, 5)
    (tmp_path / "2.xml").write_text('<testsuite><testcase name="a" /></testsuite>')
    assert counted_in(tmp_path) == Counted(2, 2, 6)


@CODING
@pytest.mark.parametrize("text", ["", "<testsuites>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_results_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.xml").write_text('<testsuite><testcase name="a" /></testsuite>')
    (tmp_path / "2.xml").write_text(text)
    assert counted_in(tmp_path) is None


@CODING
def test_results_that_lead_elsewhere_are_not_read(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "1.xml").write_text('<testsuite><testcase name="a" /></testsuite>')
    (tmp_path / "linked").symlink_to(real)
    assert counted_in(tmp_path / "linked") is None
    (tmp_path / "2.xml").symlink_to(real / "1.xml")
    assert counted_in(tmp_path) is None
