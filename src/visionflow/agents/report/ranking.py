"""Which issue to look at first, and why: an order that any two people would compute alike.

By severity; at equal severity security before the rest, then code outside tests, then files that
are hotspots (the hottest first), then lines that no test runs; place and rule decide what is left.
"""

from collections.abc import Iterable, Mapping

import msgspec

from visionflow.agents.evidence import Hotspot, Issue
from visionflow.agents.findings import SEVERITIES
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.tree import is_test_path

_SEVERE = {severity: number for number, severity in enumerate(SEVERITIES)}
_Key = tuple[int, bool, bool, float, bool, str, int, tuple[tuple[str, str], ...]]


def ranked(issues: Iterable[Issue], facts: RunFacts) -> tuple[Issue, ...]:
    """The issues, the first to look at first, each with what moved it up in `why`."""
    hot = {} if facts.architecture is None else {h.path: h for h in facts.architecture.hotspots}
    untested = _untested(facts)
    keyed = sorted(
        ((_key(issue, hot, untested), issue) for issue in issues), key=lambda pair: pair[0]
    )
    return tuple(
        msgspec.structs.replace(issue, why=_why(issue, hot, untested)) for _, issue in keyed
    )


def _untested(facts: RunFacts) -> Mapping[str, frozenset[int]]:
    """Lines that can run and did not, by file; empty where nothing was measured."""
    files = () if facts.tests is None else facts.tests.files
    return {file.path: frozenset(file.missing) for file in files}


def _key(issue: Issue, hot: Mapping[str, Hotspot], untested: Mapping[str, frozenset[int]]) -> _Key:
    spot = hot.get(issue.path)
    return (
        _SEVERE[issue.severity],
        issue.focus != "security",
        is_test_path(issue.path),
        0.0 if spot is None else -spot.score,
        issue.line not in untested.get(issue.path, ()),
        issue.path,
        issue.line,
        issue.rules,
    )


def _why(
    issue: Issue, hot: Mapping[str, Hotspot], untested: Mapping[str, frozenset[int]]
) -> tuple[str, ...]:
    told = [f"{issue.severity} severity"]
    if issue.focus == "security":
        told.append("security")
    spot = hot.get(issue.path)
    if spot is not None:
        told.append(f"in a hotspot: {spot.changes} changes, complexity {spot.complexity}")
    if issue.line in untested.get(issue.path, ()):
        told.append("no test runs this line")
    tools = {tool for tool, _ in issue.rules}
    if len(tools) > 1:
        told.append(f"{len(tools)} tools agree")
    if is_test_path(issue.path):
        told.append("in a test")
    return tuple(told)
