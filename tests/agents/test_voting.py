"""Ballots on a patch: each rests on its own measurement, and a planted fault turns one of them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from role_work import Attempt, do
from tool_projects import QUICK, write
from unconfined import RefusingSandbox

from visionflow.agents import BaseAgent, PermanentFailure, Task
from visionflow.agents.evidence import FOCUSES, Ballot, Change
from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.roles.job import restored, storable
from visionflow.agents.roles.voting import ballot_of, of_findings, vote_needed
from visionflow.agents.tools.patchgates import (
    Bisection,
    broken_tests,
    code_quality,
    real_delta,
)
from visionflow.agents.tools.results import Flaky, TestRun
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace import changes as c

SHOP: dict[str, str | bytes] = {
    "pytest.ini": QUICK,
    "shop.py": (
        "def total(n: int) -> int:\n    return n + 1\n\n\n"
        "def twice(n: int) -> int:\n    return n * 2\n"
    ),
    "test_shop.py": "from shop import twice\n\n\ndef test_twice():\n    assert twice(2) == 4\n",
}
BEFORE = {"tests": {"outcome": "passed", "outcomes": {"test_shop.py::test_twice": "passed"}}}


class Voter(BaseAgent):
    """What a reviewer does with a task of type `vote`."""

    type = "reviewer"

    async def process_task(self, task: Task) -> Any:
        return await ballot_of(self, task)


def vote(tmp_path: Path, patched: str, focus: str, **more: Any) -> Ballot:
    """The ballot on a patch that makes shop.py read so."""
    source = tmp_path / "ws"
    if not source.exists():
        write(source, SHOP)
    home = tmp_path / "repository"

    async def plant() -> tuple[str, str]:
        repository = await PrivateRepository.create(home, source)
        base = await c.start_of(repository)
        return base, await c.commit(
            repository.path, base, {b"shop.py": patched.encode()}, "planted"
        )

    base, tip = asyncio.run(plant())
    change = Change("changed", base=base, tip=tip, files=("shop.py",))
    given = {
        "workspace": str(source), "repository": str(home), "focus": focus, "change": "fix",
        "scratch": str(tmp_path / "scratch" / focus), "cache": str(tmp_path.parent / "cache"),
    }  # fmt: skip
    done = {"fix": {"change": storable(change)}, "run_tests": BEFORE}
    task = Task(id=f"vote-{focus}", type="vote", input=given, dependencies=done)
    return restored(do(Voter, tmp_path / "own", task, **more)["ballot"], Ballot)


SOUND = str(SHOP["shop.py"]).replace("n + 1", "1 + n")
PLANTED = {
    "performance": str(SHOP["shop.py"]).replace("n + 1", "n + 2"),
    "maintainability": str(SHOP["shop.py"]).replace("n * 2", "n * 3"),
    "security": "import os\n\n\n" + str(SHOP["shop.py"]),
}


@pytest.mark.parametrize("focus", FOCUSES)
def test_a_sound_patch_is_approved_by_each_measurement(tmp_path: Path, focus: str) -> None:
    ballot = vote(tmp_path, SOUND, focus)
    assert (ballot.choice, ballot.member) == ("approve", "a1"), ballot.reason


@pytest.mark.parametrize("focus", FOCUSES)
def test_a_planted_fault_turns_the_ballot_that_rests_on_its_evidence(
    tmp_path: Path, focus: str
) -> None:
    ballot = vote(tmp_path, PLANTED[focus], focus)
    assert ballot.choice == "reject", ballot.reason
    expected = {
        "performance": ("behaviour", "total(0) was 1 and is 2"),
        "maintainability": ("tests", "test_shop.py::test_twice"),
        "security": ("findings", "shop.py:1 ruff F401"),
    }[focus]
    assert (ballot.evidence, expected[1] in ballot.reason) == (expected[0], True), ballot.reason


def test_ballots_on_one_patch_can_differ(tmp_path: Path) -> None:
    """A behaviour that no test pins: only the member that calls the function sees it."""
    patch = PLANTED["performance"]
    choices = [vote(tmp_path, patch, focus).choice for focus in ("security", "performance")]
    assert choices == ["approve", "reject"]


def test_a_member_without_evidence_abstains_and_says_why(tmp_path: Path) -> None:
    ballot = vote(tmp_path, PLANTED["maintainability"], "maintainability",
                  sandbox=RefusingSandbox())  # fmt: skip
    assert ballot.choice == "abstain"
    assert "confine" in ballot.reason
    ballot = vote(tmp_path, SOUND, "performance", sandbox=RefusingSandbox())
    assert ballot.choice == "abstain"


def test_a_ballot_is_the_same_when_the_vote_is_done_again(tmp_path: Path) -> None:
    attempt = Attempt()
    first = vote(tmp_path, PLANTED["performance"], "performance", attempt=attempt)
    for name in [key for key in attempt.done if key.startswith("compare")]:
        del attempt.done[name]
    second = Attempt(attempt.done)
    assert vote(tmp_path, PLANTED["performance"], "performance", attempt=second) == first
    assert second.ran == ["compare behaviour"]


def test_there_must_be_something_to_vote_on(tmp_path: Path) -> None:
    write(tmp_path / "ws", SHOP)
    given = {"workspace": str(tmp_path / "ws"), "focus": "security"}
    nothing = {"fix": {"change": storable(Change("nothing_to_do", "nothing was found"))}}
    task = Task(id="v", type="vote", input=given, dependencies=nothing)
    result = do(Voter, tmp_path / "own", task)
    assert (result["ballot"], result["notes"]) == (
        None, ["No vote: nothing was changed (nothing was found)."])  # fmt: skip
    task = Task(id="v", type="vote", input={**given, "change": "other"}, dependencies=nothing)
    with pytest.raises(PermanentFailure, match="no change to vote on"):
        do(Voter, tmp_path / "own", task)


TESTS = TestRun("passed", outcomes={"t.py::a": "passed"})
CHANGED = Change("changed", files=("a.py",), gates={"findings": True}, same_code=False)


@pytest.mark.parametrize(
    ("change", "tests", "needed", "word"),
    [
        (None, TESTS, False, "no change"),
        (Change("nothing_to_do", "all is well"), TESTS, False, "all is well"),
        (CHANGED, TESTS, True, "findings, tests, behaviour"),
        (CHANGED, None, True, "findings, behaviour"),
        (Change("changed", files=("a.py",), gates={"findings": True}, same_code=True), TESTS,
         False, "compiles to what it did"),
        (Change("changed", files=("a.txt",), same_code=False), None, False, "no evidence"),
    ],
)  # fmt: skip
def test_there_is_a_vote_only_where_members_could_disagree(
    change: Change | None, tests: TestRun | None, needed: bool, word: str
) -> None:
    found, why = vote_needed(change, tests)
    assert (found, word in why) == (needed, True), why


def run(*findings: Finding, ended: str = "completed") -> tuple[ToolRun, ...]:
    return (ToolRun("ruff", "1", findings, ended=ended),)  # pyright: ignore[reportArgumentType]


def finding(line: int, fingerprint: str, message: str = "m", severity: str = "low") -> Finding:
    return Finding("ruff", "F1", severity, message, "a.py", line,  # pyright: ignore[reportArgumentType]
                   fingerprint=fingerprint)  # fmt: skip


def test_a_finding_whose_line_was_mended_otherwise_is_not_new() -> None:
    before = run(finding(1, "x"), finding(5, "y", "other"))
    assert real_delta(before, run(finding(2, "z"))).new == ()
    assert len(real_delta(before, run(finding(2, "z"), finding(3, "w"))).new) == 1
    assert [each.message for each in real_delta(before, run(finding(2, "z"))).gone] == ["other"]


def test_findings_decide_nothing_where_a_tool_failed() -> None:
    assert of_findings(run(), run(ended="failed"))[0] == "abstain"
    assert of_findings(run(), run(finding(1, "x"), ended="failed"))[0] == "reject"


def test_quality_is_measured_by_the_formula_in_its_docstring() -> None:
    assert code_quality(run(), 200) == 1.0
    two_low = run(finding(1, "a"), finding(2, "b"))
    assert code_quality(two_low, 100) == 0.5
    assert code_quality(run(finding(1, "a", severity="critical")), 500) == round(1 / 3, 4)
    assert code_quality(run(finding(1, "a", severity="info")), 10) == 1.0
    assert code_quality(two_low, 0) is None
    assert code_quality(run(ended="failed"), 100) is None


def test_what_passed_and_failed_or_vanished_is_broken_but_for_the_flaky() -> None:
    names = ("a", "b", "c", "d", "e")
    before = TestRun("failed", outcomes=dict.fromkeys(names, "passed") | {"f": "failed"})
    after = TestRun(
        "failed", outcomes={"a": "passed", "b": "failed", "c": "skipped", "e": "error",
                            "f": "failed"}, flaky=(Flaky("e", ("passed",), ()),),
    )  # fmt: skip
    assert broken_tests(before, after) == ("b", "c", "d")


@pytest.mark.parametrize(("count", "fault"), [(1, 1), (2, 1), (2, 2), (9, 1), (9, 9), (9, 4)])
def test_the_commit_at_fault_is_found_in_few_looks(count: int, fault: int) -> None:
    search, looks = Bisection(count), 0
    while (at := search.next) is not None:
        search.tell(at, at >= fault)
        looks += 1
    assert search.found == fault
    assert looks <= count.bit_length()
