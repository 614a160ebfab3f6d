"""Which issue to look at first, and why: an order that any two people would compute alike.

By severity; at equal severity the first of a rule in a file before those that repeat it, so that
one habit does not fill the top; then security before the rest, then code outside tests, then files
that are hotspots (the hottest first), then lines that no test runs; place and rule decide what is
left.
"""

from collections.abc import Iterable, Mapping

import msgspec

from visionflow.agents.evidence import Hotspot, Issue
from visionflow.agents.findings import SEVERITIES
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.tree import is_test_path

_SEVERE = {severity: number for number, severity in enumerate(SEVERITIES)}
_Key = tuple[int, bool, bool, float, bool, str, int, tuple[tuple[str, str], ...], tuple[str, ...]]


class _Ground(msgspec.Struct, frozen=True):
    """What is known of the places at which issues stand."""

    hot: Mapping[str, Hotspot]
    untested: Mapping[str, frozenset[int]]
    """Lines that can run and did not, by file; empty where nothing was measured."""
    tests: frozenset[str]
    """Paths of tests."""


def ranked(issues: Iterable[Issue], facts: RunFacts) -> tuple[Issue, ...]:
    """The issues, the first to look at first, each with what moved it up in `why`."""
    every = tuple(issues)
    spots = () if facts.architecture is None else facts.architecture.hotspots
    files = () if facts.tests is None else facts.tests.files
    ground = _Ground(
        {spot.path: spot for spot in spots},
        {file.path: frozenset(file.missing) for file in files},
        frozenset(path for path in {issue.path for issue in every} if is_test_path(path)),
    )
    ordered = sorted(every, key=lambda issue: _key(issue, ground))
    met: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()
    first: list[tuple[int, bool, Issue]] = []
    for issue in ordered:
        kind = (issue.severity, issue.path, issue.rules)
        first.append((_SEVERE[issue.severity], kind in met, issue))
        met.add(kind)
    return tuple(
        msgspec.structs.replace(issue, why=_why(issue, ground))
        for _, _, issue in sorted(first, key=lambda told: told[:2])
    )


def _key(issue: Issue, ground: _Ground) -> _Key:
    spot = ground.hot.get(issue.path)
    return (
        _SEVERE[issue.severity],
        issue.focus != "security",
        issue.path in ground.tests,
        0.0 if spot is None else -spot.score,
        issue.line not in ground.untested.get(issue.path, ()),
        issue.path,
        issue.line,
        issue.rules,
        issue.fingerprints,
    )


def _why(issue: Issue, ground: _Ground) -> tuple[str, ...]:
    told = [f"{issue.severity} severity"]
    if issue.focus == "security":
        told.append("security")
    spot = ground.hot.get(issue.path)
    if spot is not None:
        told.append(f"in a hotspot: {spot.changes} changes, complexity {spot.complexity}")
    if issue.line in ground.untested.get(issue.path, ()):
        told.append("no test runs this line")
    tools = {tool for tool, _ in issue.rules}
    if len(tools) > 1:
        told.append(f"{len(tools)} tools agree")
    if issue.path in ground.tests:
        told.append("in a test")
    return tuple(told)
