"""Holds what a run found against what is planted: precision and recall for each class of fault.

A result is matched by rule and place. Whatever matches nothing that is planted is an invention,
but for hotspots, which rank what is there, and lines that no test runs where the line itself was
planted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from visionflow.agents.evidence import Dependency
from visionflow.agents.findings import Finding, Suppressed
from visionflow.agents.report.facts import RunFacts
from visionflow.compose.demo.manifest import Fault, Kind, Manifest

_NEVER_INVENTED: tuple[Kind, ...] = ("hotspot", "escape")
"""A ranking of what is there, and that something was kept out."""
_ESCAPE = b"\\u001b"
"""How JSON writes what begins a terminal's control sequence."""


class Row(msgspec.Struct, frozen=True):
    """One class of faults."""

    class_: str = msgspec.field(name="class")
    planted: int = 0
    found: int = 0
    missed: tuple[str, ...] = ()
    """Ids of the faults that were not found."""
    invented: tuple[str, ...] = ()
    """What was reported and is no fault, one phrase each."""

    @property
    def recall(self) -> float | None:
        """Found of planted; `None` where nothing is planted."""
        return self.found / self.planted if self.planted else None

    @property
    def precision(self) -> float | None:
        """Found of reported; `None` where nothing is reported."""
        reported = self.found + len(self.invented)
        return self.found / reported if reported else None


class Evaluation(msgspec.Struct, frozen=True):
    """All classes, by name."""

    rows: tuple[Row, ...]
    found: tuple[str, ...]
    """Ids of the faults that were found."""

    @property
    def planted(self) -> int:
        return sum(row.planted for row in self.rows)

    @property
    def missed(self) -> tuple[str, ...]:
        return tuple(each for row in self.rows for each in row.missed)

    @property
    def invented(self) -> tuple[str, ...]:
        return tuple(each for row in self.rows for each in row.invented)


class Reported(NamedTuple):
    """One thing that a run says."""

    kind: Kind
    path: str | None
    line: int | None
    word: str
    """A `tool:rule`, or the name of what it is about."""
    by: str | None = None


def evaluate(facts: RunFacts, manifest: Manifest) -> Evaluation:
    """What of the manifest stands in the facts, and what of the facts does not."""
    reported = tuple(dict.fromkeys(told(facts, manifest)))
    explained: set[Reported] = set()
    found: list[str] = []
    for fault in manifest.faults:
        mine = {each for each in reported if _about(fault, each)}
        explained |= mine
        if _is_found(fault, mine):
            found.append(fault.planted.id)
    strange: dict[str, list[str]] = {}
    for each in reported:
        if each not in explained and each.kind not in _NEVER_INVENTED:
            strange.setdefault(_class_of(each, manifest), []).append(phrase(each))
    return Evaluation(_rows(manifest.faults, found, strange), tuple(found))


def _rows(
    faults: Iterable[Fault], found: list[str], strange: Mapping[str, list[str]]
) -> tuple[Row, ...]:
    classes: dict[str, list[str]] = {name: [] for name in strange}
    for fault in faults:
        classes.setdefault(fault.planted.class_, []).append(fault.planted.id)
    rows: list[Row] = []
    for name, ids in sorted(classes.items()):
        missed = tuple(each for each in ids if each not in found)
        invented = tuple(sorted(strange.get(name, ())))
        rows.append(Row(name, len(ids), len(ids) - len(missed), missed, invented))
    return tuple(rows)


def could_tell(fault: Fault, facts: RunFacts) -> bool:
    """Whether the facts would show this fault if it were there: its tool ended well, and read it.

    Without that, not finding it means nothing.
    """
    planted = fault.planted
    if planted.kind in ("finding", "suppressed"):
        runs = {run.tool: run for run in facts.tools}
        wanted = {rule.partition(":")[0] for rule in planted.rules}
        ended = all(name in runs and runs[name].ended == "completed" for name in wanted)
        unread = {path for name in wanted & set(runs) for path, _ in runs[name].not_read}
        return ended and fault.path not in unread
    if planted.kind in ("failing", "flaky", "uncovered", "escape"):
        tests = facts.tests
        ran = tests is not None and tests.outcome in ("passed", "failed")
        return ran and (planted.kind != "uncovered" or bool(tests and tests.files))
    if planted.kind in ("cycle", "hotspot"):
        return facts.architecture is not None
    return facts.research is not None


def phrase(each: Reported) -> str:
    """A report in a few words."""
    place = "" if each.path is None else f" at {each.path}:{each.line}"
    return f"{each.kind} {each.word}{place}"


def _about(fault: Fault, each: Reported) -> bool:
    """Whether a report speaks of this fault."""
    planted = fault.planted
    if each.kind != planted.kind:
        return False
    if planted.kind in ("finding", "suppressed"):
        accepted = any(_matches(rule, each.word) for rule in (*planted.rules, *planted.also))
        return accepted and (each.path, each.line) == (fault.path, fault.line)
    if planted.kind in ("cycle", "flaky", "failing", "hotspot"):
        return each.word in (*planted.names, " ".join(planted.names))
    if planted.kind in ("undeclared", "unused", "todo"):
        return each.word in planted.names and each.path == fault.path and each.line == fault.line
    if planted.kind in ("uncovered", "entry"):
        return (each.path, each.line) == (fault.path, fault.line)
    return True


def _is_found(fault: Fault, mine: set[Reported]) -> bool:
    planted = fault.planted
    if planted.kind in ("finding", "suppressed"):
        hidden = planted.by is None or all(each.by == planted.by for each in mine)
        return hidden and all(
            any(_matches(rule, each.word) for each in mine) for rule in planted.rules
        )
    return bool(mine)


def _matches(rule: str, word: str) -> bool:
    return rule == word or (rule.endswith(":*") and word.startswith(rule[:-1]))


def _class_of(each: Reported, manifest: Manifest) -> str:
    """The class that an invention counts against: that of the same rule, or of its kind."""
    for fault in manifest.faults:
        planted = fault.planted
        if planted.kind != each.kind:
            continue
        if planted.rules and any(_matches(rule, each.word) for rule in planted.rules):
            return planted.class_
        if not planted.rules:
            return planted.class_
    return each.word if each.kind in ("finding", "suppressed") else each.kind


def told(facts: RunFacts, manifest: Manifest) -> Iterator[Reported]:
    """Everything that the facts report."""
    for tool in facts.tools:
        for finding in tool.findings:
            yield _finding("finding", finding)
        for hidden in tool.suppressed:
            yield _finding("suppressed", hidden)
    yield from _of_tests(facts, manifest)
    if facts.research is not None:
        yield from _dependencies("undeclared", facts.research.undeclared)
        yield from _dependencies("unused", facts.research.unused)
        for todo in facts.research.todos:
            yield Reported("todo", todo.place.path, todo.place.line, todo.word)
        for entry in facts.research.entry_points:
            yield Reported("entry", entry.place.path, entry.place.line, entry.name)
    if facts.architecture is not None:
        for cycle in facts.architecture.cycles:
            yield Reported("cycle", None, None, " ".join(sorted(cycle.modules)))
        for hotspot in facts.architecture.hotspots[:1]:
            yield Reported("hotspot", None, None, hotspot.path)


def _finding(kind: Kind, found: Finding | Suppressed) -> Reported:
    finding = found.finding if isinstance(found, Suppressed) else found
    by = found.by if isinstance(found, Suppressed) else None
    return Reported(kind, finding.path, finding.line, f"{finding.tool}:{finding.rule}", by)


def _dependencies(kind: Kind, found: Iterable[Dependency]) -> Iterator[Reported]:
    for each in found:
        place = each.place
        yield Reported(kind, place and place.path, place and place.line, each.name)


def _of_tests(facts: RunFacts, manifest: Manifest) -> Iterator[Reported]:
    tests = facts.tests
    if tests is None:
        return
    flaky = {each.id for each in (*tests.flaky, *tests.order_dependent)}
    for case in tests.cases:
        if case.id not in flaky:
            yield Reported("failing", None, None, case.id)
    for name in sorted(flaky):
        yield Reported("flaky", None, None, name)
    for file in tests.files:
        ours = set(manifest.planted_lines.get(file.path, ()))
        marked = _lines_of(manifest, "uncovered", file.path)
        lines = {*file.missing, *(line for line, _ in file.missing_branches)}
        for line in sorted(lines):
            if line in marked or line not in ours:
                yield Reported("uncovered", file.path, line, "not run")
    # Its tests ran although the configuration shouts, and nothing of that got through.
    if tests.counts.total and _ESCAPE not in msgspec.json.encode(tests.cases):
        yield Reported("escape", None, None, "kept out")


def leaks(pages: Mapping[str, str], manifest: Manifest) -> tuple[str, ...]:
    """What got into the outputs and must not: `pages` are texts by file name.

    Control characters and made-up keys in any of them, a raw `<script>` in pages. (In a Markdown
    document it does no harm as code; what comes of rendering one is a page.)
    """
    found: list[str] = []
    for name, text in sorted(pages.items()):
        if any(character in text for character in "\x1b\x07\x9b"):
            found.append(f"a control character in {name}")
        if any(secret in text for secret in manifest.secrets):
            found.append(f"a secret in {name}")
        if name.endswith(".html") and "<script>alert" in text:
            found.append(f"a script of the sample's in {name}")
    return tuple(found)


def _lines_of(manifest: Manifest, kind: Kind, path: str) -> set[int | None]:
    return {f.line for f in manifest.faults if f.planted.kind == kind and f.path == path}


def table(bad: Evaluation, clean: Evaluation, percent: Callable[[float | None], str]) -> list[str]:
    """Rows of a Markdown table; inventions in the clean twin count against precision too."""
    in_clean = {row.class_: len(row.invented) for row in clean.rows}
    names = {row.class_: row for row in bad.rows}
    for row in clean.rows:
        names.setdefault(row.class_, Row(row.class_))
    columns = ("class", "planted", "found", "invented", "in the clean twin", "precision", "recall")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, row in sorted(names.items()):
        twin = in_clean.get(name, 0)
        reported = row.found + len(row.invented) + twin
        precision = row.found / reported if reported else None
        lines.append(
            f"| {name} | {row.planted} | {row.found} | {len(row.invented)} | {twin} "
            f"| {percent(precision)} | {percent(row.recall)} |"
        )
    return lines
