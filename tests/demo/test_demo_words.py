"""What the demonstration says of itself, and when it calls itself failed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.tools.results import Counts, FileCoverage, TestRun
from visionflow.cli.demonstrating import Outcome, as_object, problems_of
from visionflow.compose.demo.evaluating import could_tell, evaluate
from visionflow.compose.demo.manifest import Fault, Manifest, Planted
from visionflow.compose.demo.showing import Found, Stage, Verified
from visionflow.compose.job import RunFolder

MENDED = Fault(Planted("mended", "imports", rules=("ruff:F401",), fixable=True), "a.py", 1)
SHELL = Fault(Planted("shell", "shell", rules=("bandit:B602",)), "a.py", 3)
ENTRY = Fault(Planted("entry", "entry point", kind="entry", both=True), "a.py", 9)
RING = Fault(Planted("ring", "ring", kind="cycle", names=("a", "b")), "a.py", 1)
BRANCH = Fault(Planted("branch", "branch", kind="uncovered"), "a.py", 1)
RUFF = ToolRun("ruff", "1", (Finding("ruff", "F401", "low", "unused", "a.py", 1),))
BANDIT = ToolRun("bandit", "1", (Finding("bandit", "B602", "high", "shell", "a.py", 3),))


def facts(*tools: ToolRun, **more: Any) -> RunFacts:
    return RunFacts("r", "g", "audit", "y", "/w", "/o", "completed", "", 0.0, tools=tools, **more)


def outcome(found: RunFacts, tmp_path: Path, **changed: Any) -> Outcome:
    manifest = Manifest((MENDED, SHELL, ENTRY), {}, (), 1, "c")
    verified = Verified((MENDED,), (SHELL,), (), facts())
    usual = Outcome(
        Stage(tmp_path, manifest), RunFolder(tmp_path / "run"),
        Found(found, evaluate(found, manifest), ()), verified, None, 1.0,
    )  # fmt: skip
    return usual._replace(**changed)


def test_all_found_and_mended_is_no_problem(tmp_path: Path) -> None:
    good = outcome(facts(RUFF, BANDIT), tmp_path)
    assert problems_of(good) == []
    told = as_object(good, kept=False)
    assert (told["planted"], told["found"], told["gone"], told["left"]) == (
        2, 2, ["mended"], ["shell"],
    )  # fmt: skip
    assert (told["out"], told["workspace"]) == (None, None)
    assert as_object(good, kept=True)["workspace"] == str(tmp_path / "ferryline")


def test_what_is_missed_invented_leaked_or_left_is_a_problem(tmp_path: Path) -> None:
    assert problems_of(outcome(facts(RUFF), tmp_path)) == ["Not found: shell."]
    stray = ToolRun("ruff", "1", (*RUFF.findings, Finding("ruff", "F841", "low", "", "a.py", 7)))
    assert problems_of(outcome(facts(stray, BANDIT), tmp_path)) == ["Reported and not planted: 1."]
    good = outcome(facts(RUFF, BANDIT), tmp_path)
    leaking = msgspec.structs.replace(good.found, leaked=("a secret in report.md",))
    assert problems_of(good._replace(found=leaking)) == [
        "Leaked into the outputs: a secret in report.md."
    ]
    left = Verified((), (MENDED, SHELL), ("finding ruff:F811 at a.py:1",), facts())
    assert problems_of(good._replace(verified=left)) == [
        "Could have been mended and was not: mended.", "New in the patched files: 1.",
    ]  # fmt: skip


def test_a_task_that_did_not_end_well_and_a_patch_that_was_not_there_are_problems(
    tmp_path: Path,
) -> None:
    task = TaskFacts("t", "vote: security", "reviewer", "vote", "failed", "it broke")
    ended = outcome(facts(RUFF, BANDIT, tasks=(task,)), tmp_path)
    assert problems_of(ended) == ["vote: security: failed, it broke."]
    unpatched = outcome(
        facts(RUFF, BANDIT), tmp_path, verified=None, problem="There is no patch to apply: why."
    )
    assert problems_of(unpatched) == ["There is no patch to apply: why."]
    assert as_object(unpatched, kept=False)["gone"] is None


@pytest.mark.parametrize(
    ("fault", "seen", "told"),
    [
        (SHELL, facts(BANDIT), True),
        (SHELL, facts(RUFF), False),
        (SHELL, facts(ToolRun("bandit", "1", ended="failed", reason="no")), False),
        (SHELL, facts(ToolRun("bandit", "1", not_read=(("a.py", "odd"),))), False),
        (RING, facts(), False),
        (BRANCH, facts(tests=TestRun("passed", files=(FileCoverage("a.py", 1, ()),))), True),
        (BRANCH, facts(tests=TestRun("passed")), False),
        (BRANCH, facts(tests=TestRun("could_not_run", "why", Counts())), False),
        (ENTRY, facts(), False),
    ],
)
def test_a_second_look_tells_only_of_what_it_looked_at(
    fault: Fault, seen: RunFacts, told: bool
) -> None:
    assert could_tell(fault, seen) is told
