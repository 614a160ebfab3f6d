"""SARIF: complete, repeatable, and safe to show; text of strangers made harmless."""

import json
import re
from typing import Any

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.tools.sarif import sarif
from visionflow.agents.tools.text import clean, code, markdown

_ODD = "a b/od\n| `d` <img src=x> \x1b[31mü#?%.py"
_FINDINGS = (
    Finding("bandit", "B602", "high", "shell <b>&</b>", _ODD, 5, 2, 6, 78, "f1"),
    Finding("bandit", "B101", "low", "assert", "a.py", 1, None, None, None, "f2"),
)
_BANDIT = ToolRun("bandit", "1.9", _FINDINGS, 2, (("x y.py", "too large"),))
_RUFF = ToolRun("ruff", "0.1", files_read=2)


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


def test_cleaning_keeps_words_and_drops_what_acts() -> None:
    assert clean("a\x1b]0;title\x07b\x00\r\nc\td") == "ab\nc\td"
    assert clean("\udcff") == "?"
    assert markdown("a*b_c") == "a\\*b\\_c"
    assert code("a`b") == "``a`b``"
