"""report.md: the view for a person who reads Markdown, as GitHub renders it.

The first line says how far the rest can be trusted. Everything a repository had a hand in is shown
literally; `agents.tools.text` does that. Nothing here decides, counts or sorts.
"""

from collections.abc import Iterable, Iterator, Sequence

from visionflow.agents.report.contest_markdown import contest_markdown
from visionflow.agents.report.telling import named, plural, seconds, share
from visionflow.agents.report.values import (
    ArchitectureView,
    ChangeView,
    IssueLine,
    NamedPlace,
    ResearchView,
    RunView,
    TestsView,
    VoteView,
)
from visionflow.agents.report.view import TOP, notes_of
from visionflow.agents.tools.text import code, code_block, markdown

_LISTED = 50
"""How many of each the page lists; report.html and the files beside it have the rest."""
_IDLE = "nothing to judge"
_GATE = {True: "passed", False: "**failed**", None: "could not be told"}


def report_markdown(view: RunView) -> str:
    """The report as GitHub-flavoured Markdown, ending in a newline."""
    sections = (
        _head(view),
        _gates(view),
        _figures(view),
        () if view.contest is None else contest_markdown(view.contest),
        _issues(view),
        _tests(view.tests, view),
        _architecture(view.architecture),
        _research(view.research),
        _change(view.change if view.contest is None else None),
        _vote(view.vote),
        _not_looked_at(view),
        _suppressed(view),
        _ground(view),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _head(view: RunView) -> Iterator[str]:
    yield f"> {markdown(view.trust.sentence, 4_000)}"
    yield ""
    yield f"# {markdown(view.goal, 500)}"
    yield ""
    yield f"**{markdown(view.headline)}**"
    yield ""
    if view.subtitle:
        yield markdown(view.subtitle, 1_000)
        yield ""
    took = "" if view.seconds is None else f" {seconds(view.seconds)},"
    yield (
        f"Workspace {code(view.workspace)}, run {code(view.run)},{took} status {code(view.status)}."
    )
    if view.playbook:
        yield f"Playbook {code(view.playbook)}: {markdown(view.why)}"
    yield ""


def _gates(view: RunView) -> Iterator[str]:
    if not view.gate_lines:
        return
    yield from _table(
        ("gate", "result", "it means"),
        (
            (markdown(gate.name), _IDLE if gate.idle else _GATE[gate.value], gate.means)
            for gate in view.gate_lines
        ),
    )


def _figures(view: RunView) -> Iterator[str]:
    yield from _table(
        ("figure", "value"), ((each.label, markdown(each.text)) for each in view.figures)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _more(shown: int, total: int, where: str | None = None) -> Iterator[str]:
    if total > shown:
        yield f"- and {total - shown:,} more{'' if where is None else f', in `{where}`'}"


def _issues(view: RunView) -> Iterator[str]:
    if not view.issues_asked:
        return
    yield "## Findings"
    yield ""
    if not view.issues_known:
        yield "No tool was run, so nothing is known."
        yield ""
        return
    told = _findings(view)
    yield f"{told}. All of them are in `findings.sarif`; those for one fault are told as one here."
    yield ""
    for issue in view.issues[:TOP]:
        yield from _top(issue)
    rest = view.issues[TOP:_LISTED]
    yield from (f"- {_issue(issue)}" for issue in rest)
    yield from _more(len(view.issues[:_LISTED]), view.issues_total, "findings.sarif")
    yield ""


def _findings(view: RunView) -> str:
    counts = view.findings or {}
    return ", ".join(f"{count:,} {severity}" for severity, count in counts.items())


def _issue(issue: IssueLine) -> str:
    weakness = f", CWE-{issue.cwe}" if issue.cwe else ""
    rules = " + ".join(markdown(rule) for rule in issue.rules)
    mended = "; mended in the patch" if issue.fixed else ""
    return (
        f"{issue.severity} {code(issue.place)} {markdown(issue.message)} "
        f"({rules}{weakness}{mended})"
    )


def _top(issue: IssueLine) -> Iterator[str]:
    yield f"{issue.rank}. {_issue(issue)}"
    yield f"   Why here: {markdown('; '.join(issue.why))}."
    yield ""
    block = [issue.snippet] if issue.snippet else []
    yield code_block("\n".join([*block, f"$ {issue.command}"]), "   ")
    yield ""


def _tests(run: TestsView | None, view: RunView) -> Iterator[str]:
    asked = view.gates is None or "tests" in view.gates
    if run is None and (view.contest is not None or not asked):
        return
    yield "## Tests"
    yield ""
    if run is None:
        yield "No tester reported."
        yield ""
        return
    yield (
        f"{named(run.outcome).capitalize()}: {run.passed:,} passed, {run.failed:,} failed, "
        f"{run.errors:,} errors, {run.skipped:,} skipped, {run.xfailed:,} expected failures, "
        f"in {seconds(run.seconds)}."
    )
    if run.reason is not None:
        yield f"Why: {markdown(run.reason, 600)}."
    if run.missing:
        yield f"Missing here: {', '.join(code(what) for what in run.missing)}."
    yield ""
    yield from _coverage(run)
    yield from _failures(run)
    if run.slowest:
        slow = run.slowest[0]
        yield f"Slowest: {code(slow.id)}, {slow.seconds:.2f} s."
        yield ""


def _coverage(run: TestsView) -> Iterator[str]:
    if run.coverage is None:
        yield f"Coverage: unknown ({markdown(run.coverage_reason or 'not measured')})."
        yield ""
        return
    taken = "" if run.branch_coverage is None else f", {run.branch_coverage:.2f} % of branches"
    yield f"Coverage: {run.coverage:.2f} % of lines{taken}, tests themselves not counted."
    yield ""
    short = [file for file in run.files if file.missing][:10]
    if short:
        rows = (
            (code(f.path), f"{f.percent:.2f} %", f"{f.missing:,} of {f.lines:,}", f.ranges)
            for f in short
        )
        yield from _table(("file", "lines run", "did not run", "which"), rows)


def _failures(run: TestsView) -> Iterator[str]:
    shown = run.failures[:20]
    for case in shown:
        missing = f", missing {code(case.missing)}" if case.missing else ""
        yield f"- {case.outcome} {code(case.id)}{missing}: {markdown(case.summary)}"
        if case.message:
            yield ""
            yield code_block(case.message, "  ")
            yield ""
    yield from _more(len(shown), run.failures_total, "junit.xml")
    for case in run.flaky[:20]:
        alone, in_order = ", ".join(case.alone) or "not run", ", ".join(case.in_order) or "not run"
        yield f"- flaky {code(case.id)}: run again alone {alone}; in order {in_order}"
    yield from _more(min(len(run.flaky), 20), run.flaky_total, "junit.xml")
    if run.failures or run.flaky:
        yield ""


def _architecture(found: ArchitectureView | None) -> Iterator[str]:
    if found is None:
        return
    yield "## Architecture"
    yield ""
    history = "no history" if found.commits is None else plural(found.commits, "commit")
    yield (
        f"{plural(found.modules, 'module')}, {plural(found.imports, 'import')} between them, "
        f"{history} looked at."
    )
    yield ""
    for cycle in found.cycles:
        places = ", ".join(code(place) for place in cycle.places)
        ring = (*cycle.modules, cycle.modules[0]) if cycle.modules else ()
        yield f"- cycle: {' → '.join(code(name) for name in ring)}; imports at {places}"
    yield from _more(len(found.cycles), found.cycles_total)
    if found.cycles:
        yield ""
    if found.hotspots:
        rows = (
            (code(h.path), f"{h.changes:,}", f"{h.complexity:,}", f"{h.score:.2f}",
             code(f"{h.function} ({h.place})") if h.function and h.place else "")
            for h in found.hotspots[:10]
        )  # fmt: skip
        yield from _table(
            ("hotspot", "changes", "complexity", "score", "most complex function"), rows
        )
    if found.owners:
        rows = (
            (code(each.folder), markdown(each.author), share(each.share), f"{each.authors:,}")
            for each in found.owners[:10]
        )
        yield from _table(("folder", "most of its history by", "share", "authors"), rows)


def _research(found: ResearchView | None) -> Iterator[str]:
    if found is None or not found.says_something:
        return
    yield f"## What the repository {'answers' if found.answers else 'tells of itself'}"
    yield ""
    for answer in found.answers:
        terms = ", ".join(f"*{markdown(term)}*" for term in answer.terms)
        yield f"- {terms}: {plural(answer.hits, 'line')}"
        for each in answer.citations:
            yield f"  - {code(each.place)} {code(each.text)}"
    if found.answers:
        yield ""
    yield from _named("Entry points", found.entry_points, found.entry_points_total)
    yield from _named("Imported and not declared", found.undeclared, len(found.undeclared))
    yield from _named("Declared and not imported", found.unused, len(found.unused))
    yield from _named("Left to do", found.todos, found.todos_total)


def _named(title: str, places: Sequence[NamedPlace], total: int) -> Iterator[str]:
    if not places:
        return
    yield f"{title}:"
    yield ""
    for each in places[:10]:
        at = f" {code(each.place)}" if each.place else ""
        yield f"- {markdown(each.name)}{at} {markdown(each.text)}".rstrip()
    yield from _more(min(len(places), 10), total)
    yield ""


def _change(change: ChangeView | None) -> Iterator[str]:
    if change is None:
        return
    yield "## Patch"
    yield ""
    why = f": {markdown(change.reason)}" if change.reason else ""
    yield f"{named(change.outcome).capitalize()}{why}."
    if change.made:
        yield (
            f"{plural(change.files_total, 'file')}, {plural(change.insertions, 'line')} added, "
            f"{change.deletions:,} removed; {plural(change.fixed, 'finding')} gone, "
            f"{len(change.new):,} new."
        )
    yield ""
    for name, value in change.gates.items():
        yield f"- gate {markdown(name)}: {_GATE[value]}"
    for each in change.commits:
        yield (
            f"- {code(each.commit[:12])} {markdown(each.title)} ({markdown(each.rule)}): "
            f"{plural(each.fixes, 'fix', 'fixes')} in {plural(each.files, 'file')}"
        )
    for rule, reason in change.dropped:
        yield f"- left out {markdown(rule)}: {markdown(reason)}"
    yield from (f"- new finding {code(place)}" for place in change.new)
    yield ""
    if change.apply is not None:
        yield "The branch comes into the repository with:"
        yield ""
        yield code_block(change.apply)
        yield ""


def _vote(vote: VoteView | None) -> Iterator[str]:
    if vote is None:
        return
    yield "## Vote"
    yield ""
    yield f"{markdown(vote.question)} **{(vote.decision or 'still open').capitalize()}.**"
    yield ""
    rows = (
        (markdown(each.member), each.choice + (" (dissent)" if each.dissent else ""),
         markdown(each.evidence), markdown(each.reason))
        for each in vote.ballots
    )  # fmt: skip
    yield from _table(("member", "ballot", "on", "because"), rows)
    if vote.silent:
        yield f"No ballot of: {', '.join(markdown(each) for each in vote.silent)}."
        yield ""


def _not_looked_at(view: RunView) -> Iterator[str]:
    yield "## What was not looked at"
    yield ""
    if not view.not_looked_at:
        yield view.nothing_left_out
        yield ""
        return
    for each in view.not_looked_at[:_LISTED]:
        yield f"- {code(each.what)}: {markdown(each.why)} ({markdown(', '.join(each.by))})"
    shown = len(view.not_looked_at[:_LISTED])
    yield from _more(shown, view.not_looked_at_total)
    yield ""


def _suppressed(view: RunView) -> Iterator[str]:
    if not view.suppressed:
        return
    yield "## Hidden by the project itself"
    yield ""
    yield "These count in no gate."
    yield ""
    for each in view.suppressed[:_LISTED]:
        yield (
            f"- {each.severity} {code(each.place)} {markdown(each.message)} "
            f"({markdown(each.rule)}), by {each.by}: {code(each.where)}"
        )
    yield from _more(len(view.suppressed[:_LISTED]), view.suppressed_total, "findings.sarif")
    yield ""


def _ground(view: RunView) -> Iterator[str]:
    """On what it ran, what held it, and everything else worth knowing."""
    yield "## How it was run"
    yield ""
    if view.tasks:
        rows = (
            (markdown(task.title), markdown(task.role), markdown(task.phase),
             markdown(named(task.status)), markdown(task.reason or ""))
            for task in view.tasks
        )  # fmt: skip
        yield from _table(("task", "role", "phase", "status", "note"), rows)
    for tool in view.tools:
        version = f" {markdown(tool.version)}" if tool.version else ""
        held = f"; held by {markdown(', '.join(tool.held))}" if tool.held else ""
        cached = f" ({tool.cached:,} unchanged since earlier)" if tool.cached else ""
        yield f"- {markdown(tool.tool)}{version} read {tool.files_read:,} files{cached}{held}"
    run = view.tests
    if run is not None:
        yield f"- Environment: {markdown(run.environment or 'none was chosen')}"
        if run.interpreter is not None:
            yield f"- Interpreter: {code(run.interpreter)}"
        for what, how in run.held:
            told = markdown(how) if how else "**nothing**"
            yield f"- {what.capitalize()} of the tests held by: {told}"
        yield from (f"- {markdown(reason)}" for reason in run.unheld)
    for note in notes_of(view):
        yield f"- {markdown(note)}"
    yield from (f"- Warning: {markdown(each)}" for each in view.own_warnings)
    yield ""
    for command in view.commands:
        yield f"{command.does}:"
        yield ""
        yield code_block(command.command)
        yield ""
