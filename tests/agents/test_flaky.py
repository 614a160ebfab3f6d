"""Failures that are run again: which of them are flaky, and what that makes of the whole."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from tool_projects import QUICK, request_for, write
from unconfined import UnconfinedSandbox

from visionflow.agents.report.gates import base_gates
from visionflow.agents.tools.flaky import candidates, run_again
from visionflow.agents.tools.junit import address
from visionflow.agents.tools.project import look
from visionflow.agents.tools.results import Case, CaseOutcome, Counts, Flaky, TestRun
from visionflow.agents.tools.testing import run_tests
from visionflow.agents.tools.verdicts import without_flaky

_ONCE = (
    "import pathlib, pytest\n"
    "def count():\n"
    "    mark = pathlib.Path({mark!r})\n"
    "    mark.write_text(mark.read_text() + 'x' if mark.exists() else 'x')\n"
    "    return len(mark.read_text())\n"
    "def test_steady(): pass\n"
    "@pytest.mark.parametrize('way', ['a/b::c'])\n"
    "def test_shaky(way): assert count() != 1, 'the first time'\n"
)
"""Fails in the first process only: what it counts lies outside of all that is put back."""


class _Suite:
    """A project whose worktree is put back from a copy, and the runs of it."""

    def __init__(self, folder: Path, files: dict[str, str | bytes]) -> None:
        self.pristine = write(folder / "pristine", {"pytest.ini": QUICK, **files})
        self.root, self.out = folder / "copy", folder / "out"
        self.sandbox = UnconfinedSandbox()
        self.put_backs = 0
        shutil.copytree(self.pristine, self.root)

    async def put_back(self) -> None:
        self.put_backs += 1
        shutil.rmtree(self.root)
        shutil.copytree(self.pristine, self.root)

    def run(self, reruns: int = 1, put_back: bool = True, wall_ms: int = 60_000) -> TestRun:
        request = msgspec.structs.replace(request_for(self.root, self.out, wall_ms), reruns=reruns)
        project = look(str(self.root))

        async def nothing() -> None: ...

        async def both() -> TestRun:
            first = await run_tests(self.sandbox, project, request)
            clean = self.put_back if put_back else nothing
            return await run_again(self.sandbox, project, request, first, clean)

        return asyncio.run(both())


Make = Callable[[dict[str, str | bytes]], _Suite]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda files: _Suite(tmp_path, files)


def _gate(run: TestRun) -> bool | None:
    return base_gates(run, ())["tests"]


def _once(tmp_path: Path) -> str:
    return _ONCE.format(mark=str(tmp_path / "mark"))


def test_a_failure_that_passes_when_run_again_is_quarantined_and_named(
    make: Make, tmp_path: Path
) -> None:
    suite = make({"test_a.py": _once(tmp_path)})
    run = suite.run()
    assert (run.outcome, run.reason, _gate(run)) == ("passed", None, True)
    assert run.counts == Counts(passed=1, flaky=1)
    assert (run.cases, run.pass_rate) == ((), 1.0)
    (flaky,) = run.flaky
    assert flaky.id == "test_a.py::test_shaky[a/b::c]"
    assert (flaky.alone, flaky.in_order, flaky.order_dependent) == (("passed",), ("passed",), False)
    assert "the first time" in flaky.summary
    assert run.outcomes == {
        "test_a.py::test_shaky[a/b::c]": "failed", "test_a.py::test_steady": "passed",
    }  # fmt: skip
    assert any("quarantined" in note and flaky.id in note for note in run.notes)


def test_junit_marks_a_flaky_test_as_surefire_does(make: Make, tmp_path: Path) -> None:
    suite = make({"test_a.py": _once(tmp_path) + "def test_broken(): assert 0\n"})
    suite.run()
    (element,) = ElementTree.parse(suite.out / "junit.xml").iter("testsuite")
    facts = {name: element.get(name) for name in ("tests", "failures", "errors", "flakes")}
    assert facts == {"tests": "3", "failures": "1", "errors": "0", "flakes": "1"}
    marked = {case.get("name"): [child.tag for child in case] for case in element.iter("testcase")}
    assert marked == {
        "test_steady": [], "test_shaky[a/b::c]": ["flakyFailure"], "test_broken": ["failure"],
    }  # fmt: skip


def test_a_failure_that_stays_one_is_run_as_often_as_asked_and_fails(make: Make) -> None:
    body = "def test_no(): assert 0\ndef test_after(): pass\n"
    suite = make({"mod.py": "", "test_a.py": body})
    run = suite.run(reruns=2)
    assert (run.outcome, run.flaky, run.counts.failed) == ("failed", (), 1)
    assert len(suite.sandbox.commands) == 1 + 1 + 2 + 2  # with coverage.xml
    assert suite.put_backs == 2 + 2 + 1
    assert not any("coverage" in command.argv for command in suite.sandbox.commands[2:])


def test_without_reruns_nothing_is_run_again(make: Make, tmp_path: Path) -> None:
    suite = make({"test_a.py": _once(tmp_path)})
    run = suite.run(reruns=0)
    assert (run.outcome, run.flaky, suite.put_backs) == ("failed", (), 0)


def test_what_fails_in_order_and_passes_alone_is_told_apart_every_time(make: Make) -> None:
    body = "seen = []\ndef test_first(): seen.append(1)\ndef test_second(): assert not seen\n"
    suite = make({"test_a.py": body})
    run, second = suite.run(), suite.run()
    assert (second.order_dependent, second.counts, second.notes) == (
        run.order_dependent, run.counts, run.notes,
    )  # fmt: skip
    # The suite as it is fails every time, so it does not pass.
    assert (run.outcome, run.counts, run.flaky) == ("failed", Counts(passed=1, failed=1), ())
    (flaky,) = run.order_dependent
    assert flaky.id == "test_a.py::test_second"
    assert (flaky.alone, flaky.in_order) == (("passed",), ("failed",))
    assert flaky.order_dependent
    assert any("pass alone, fail after" in note and flaky.id in note for note in run.notes)


def test_reruns_begin_on_a_clean_copy(make: Make) -> None:
    body = (
        "import pathlib\ndef test_a():\n    left = pathlib.Path('left')\n"
        "    assert left.exists(), 'no'\n    left.unlink()\n"
        "def test_b():\n    pathlib.Path('left').write_text('')\n"
    )
    assert make({"test_a.py": body}).run().flaky == ()


def test_left_files_would_make_a_steady_failure_look_flaky(make: Make) -> None:
    body = (
        "import pathlib\ndef test_a():\n    left = pathlib.Path('left')\n"
        "    there = left.exists()\n    left.write_text('')\n    assert there\n"
    )
    assert make({"test_a.py": body}).run(put_back=False).flaky != ()


def _quarantined(
    counts: Counts, *more: Case, collected: int = 2, **outcomes: CaseOutcome
) -> TestRun:
    """A run whose only true failure, `a.py::shaky`, turned out to be flaky."""
    shaky = Case("a.py::shaky", "failed", 0.0)
    run = TestRun(
        "failed", "1 failed", counts, collected, (shaky, *more),
        outcomes={f"a.py::{name}": outcome for name, outcome in outcomes.items()},
    )  # fmt: skip
    return without_flaky(run, (Flaky("a.py::shaky", ("passed",), ("passed",)),))


def test_a_missing_dependency_behind_a_flaky_test_is_still_no_verdict() -> None:
    bad = Case("b.py", "error", 0.0, missing="nonesuch")
    run = _quarantined(Counts(1, 1, 1), bad, shaky="failed", steady="passed")
    assert (run.outcome, run.counts, _gate(run)) == (
        "could_not_run",
        Counts(1, 0, 1, flaky=1),
        None,
    )
    assert run.reason == "missing dependency: nonesuch (imported by b.py)"


def test_a_flaky_test_that_keeps_the_rest_from_running_lets_nothing_pass() -> None:
    run = _quarantined(Counts(1, 1), collected=3, shaky="failed", steady="passed")
    assert (run.outcome, run.counts.flaky, _gate(run)) == ("could_not_run", 1, None)


def test_where_only_flaky_tests_ran_nothing_passed() -> None:
    run = _quarantined(Counts(0, 1), collected=1, shaky="failed")
    assert (run.outcome, run.pass_rate, _gate(run)) == ("no_tests", None, None)
    assert "flaky" in (run.reason or "")


def test_failures_that_are_not_shown_still_fail() -> None:
    run = _quarantined(Counts(1, 7, 2), shaky="failed", steady="passed")
    assert (run.outcome, _gate(run)) == ("failed", False)
    assert run.reason == "6 failed, 2 could not be set up, torn down or collected"


def test_when_the_time_is_up_it_says_so_and_failures_stay(make: Make) -> None:
    suite = make({"test_a.py": "def test_a(): assert 0\n"})
    project = look(str(suite.root))
    request = msgspec.structs.replace(request_for(suite.root, suite.out), reruns=2)
    first = asyncio.run(run_tests(suite.sandbox, project, request))
    hurried = msgspec.structs.replace(request, wall_ms=900)
    run = asyncio.run(run_again(suite.sandbox, project, hurried, first, suite.put_back))
    assert (run.outcome, run.flaky) == ("failed", ())
    assert any("time for running failures again was up" in note for note in run.notes)


def test_only_failed_tests_of_a_run_that_came_to_its_end_are_candidates() -> None:
    cases = (
        Case("a.py", "error", 0.0), Case("a.py::x", "failed", 0.0),
        Case("a.py::y", "error", 0.0, missing="nonesuch"),
    )  # fmt: skip
    assert candidates(TestRun("failed", cases=cases)) == (cases[1],)
    assert candidates(TestRun("timed_out", cases=cases)) == ()


@pytest.mark.parametrize(
    ("test", "place"),
    [
        ("tests/test_a.py::test_x", ("tests.test_a", "test_x")),
        ("test_a.py::A::test_x[1-b::c/d.py]", ("test_a.A", "test_x[1-b::c/d.py]")),
    ],
)
def test_an_id_is_found_again_under_pytests_own_names(test: str, place: tuple[str, str]) -> None:
    assert address(test) == place
