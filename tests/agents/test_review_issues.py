"""Findings of several tools for one fault: one issue, and results that refer to each other."""

import json
from itertools import permutations
from typing import Any

from visionflow.agents.findings import Finding, Suppressed, ToolRun, with_fingerprints
from visionflow.agents.rules import rule_of
from visionflow.agents.tools.correlate import issues_of
from visionflow.agents.tools.sarif import sarif


def of(tool: str, rule: str, line: int, severity: Any = "low", **more: Any) -> Finding:
    return Finding(tool, rule, severity, f"{rule} here", "a.py", line, snippet="x = 1", **more)


def run_of(tool: str, *findings: Finding, hidden: tuple[Suppressed, ...] = ()) -> ToolRun:
    texts = {(finding.path, finding.line): "x = 1" for finding in findings}
    return ToolRun(tool, "1.0", with_fingerprints(findings, texts), 1, suppressed=hidden)


_SECRET = of("detect-secrets", "KeywordDetector", 3, "medium", cwe=798)
_PASSWORD = of("bandit", "B105", 3, cwe=259)
_EVAL, _SHELL = of("bandit", "B307", 5, cwe=78), of("bandit", "B602", 5, "high", cwe=78)
_NAME = of("ruff", "F821", 3, "medium")
_RUNS = (
    run_of("bandit", _PASSWORD, _EVAL, _SHELL),
    run_of("detect-secrets", _SECRET),
    run_of("ruff", _NAME),
)


def test_two_tools_on_one_secret_are_one_issue_with_both_rules() -> None:
    issue = next(each for each in issues_of(_RUNS) if len(each.rules) > 1)
    assert issue.rules == (("detect-secrets", "KeywordDetector"), ("bandit", "B105"))
    assert (issue.severity, issue.line, issue.cwe, issue.focus) == ("medium", 3, 798, "security")
    assert issue.message == "KeywordDetector here"
    assert len(set(issue.fingerprints)) == 2


def test_one_tool_on_one_line_and_other_weaknesses_stay_apart() -> None:
    rules = [issue.rules for issue in issues_of(_RUNS)]
    assert (("bandit", "B307"),) in rules
    assert (("bandit", "B602"),) in rules
    assert (("ruff", "F821"),) in rules
    assert len(rules) == 4


def test_the_same_weakness_by_two_tools_is_one_issue() -> None:
    runs = (
        run_of("bandit", of("bandit", "B613", 1, "high", cwe=838)),
        run_of("ruff", of("ruff", "PLE2502", 1, "high", cwe=1007)),
        run_of("x", of("x", "one", 7, cwe=78)),
        run_of("y", of("y", "two", 7, "high", cwe=78)),
    )
    assert [issue.rules for issue in issues_of(runs)] == [
        (("bandit", "B613"), ("ruff", "PLE2502")), (("y", "two"), ("x", "one")),
    ]  # fmt: skip
    assert rule_of("bandit", "B613").title == rule_of("ruff", "PLE2502").title


def test_the_gravest_comes_first_and_the_order_of_runs_does_not_show() -> None:
    expected = issues_of(_RUNS)
    assert [issue.severity for issue in expected] == ["high", "medium", "medium", "low"]
    assert all(issues_of(turned) == expected for turned in permutations(_RUNS))


def _results(*runs: ToolRun) -> dict[str, Any]:
    document = json.loads(sarif(runs))
    return {
        f"{run['tool']['driver']['name']} {result['ruleId']}": result
        for run in document["runs"]
        for result in run["results"]
    }


def test_results_of_one_fault_refer_to_each_other_in_sarif() -> None:
    results = _results(*_RUNS)
    one, other = results["bandit B105"], results["detect-secrets KeywordDetector"]
    assert one["properties"]["issue"] == other["properties"]["issue"]
    assert [each["message"]["text"] for each in one["relatedLocations"]] == [
        "detect-secrets KeywordDetector tells of the same"
    ]
    assert other["relatedLocations"][0]["message"]["text"] == "bandit B105 tells of the same"
    assert "relatedLocations" not in results["ruff F821"]
    assert "issue" not in results["bandit B602"]["properties"]


def test_what_is_suppressed_says_by_what_and_the_rest_says_that_it_is_not() -> None:
    hidden = (
        Suppressed(of("ruff", "F401", 9, fingerprint="f1"), "comment", "# noqa"),
        Suppressed(of("ruff", "F811", 8, fingerprint="f2"), "configuration", "ruff.toml: ignore"),
    )
    results = _results(run_of("ruff", _NAME, hidden=hidden))
    assert results["ruff F401"]["suppressions"] == [
        {"kind": "inSource", "status": "accepted", "justification": "# noqa"}
    ]
    assert results["ruff F811"]["suppressions"][0]["kind"] == "external"
    assert results["ruff F821"]["suppressions"] == []


def test_rules_say_what_they_are_in_sarif() -> None:
    (run,) = json.loads(sarif([run_of("bandit", _PASSWORD, _SHELL)]))["runs"]
    shell = next(each for each in run["tool"]["driver"]["rules"] if each["id"] == "B602")
    assert shell["shortDescription"]["text"] == rule_of("bandit", "B602").title
    assert shell["defaultConfiguration"]["level"] == "error"
    assert shell["properties"] == {
        "tags": ["security", "external/cwe/cwe-78"], "security-severity": "8.0",
    }  # fmt: skip


_REQUIRED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "document": {"version": str, "runs": list},
    "run": {"tool": dict, "results": list},
    "result": {"message": dict, "ruleId": str, "ruleIndex": int, "level": str},
    "rule": {"id": str, "shortDescription": dict, "help": dict},
    "invocation": {"executionSuccessful": bool},
}
_KNOWN = {
    "document": {"$schema", "version", "runs"},
    "run": {"tool", "results", "invocations", "originalUriBaseIds", "columnKind"},
    "driver": {"name", "version", "informationUri", "rules"},
    "rule": {"id", "shortDescription", "help", "defaultConfiguration", "properties"},
    "result": {
        "ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints",
        "properties", "suppressions", "relatedLocations",
    },
    "location": {"id", "message", "physicalLocation"},
    "place": {"artifactLocation", "region"},
    "region": {"startLine", "startColumn", "endLine", "snippet"},
    "suppression": {"kind", "status", "justification"},
    "invocation": {"executionSuccessful", "toolExecutionNotifications"},
}  # fmt: skip
"""Of the properties that SARIF 2.1.0 has, those that are used here; any other is a slip."""


def _checked(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    assert set(value) <= _KNOWN[kind], (kind, set(value) - _KNOWN[kind])
    for name, needed in _REQUIRED.get(kind, {}).items():
        assert isinstance(value[name], needed), (kind, name)
    return value


def _location(value: dict[str, Any], bases: set[str]) -> None:
    place = _checked("place", _checked("location", value)["physicalLocation"])
    assert place["artifactLocation"]["uriBaseId"] in bases
    region = _checked("region", place["region"])
    assert region["startLine"] >= 1
    assert region.get("endLine", region["startLine"]) >= region["startLine"]
    assert isinstance(region.get("snippet", {"text": ""})["text"], str)


def test_the_file_is_sarif_2_1_0_by_structure() -> None:
    hidden = (Suppressed(of("ruff", "F401", 9, fingerprint="f1"), "comment", "# noqa"),)
    runs = (*_RUNS[:2], run_of("ruff", _NAME, hidden=hidden), ToolRun("vulture", None))
    document = _checked("document", json.loads(sarif(runs)))
    assert document["version"] == "2.1.0"
    for run in document["runs"]:
        bases = set(_checked("run", run)["originalUriBaseIds"])
        assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
        rules = [_checked("rule", r) for r in _checked("driver", run["tool"]["driver"])["rules"]]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for rule in rules:
            assert rule["shortDescription"]["text"] and rule["help"]["text"]
            assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        for invocation in run["invocations"]:
            _checked("invocation", invocation)
        for result in run["results"]:
            assert rules[_checked("result", result)["ruleIndex"]]["id"] == result["ruleId"]
            assert result["level"] in ("none", "note", "warning", "error")
            for place in (*result["locations"], *result.get("relatedLocations", [])):
                _location(place, bases)
            for each in result["suppressions"]:
                assert _checked("suppression", each)["kind"] in ("inSource", "external")
                assert each["status"] in ("accepted", "underReview", "rejected")
