"""SARIF 2.1.0 from tool runs: one file, one `run` per tool, the same bytes for the same findings.

Fields as in the OASIS standard "Static Analysis Results Interchange Format Version 2.1.0". There
is no time in it, so two runs of the same tree can be compared byte by byte.
"""

from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from visionflow.agents.findings import Finding, Severity, ToolRun, order_of

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT = "%SRCROOT%"
_LEVEL: dict[Severity, str] = {
    "critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note",
}  # fmt: skip
_HOME = {
    "ruff": "https://docs.astral.sh/ruff/",
    "bandit": "https://bandit.readthedocs.io/",
}

Json = dict[str, object]


def sarif(runs: Iterable[ToolRun]) -> bytes:
    """The whole file, UTF-8, ending in a newline. Runs come out by the tool's name."""
    ordered = sorted(runs, key=lambda run: run.tool)
    document: Json = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [_run(run) for run in ordered],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _run(run: ToolRun) -> Json:
    findings = sorted(run.findings, key=order_of)
    rules = sorted({finding.rule for finding in findings})
    driver: Json = {"name": run.tool}
    if run.version is not None:
        driver["version"] = run.version
    if run.tool in _HOME:
        driver["informationUri"] = _HOME[run.tool]
    driver["rules"] = [_rule(rule, findings) for rule in rules]
    return {
        "tool": {"driver": driver},
        "invocations": [_invocation(run)],
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": "The workspace that was reviewed."}}
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, rules.index(finding.rule)) for finding in findings],
    }


def _rule(rule: str, findings: list[Finding]) -> Json:
    """A rule as far as its findings tell of it."""
    tags = sorted({f"external/cwe/cwe-{f.cwe}" for f in findings if f.rule == rule and f.cwe})
    return {"id": rule, "properties": {"tags": tags}} if tags else {"id": rule}


def _result(finding: Finding, rule_index: int) -> Json:
    region: Json = {"startLine": finding.line}
    if finding.column is not None:
        region["startColumn"] = finding.column
    if finding.end_line is not None and finding.end_line >= finding.line:
        region["endLine"] = finding.end_line
    place: Json = {"artifactLocation": _artifact(finding.path), "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVEL[finding.severity],
        "message": {"text": finding.message or finding.rule},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"visionflow/v1": finding.fingerprint},
        "properties": {"severity": finding.severity},
    }


def _artifact(path: str) -> Json:
    return {"uri": quote(path, safe="/"), "uriBaseId": _ROOT}


def _invocation(run: ToolRun) -> Json:
    """How the tool ended, and each file that it did not read."""
    notices: list[Json] = []
    if run.reason is not None:
        notices.append({"level": "error", "message": {"text": run.reason}})
    for path, why in sorted(run.not_read):
        place: Json = {"physicalLocation": {"artifactLocation": _artifact(path)}}
        notices.append(
            {"level": "warning", "message": {"text": f"not read: {why}"}, "locations": [place]}
        )
    return {
        "executionSuccessful": run.ended == "completed",
        "toolExecutionNotifications": notices,
    }
