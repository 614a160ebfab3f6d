"""Which findings a change brought: new, and on a line that it changed.

A finding is told by tool, rule, file and the text of its line. Of equal ones, those on lines that
did not change are taken for the old ones first, so that a copy of a line is new where it was put
and not where the last of them happens to stand. A finding whose line went from one changed file to
another is moved, not new. Its lines are those from `line` to `end_line`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from visionflow.agents.findings import Finding, Suppressed, ToolRun, order_of, portable_path
from visionflow.agents.gate.results import Accepted, FailOn, Findings, at_least
from visionflow.agents.tools.delta import FileDiff

LineText = Callable[[str, int], str]
"""(path, line) to that line as it stands."""
_Key = tuple[str, str, str, str]


class Comparison(msgspec.Struct, frozen=True):
    """Both sides of a change."""

    before: Sequence[ToolRun]
    after: Sequence[ToolRun]
    diff: Sequence[FileDiff]
    text_before: LineText
    text_after: LineText


class Fresh(msgspec.Struct, frozen=True):
    """Findings by what the change has to do with them, each sorted by place."""

    new: tuple[Finding, ...]
    elsewhere: tuple[Finding, ...]
    moved: tuple[Finding, ...]
    known: int
    fixed: int


def judge(compared: Comparison) -> Fresh:
    """Sort the findings of the changed files as they are now."""
    changes = {portable_path(each.new): each for each in compared.diff if each.new is not None}
    names = {
        portable_path(each.old): portable_path(each.new)
        for each in compared.diff
        if each.old is not None and each.new is not None
    }
    old = Counter[_Key]()
    for finding in _findings(compared.before):
        text = compared.text_before(finding.path, finding.line).strip()
        path = names.get(finding.path, finding.path)
        old[finding.tool, finding.rule, path, text] += 1
    before = old.total()
    now = [each for each in _findings(compared.after) if each.path in changes]
    touched = {each: _touched(changes[each.path], each) for each in now}
    fresh: list[tuple[Finding, _Key]] = []
    for finding in sorted(now, key=lambda each: (touched[each], order_of(each))):
        text = compared.text_after(finding.path, finding.line).strip()
        key = (finding.tool, finding.rule, finding.path, text)
        if old[key]:
            old[key] -= 1
        else:
            fresh.append((finding, key))
    new, moved = _parted([each for each in fresh if touched[each[0]]], old)
    return Fresh(
        new=_sorted(new),
        elsewhere=_sorted(each for each, _ in fresh if not touched[each]),
        moved=_sorted(moved),
        known=len(now) - len(fresh),
        fixed=before - (len(now) - len(fresh)) - len(moved),
    )


def newly_hidden(compared: Comparison) -> tuple[Suppressed, ...]:
    """What a comment or a setting hides now and did not hide on base, sorted by place.

    On changed lines; anywhere in the changed files where the change touches the file of the
    setting. A line counts with its comment, so that one that got another is told again.
    """
    changes = {portable_path(each.new): each for each in compared.diff if each.new is not None}
    names = {
        portable_path(each.old): portable_path(each.new)
        for each in compared.diff
        if each.old is not None and each.new is not None
    }
    old = Counter[_Key]()
    for hidden in _hidden(compared.before):
        each = hidden.finding
        text = compared.text_before(each.path, each.line).strip()
        old[each.tool, each.rule, names.get(each.path, each.path), text] += 1
    now = [each for each in _hidden(compared.after) if each.finding.path in changes]
    touched = [(_touched(changes[each.finding.path], each.finding), each) for each in now]
    fresh: list[Suppressed] = []
    for on_line, hidden in sorted(touched, key=lambda each: (each[0], order_of(each[1].finding))):
        each = hidden.finding
        key = (each.tool, each.rule, each.path, compared.text_after(each.path, each.line).strip())
        if old[key]:
            old[key] -= 1
        elif on_line or hidden.where.partition(": ")[0] in changes:
            fresh.append(hidden)
    return tuple(sorted(fresh, key=lambda each: order_of(each.finding)))


def _hidden(runs: Iterable[ToolRun]) -> list[Suppressed]:
    found = (each for run in runs for each in run.suppressed)
    return sorted(found, key=lambda each: order_of(each.finding))


def _findings(runs: Iterable[ToolRun]) -> list[Finding]:
    return sorted((each for run in runs for each in run.findings), key=order_of)


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=order_of))


def _touched(change: FileDiff, finding: Finding) -> bool:
    last = max(finding.line, finding.end_line or finding.line)
    return any(span.first <= last and finding.line < span.end for span in change.added)


def _parted(
    fresh: list[tuple[Finding, _Key]], left: Mapping[_Key, int]
) -> tuple[list[Finding], list[Finding]]:
    """(new, moved): a line of another file that is gone there accounts for one that came here."""
    gone = Counter[tuple[str, str, str]]()
    for (tool, rule, _, text), count in left.items():
        if text:
            gone[tool, rule, text] += count
    new: list[Finding] = []
    moved: list[Finding] = []
    for finding, (tool, rule, _, text) in fresh:
        if gone[tool, rule, text]:
            gone[tool, rule, text] -= 1
            moved.append(finding)
        else:
            new.append(finding)
    return new, moved


def weighed(fresh: Fresh, accepted: Iterable[Accepted], fail_on: FailOn) -> Findings:
    """The new ones parted by baseline and threshold."""
    known = {(each.tool, each.fingerprint) for each in accepted}
    ours = [each for each in fresh.new if (each.tool, each.fingerprint) in known]
    rest = [each for each in fresh.new if (each.tool, each.fingerprint) not in known]
    return Findings(
        new=tuple(each for each in rest if at_least(each.severity, fail_on)),
        below=tuple(each for each in rest if not at_least(each.severity, fail_on)),
        accepted=tuple(ours),
        elsewhere=fresh.elsewhere,
        moved=fresh.moved,
        known=fresh.known,
        fixed=fresh.fixed,
    )
