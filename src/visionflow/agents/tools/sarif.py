"""SARIF 2.1.0 from tool runs: one file, one `run` per tool, the same bytes for the same findings.

Fields as in the OASIS standard "Static Analysis Results Interchange Format Version 2.1.0". There
is no time in it, so two runs of the same tree can be compared byte by byte. Results that several
tools have of one fault point at each other: by `relatedLocations`, and by the property `issue`,
which is the same for all of them. What the project hides is there with `suppressions`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from urllib.parse import quote

import msgspec

from visionflow.agents.findings import Finding, Severity, Suppressed, ToolRun, order_of
from visionflow.agents.rules import Rule, rule_of
from visionflow.agents.tools.correlate import together

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT = "%SRCROOT%"
_LEVEL: dict[Severity, str] = {
    "critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note",
}  # fmt: skip
_SCORE: dict[Severity, str] = {
    "critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "1.0",
}  # fmt: skip
"""What code scanning services read as `security-severity`, 0 to 10."""
_HOME = {
    "bandit": "https://bandit.readthedocs.io/",
    "complexipy": "https://rohaquinlop.github.io/complexipy/",
    "detect-secrets": "https://github.com/Yelp/detect-secrets",
    "ruff": "https://docs.astral.sh/ruff/",
    "vulture": "https://github.com/jendrikseipp/vulture",
}

Json = dict[str, object]
_Groups = Mapping[tuple[str, str], tuple[Finding, ...]]
"""By tool and fingerprint: all findings of one fault, where there are several."""


def sarif(runs: Iterable[ToolRun]) -> bytes:
    """The whole file, UTF-8, ending in a newline. Runs come out by the tool's name."""
    ordered = sorted(runs, key=lambda run: run.tool)
    groups = _groups(ordered)
    document: Json = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [_run(run, groups) for run in ordered],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _groups(runs: list[ToolRun]) -> _Groups:
    found = [f for run in runs for f in (*run.findings, *(s.finding for s in run.suppressed))]
    return {
        (finding.tool, finding.fingerprint): group
        for group in together(found)
        if len(group) > 1
        for finding in group
    }


def _run(run: ToolRun, groups: _Groups) -> Json:
    every: list[tuple[Finding, Suppressed | None]] = [(each, None) for each in run.findings]
    every += [(each.finding, each) for each in run.suppressed]
    every.sort(key=lambda pair: (order_of(pair[0]), pair[1] is not None))
    rules = sorted({finding.rule for finding, _ in every})
    driver: Json = {"name": run.tool}
    if run.version is not None:
        driver["version"] = run.version
    if run.tool in _HOME:
        driver["informationUri"] = _HOME[run.tool]
    findings = [finding for finding, _ in every]
    driver["rules"] = [_rule(rule_of(run.tool, rule), findings) for rule in rules]
    return {
        "tool": {"driver": driver},
        "invocations": [_invocation(run)],
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": "The workspace that was reviewed."}}
        },
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(finding, hidden, rules.index(finding.rule), groups) for finding, hidden in every
        ],
    }


def _rule(rule: Rule, findings: list[Finding]) -> Json:
    """What the rule table says of a rule, and the weaknesses that its findings name."""
    numbers = {f.cwe for f in findings if f.rule == rule.rule and f.cwe}
    tags = [rule.focus, *sorted(f"external/cwe/cwe-{number}" for number in numbers)]
    properties: Json = {"tags": tags}
    if rule.focus == "security":
        properties["security-severity"] = _SCORE[rule.severity]
    return {
        "id": rule.rule,
        "shortDescription": {"text": rule.title},
        "help": {"text": _help(rule)},
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
        "properties": properties,
    }


def _help(rule: Rule) -> str:
    mended = " Ruff mends it safely." if rule.fixable else ""
    return f"{rule.title[:1].upper()}{rule.title[1:]} ({rule.tool} {rule.rule}).{mended}"


def _result(finding: Finding, hidden: Suppressed | None, rule_index: int, groups: _Groups) -> Json:
    properties: Json = {"severity": finding.severity}
    result: Json = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVEL[finding.severity],
        "message": {"text": finding.message or finding.rule},
        "locations": [{"physicalLocation": _place(finding)}],
        "partialFingerprints": {"visionflow/v1": finding.fingerprint},
        # The standard has them on all results of a run or on none.
        "suppressions": [_suppression(hidden)] if hidden else [],
        "properties": properties,
    }
    group = groups.get((finding.tool, finding.fingerprint), ())
    others = [each for each in group if each is not finding]
    if others:
        properties["issue"] = _issue_id(group)
        result["relatedLocations"] = [
            {
                "id": number,
                "message": {"text": f"{other.tool} {other.rule} tells of the same"},
                "physicalLocation": _place(other),
            }
            for number, other in enumerate(others, 1)
        ]
    return result


def _issue_id(group: tuple[Finding, ...]) -> str:
    marks = sorted(f"{each.tool} {each.rule} {each.fingerprint}" for each in group)
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:32]


def _suppression(hidden: Suppressed) -> Json:
    kind = "inSource" if hidden.by == "comment" else "external"
    return {"kind": kind, "status": "accepted", "justification": hidden.where}


def _place(finding: Finding) -> Json:
    region: Json = {"startLine": finding.line}
    if finding.column is not None:
        region["startColumn"] = finding.column
    if finding.end_line is not None and finding.end_line >= finding.line:
        region["endLine"] = finding.end_line
    if finding.snippet:
        region["snippet"] = {"text": finding.snippet}
    return {"artifactLocation": _artifact(finding.path), "region": region}


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
