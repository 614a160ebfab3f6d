"""What each reviewer says follows from evidence of its kind; without any it abstains."""

from typing import Any

import pytest

from visionflow.agents.candidates.ballots import (
    gated_of,
    named_by,
    of_findings,
    of_predicates,
    of_scope,
    of_tests,
)
from visionflow.agents.candidates.values import Accepted, Attempted
from visionflow.agents.findings import Finding
from visionflow.agents.gate.results import (
    Base,
    BrokenTest,
    ChangedFile,
    Findings,
    GateResult,
    Tests,
    ToolState,
)
from visionflow.agents.gate.verdict import reasons

CODING = pytest.mark.acceptance("coding-agents")
ODD = BrokenTest("test_a.py::test_b", "test_a.py")
NEW = Finding("ruff", "F401", "medium", "unused import", "a.py", 3)
RUFF = ToolState("ruff", "1", "completed", None, 2, ())
FILE = (ChangedFile("a.py", "changed", 1),)


def result(**about: Any) -> GateResult:
    given = {"findings": Findings(), "tools": (RUFF,), **about}
    found = GateResult(Base("b", "b", merge_base=False), "h", dirty=False, files=FILE, **given)
    return GateResult(**{**{n: getattr(found, n) for n in found.__struct_fields__},
                         "failed": reasons(found, None, require_tests=False)})  # fmt: skip


TESTED = [
    (None, "abstain", "there are no tests"),
    (Tests(0, "affected", ()), "abstain", "no test reaches what changed"),
    (Tests(3, "all", None), "approve", "all 3 tests: none is broken or lost"),
    (Tests(1, "affected", ("t.py",)), "approve",
     "1 test that the change reaches: none is broken or lost"),
    (Tests(3, "all", None, known=(ODD,)), "approve",
     "all 3 tests: none is broken or lost; failing on base too: 1"),
    (Tests(3, "all", None, broken=(ODD,)), "reject", "a test is broken: test_a.py::test_b"),
    (Tests(3, "all", None, lost=(ODD,) * 5), "reject",
     "5 tests are lost: test_a.py::test_b, test_a.py::test_b, test_a.py::test_b and 2 more"),
    (Tests(3, "all", None, flaky=(ODD,)), "reject", "a test is newly flaky: test_a.py::test_b"),
]  # fmt: skip


@CODING
@pytest.mark.parametrize(("tests", "choice", "reason"), TESTED)
def test_the_tests_ballot(tests: Tests | None, choice: str, reason: str) -> None:
    why = None if tests is not None else "there are no tests"
    ballot = of_tests(result(tests=tests, tests_reason=why))
    assert (ballot.choice, ballot.reason) == (choice, reason)


UNREAD = ToolState("bandit", "1", "failed", "it crashed", 0, ())
FOUND = [
    ({"findings": Findings(known=2, fixed=1)}, "approve",
     "no finding is new; known before: 2, gone: 1"),
    ({"findings": Findings(new=(NEW,))}, "reject",
     "a finding is new: a.py:3 ruff F401: unused import"),
    ({"findings": Findings(new=(NEW, NEW))}, "reject",
     "2 are new, the first a.py:3 ruff F401: unused import"),
    ({"tools": (RUFF, UNREAD)}, "abstain", "bandit did not do its work: it crashed"),
    ({"tools": ()}, "abstain", "no tool reads files like those that changed"),
]  # fmt: skip


@CODING
@pytest.mark.parametrize(("about", "choice", "reason"), FOUND)
def test_the_findings_ballot(about: dict[str, Any], choice: str, reason: str) -> None:
    ballot = of_findings(result(**about))
    assert (ballot.choice, ballot.reason) == (choice, reason)


@CODING
@pytest.mark.parametrize("tests", [each[0] for each in TESTED])
@pytest.mark.parametrize("about", [each[0] for each in FOUND])
def test_whatever_fails_the_gate_is_an_objection_of_somebody(
    tests: Tests | None, about: dict[str, Any]
) -> None:
    gate = result(tests=tests, **about)
    objected = "reject" in (of_tests(gate).choice, of_findings(gate).choice)
    assert (gated_of(gate).verdict == "failed") == objected


PREDICATES = [
    ((), "abstain", "no predicate was given"),
    ((Accepted("pytest", True, 0, on_base=False),), "approve",
     "the predicate passes; not passing on base: 1"),
    ((Accepted("a", True, 0, on_base=True), Accepted("b", True, 0)), "approve",
     "all 2 predicates pass; not passing on base: 0"),
    ((Accepted("a", True, 0, on_base=True),), "abstain",
     "what was asked for passes on base too, so it proves nothing"),
    ((Accepted("a", True, 0), Accepted("b", False, 1, "it ended with 1", on_base=True)), "reject",
     "`b` does not pass: it ended with 1, and passes on base"),
    ((Accepted("b", False, 1, "it ended with 1", on_base=False),), "reject",
     "`b` does not pass: it ended with 1, as on base"),
    ((Accepted("a", True, 0), Accepted("c", None, reason="no such program")), "reject",
     "`c` cannot be run: no such program"),
]  # fmt: skip


@CODING
@pytest.mark.parametrize(("accepted", "choice", "reason"), PREDICATES)
def test_the_ballot_on_predicates(accepted: tuple[Accepted, ...], choice: str, reason: str) -> None:
    ballot = of_predicates(accepted)
    assert (ballot.choice, ballot.reason) == (choice, reason)


@CODING
def test_the_ballot_on_scope_says_what_held_the_agent_and_what_it_wrote_of_its_own_judges() -> None:
    held = Attempted("c", "a", "script", "changed", held=("filesystem: landlock",))
    free = Attempted("c", "a", "script", "changed")
    assert of_scope(held, 1, ()).reason == (
        "1 file, and no branch, tag or stash but its own; held by filesystem: landlock"
    )
    assert of_scope(free, 2, ()).choice == "abstain"
    own = of_scope(held, 2, ("tests/test_a.py",))
    assert (own.choice, own.facts["own_predicate_files"]) == ("abstain", 1)
    assert of_scope(None, 2, ()).choice == "approve"


@CODING
def test_a_predicate_names_files_and_folders_and_no_options() -> None:
    files = ("tests/test_a.py", "tests/unit/test_b.py", "shop/a.py", "Makefile")
    said = {
        "pytest -k limit": (),
        "pytest tests/test_a.py::test_x": ("tests/test_a.py",),
        "pytest ./tests/unit -q": ("tests/unit/test_b.py",),
        "python -m pytest .": (),
        "make -f Makefile": ("Makefile",),
        "sh -c 'pytest tests'": (),
        "'": (),
    }
    assert {command: named_by((command,), files) for command in said} == said
