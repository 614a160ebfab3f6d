"""SARIF and the report: complete, repeatable, and safe to show."""

import json
import re
from typing import Any

import pytest

from visionflow.agents.findings import SEVERITIES, Finding, ToolRun
from visionflow.agents.tools.report import report_markdown
from visionflow.agents.tools.results import Case, Counts, TestRun
from visionflow.agents.tools.sarif import sarif
from visionflow.agents.tools.summary import (
    Part,
    RunSummary,
    findings_of,
    gates_of,
    verdict,
)
from visionflow.agents.tools.text import clean, code, markdown
from visionflow.ports.sandbox import Confinement

_ODD = "a b/od\n| `d` <img src=x> \x1b[31mü#?%.py"
_FINDINGS = (
    Finding("bandit", "B602", "high", "shell <b>&</b>", _ODD, 5, 2, 6, 78, "f1"),
    Finding("bandit", "B101", "low", "assert", "a.py", 1, None, None, None, "f2"),
)
_BANDIT = ToolRun("bandit", "1.9", _FINDINGS, 2, (("x y.py", "too large"),))
_RUFF = ToolRun("ruff", "0.1", files_read=2)
_HELD = Confinement("landlock", "namespace", "namespace", None, ("no cgroup here",))


def _file(*runs: ToolRun) -> dict[str, Any]:
    return json.loads(sarif(runs))


def test_every_tool_has_a_run_also_when_it_found_nothing() -> None:
    document = _file(_RUFF, _BANDIT)
    assert document["version"] == "2.1.0"
    assert [run["tool"]["driver"]["name"] for run in document["runs"]] == ["bandit", "ruff"]
    assert document["runs"][1]["results"] == []
    assert document["runs"][1]["tool"]["driver"]["version"] == "0.1"
    assert document["runs"][1]["invocations"] == [
        {"executionSuccessful": True, "toolExecutionNotifications": []}
    ]


def test_every_result_names_its_rule_and_a_place_in_the_workspace() -> None:
    run = _file(_BANDIT)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert "%SRCROOT%" in run["originalUriBaseIds"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", place["artifactLocation"]["uri"])
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert place["region"]["startLine"] >= 1
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert result["partialFingerprints"]
    odd = next(r for r in run["results"] if r["ruleId"] == "B602")
    uri = odd["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith("a%20b/od%0A%7C%20%60d%60")
    assert "%C3%BC" in uri


def test_unread_files_and_failures_are_notifications() -> None:
    failed = ToolRun("x", None, ended="failed", reason="it broke")
    runs = _file(_BANDIT, failed)["runs"]
    notice = runs[0]["invocations"][0]["toolExecutionNotifications"][0]
    assert notice["message"]["text"] == "not read: too large"
    uri = notice["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "x%20y.py"
    assert runs[1]["invocations"][0]["executionSuccessful"] is False
    assert "version" not in runs[1]["tool"]["driver"]


def test_the_order_in_which_findings_came_does_not_show() -> None:
    turned = ToolRun("bandit", "1.9", tuple(reversed(_FINDINGS)), 2, (("x y.py", "too large"),))
    assert sarif([_RUFF, _BANDIT]) == sarif([turned, _RUFF])


def _summary(tests: TestRun | None, *tools: ToolRun) -> RunSummary:
    gates = gates_of(tests, tools)
    return RunSummary(
        "r1", "Test and review this repository", "/home/u/repo", "completed", gates,
        findings_of(tools), 12.34, (Part("tester", "completed"),), tests, tools,
    )  # fmt: skip


def _run(**fields: Any) -> TestRun:
    case = Case("test_a.py::test_x", "failed", 0.1, "E   assert 1 == 2", "assert 1 == 2")
    base: dict[str, Any] = {
        "outcome": "failed", "reason": "1 failed", "counts": Counts(2, 1), "cases": (case,),
        "environment": "Python 3.11", "enforced": _HELD, "coverage": 66.67,
    }  # fmt: skip
    return TestRun(**(base | fields))


def test_the_first_line_says_what_did_not_hold() -> None:
    first = report_markdown(_summary(_run(), _BANDIT, _RUFF)).splitlines()[0]
    assert first.startswith("> How far to trust this: ")
    assert "NOT confined: memory" in first
    assert "1 paths were not looked at" in first
    assert "bandit completed" in first


def test_the_report_tells_gates_findings_tests_and_coverage() -> None:
    text = report_markdown(_summary(_run(), _BANDIT, _RUFF))
    assert "**Failed.**" in text
    assert "| tests | **failed** |" in text
    assert "| syntax | passed |" in text
    assert "0 critical, 1 high, 0 medium, 1 low, 0 info" in text
    assert "`a.py:1`" in text
    assert "2 passed, 1 failed" in text
    assert "66.67 %" in text
    assert "Memory of the tests held by: **nothing**" in text


def test_what_is_unknown_is_called_unknown() -> None:
    lost = ToolRun("ruff", None, ended="not_run", reason="nothing confines it")
    text = report_markdown(_summary(None, lost))
    assert "**Nothing could be checked.**" in text
    assert "No tool was run, so nothing is known." in text
    assert "could not be told" in text
    assert "tests: no result" in text


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "a\x1b[31mred\x1b[0m", "![x](http://e.x/p.png)", "a | b | c",
     "```\n# heading\n```", "\u202egnp.exe", "x\r\n| fake | row |", "@someone", "a``b`"],
)  # fmt: skip
def test_a_repository_cannot_write_into_the_report(hostile: str) -> None:
    finding = Finding("bandit", "B1", "high", hostile, hostile + ".py", 1)
    case = Case(hostile, "failed", 0.0, hostile, hostile, hostile)
    run = _run(cases=(case,), reason=hostile, notes=(hostile,), missing=(hostile,))
    tool = ToolRun("bandit", "1", (finding,), 1, ((hostile, hostile),), "failed", hostile)
    text = report_markdown(_summary(run, tool))
    # What stands in code spans and blocks is shown, not interpreted.
    outside = re.sub(r"(?ms)^ *(`{3,})text$.*?^ *\1$", "", text)
    outside = re.sub(r"(?s)(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", outside)
    assert "<script" not in outside
    assert "](" not in outside.replace("\\](", "").replace("\\]\\(", "")
    assert "\n# heading" not in outside
    assert "\n| fake" not in outside
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"(?<!\\)@someone", outside)


def test_cleaning_keeps_words_and_drops_what_acts() -> None:
    assert clean("a\x1b]0;title\x07b\x00\r\nc\td") == "ab\nc\td"
    assert clean("\udcff") == "?"
    assert markdown("a*b_c") == "a\\*b\\_c"
    assert code("a`b") == "``a`b``"


@pytest.mark.parametrize(
    ("outcome", "gate"),
    [("passed", True), ("failed", False), ("could_not_run", None), ("no_tests", None)],
)
def test_the_tests_gate_follows_the_outcome(outcome: str, gate: bool | None) -> None:
    assert gates_of(_run(outcome=outcome), ())["tests"] is gate


def test_a_failure_before_the_clock_ran_out_fails_the_gate() -> None:
    assert gates_of(_run(outcome="timed_out"), ())["tests"] is False
    assert gates_of(_run(outcome="timed_out", cases=()), ())["tests"] is None


@pytest.mark.parametrize("severity", SEVERITIES)
def test_only_critical_and_high_findings_fail_the_gate(severity: Any) -> None:
    run = ToolRun("t", "1", (Finding("t", "R", severity, "m", "a.py", 1),), 1)
    assert gates_of(None, (run,))["findings"] is (severity not in ("critical", "high"))


def test_a_tool_that_failed_leaves_the_findings_gate_open() -> None:
    failed = ToolRun("t", "1", ended="failed")
    assert gates_of(None, (failed, _RUFF))["findings"] is None
    assert gates_of(None, (failed, _BANDIT))["findings"] is False


def test_the_verdict_never_counts_unknown_as_a_pass() -> None:
    assert verdict({"a": True, "b": True}) == "passed"
    assert verdict({"a": True, "b": None}) == "incomplete"
    assert verdict({"a": False, "b": None}) == "failed"
    assert verdict({"a": None}) == "nothing_checked"
