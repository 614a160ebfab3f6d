"""Findings of several tools put together: results for the same place and fault become one issue.

Two findings are one fault when they stand on the same line of the same file and have the same
weakness number, or are both about a secret, or mean the same by the rule table. The tools' own
findings stay as they are; gates and deltas count those.
"""

from collections.abc import Iterable, Sequence

from visionflow.agents.evidence import Issue
from visionflow.agents.findings import SEVERITIES, Finding, ToolRun, order_of
from visionflow.agents.rules import rule_of

SECRET_CWES = frozenset({259, 321, 798})
"""Weaknesses that say: a secret in the code."""


def issues_of(tools: Sequence[ToolRun]) -> tuple[Issue, ...]:
    """All findings as issues, the gravest first, then by place."""
    groups = together(finding for run in tools for finding in run.findings)
    issues = [_issue(group) for group in groups]
    return tuple(sorted(issues, key=_order))


def together(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """Findings that are one fault, grouped; each group has its gravest first."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in sorted(findings, key=order_of):
        groups.setdefault(_fault(finding), []).append(finding)
    done: list[tuple[Finding, ...]] = []
    for group in groups.values():
        # One tool may tell of the same twice on a line; these are two.
        tools = {finding.tool for finding in group}
        if len(tools) == 1:
            done += [(finding,) for finding in group]
        else:
            done.append(tuple(sorted(group, key=_gravest)))
    return tuple(sorted(done, key=lambda group: order_of(group[0])))


def _fault(finding: Finding) -> tuple[object, ...]:
    """Equal for findings that are the same fault."""
    if finding.cwe in SECRET_CWES:
        return (finding.path, finding.line, "secret")
    title = rule_of(finding.tool, finding.rule).title
    if title in _SHARED:
        return (finding.path, finding.line, title)
    if finding.cwe is not None:
        return (finding.path, finding.line, finding.cwe)
    return (finding.path, finding.line, finding.tool, finding.rule, finding.column, finding.message)


_SHARED = frozenset({"characters that hide what the code does"})
"""Titles that rules of different tools share while their weakness numbers differ."""


def _gravest(finding: Finding) -> tuple[object, ...]:
    return (SEVERITIES.index(finding.severity), finding.tool, *order_of(finding))


def _issue(group: tuple[Finding, ...]) -> Issue:
    first = group[0]
    cwe = next((finding.cwe for finding in group if finding.cwe is not None), None)
    return Issue(
        severity=first.severity,
        path=first.path,
        line=first.line,
        message=first.message,
        rules=tuple((finding.tool, finding.rule) for finding in group),
        cwe=cwe,
        focus=rule_of(first.tool, first.rule).focus,
        fingerprints=tuple(finding.fingerprint for finding in group),
        snippet=first.snippet,
    )


def _order(issue: Issue) -> tuple[object, ...]:
    place = (issue.path, issue.line)
    return (SEVERITIES.index(issue.severity), *place, issue.rules, issue.fingerprints)
