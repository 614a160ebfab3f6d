"""Gates by formula: what passes, what fails, and what could not be told."""

from typing import Any

import pytest

from tests.report.sample_facts import change, sample, vote
from visionflow.agents.evidence import Architecture, Change, Cycle, FixCommit, Module, Vote
from visionflow.agents.findings import SEVERITIES, Finding, ToolRun
from visionflow.agents.report.gates import (
    base_gates,
    gates_of,
    known_findings,
    patch_gate,
    verdict,
)
from visionflow.agents.tools.results import Case, Flaky, TestRun

_RUFF = ToolRun("ruff", "1", files_read=2)
_CASE = Case("test_a.py::test_x", "failed", 0.1)


def _finding(tool: str, severity: Any = "low") -> Finding:
    return Finding(tool, "R", severity, "m", "a.py", 1)


@pytest.mark.parametrize(
    ("outcome", "gate"),
    [("passed", True), ("failed", False), ("could_not_run", None), ("no_tests", None)],
)
def test_the_tests_gate_follows_the_outcome(outcome: Any, gate: bool | None) -> None:
    assert base_gates(TestRun(outcome, cases=(_CASE,)), ())["tests"] is gate


def test_a_failure_before_the_clock_ran_out_fails_the_gate() -> None:
    assert base_gates(TestRun("timed_out", cases=(_CASE,)), ())["tests"] is False
    assert base_gates(TestRun("timed_out"), ())["tests"] is None


def test_a_flaky_failure_before_the_clock_ran_out_decides_nothing() -> None:
    flaky = Flaky(_CASE.id, ("passed",), ())
    assert base_gates(TestRun("timed_out", cases=(_CASE,), flaky=(flaky,)), ())["tests"] is None


@pytest.mark.parametrize("severity", SEVERITIES)
def test_only_critical_and_high_findings_fail_the_gate(severity: Any) -> None:
    run = ToolRun("t", "1", (_finding("t", severity),), 1)
    assert base_gates(None, (run,))["findings"] is (severity not in ("critical", "high"))


def test_a_tool_that_failed_leaves_the_findings_gate_open() -> None:
    failed = ToolRun("t", "1", ended="failed")
    bad = ToolRun("bandit", "1", (_finding("bandit", "high"),), 1)
    assert base_gates(None, (failed, _RUFF))["findings"] is None
    assert base_gates(None, (failed, bad))["findings"] is False


def test_where_no_tool_ran_nothing_is_known() -> None:
    assert known_findings(()) is None
    assert known_findings((ToolRun("ruff", None, ended="not_run"),)) is None
    assert known_findings((_RUFF,)) == dict.fromkeys(SEVERITIES, 0)


def test_the_verdict_never_counts_unknown_as_a_pass() -> None:
    assert verdict({"a": True, "b": True}) == "passed"
    assert verdict({"a": True, "b": None}) == "incomplete"
    assert verdict({"a": False, "b": None}) == "failed"
    assert verdict({"a": None}) == "nothing_checked"


def test_the_gates_are_those_of_the_plan_in_its_order() -> None:
    assert list(gates_of(sample())) == list(sample().gates)
    assert list(gates_of(sample(gates=("cycles", "tests")))) == ["cycles", "tests"]
    assert gates_of(sample(gates=("of nobody",))) == {"of nobody": None}


def test_the_secrets_gate_needs_the_tool_that_looks_for_them() -> None:
    tool = ToolRun("detect-secrets", "1", files_read=3)
    found = ToolRun("detect-secrets", "1", (_finding("detect-secrets", "medium"),), 3)
    by_name = ToolRun("detect-secrets", "1", (_finding("detect-secrets", "low"),), 3)
    for runs, gate in (
        ((_RUFF,), None),
        ((tool,), True),
        ((found,), False),
        ((by_name,), None),
        ((found, by_name), False),
        ((ToolRun("detect-secrets", "1", ended="failed"),), None),
    ):
        assert gates_of(sample(gates=("secrets",), tools=runs)) == {"secrets": gate}


def test_the_cycles_gate_is_open_while_a_module_could_not_be_read() -> None:
    module = Module("a", "a.py", 1, 0, 0, 0, 1, 1)
    for found, gate in (
        (None, None),
        (Architecture(), None),
        (Architecture((module,)), True),
        (Architecture((module,), cycles=(Cycle(("a", "b"), ()),)), False),
        (Architecture((module,), not_read=(("b.py", "it does not parse"),)), None),
        (Architecture((module,), not_read=(("tests/b.py", "it does not parse"),)), True),
        (Architecture((module,), not_read=(("b.py", "a symbolic link"),)), True),
    ):
        assert gates_of(sample(gates=("cycles",), architecture=found)) == {"cycles": gate}


@pytest.mark.parametrize("gate", [True, False, None])
def test_the_coverage_gate_is_the_testers(gate: bool | None) -> None:
    facts = sample(gates=("coverage",), coverage_gate=gate)
    assert gates_of(facts) == {"coverage": gate}


def _voted(decision: Any) -> Vote:
    return Vote("?", ("a",), (), decision)


@pytest.mark.parametrize(
    ("made", "voted", "gate"),
    [
        (Change("changed", gates={"tests": True}), None, True),
        (Change("changed", gates={"tests": True}), _voted("approved"), True),
        (Change("changed", gates={"tests": True}), _voted("rejected"), False),
        (Change("changed", gates={"tests": True}), _voted("undecided"), None),
        (Change("changed", gates={"tests": True}), _voted(None), None),
        (Change("changed", gates={"tests": None}), _voted("approved"), None),
        (Change("changed", gates={"tests": False}), _voted("approved"), None),
        (Change("rejected"), None, None),
        (Change("rejected", commits=(FixCommit("F401", "a", "c", (), 1),)), None, None),
        (Change("nothing_to_do"), None, None),
        (Change("could_not_run"), None, None),
    ],
)
def test_the_patch_gate_needs_its_own_gates_and_the_vote(
    made: Change, voted: Vote | None, gate: bool | None
) -> None:
    assert patch_gate(made, voted) is gate


def test_while_a_run_is_under_way_only_its_tests_can_have_passed() -> None:
    done = TestRun("passed")
    clean = sample(tools=(_RUFF,), tests=done, architecture=None)
    assert gates_of(clean)["findings"] is True
    for status in ("running", "interrupted"):
        early = sample(tools=(_RUFF,), tests=done, architecture=None, status=status)
        assert gates_of(early)["tests"] is True
        assert gates_of(early)["findings"] is None
        assert gates_of(early)["patch"] is None
    bad = sample(status="running", change=change(), vote=vote())
    assert gates_of(bad)["findings"] is False
