"""report.md: one run, for a person. The first line says how far it can be trusted.

Everything a repository had a hand in (names, messages, output) is shown literally; `text` does
that. Nothing here decides anything: gates and verdict come from `summary`.
"""

from collections.abc import Iterator, Sequence

from visionflow.agents.findings import SEVERITIES, Finding, ToolRun, order_of
from visionflow.agents.tools.results import Case, TestRun
from visionflow.agents.tools.summary import RunSummary, verdict
from visionflow.agents.tools.text import code, code_block, markdown, show_path

_TOP = 25
_FAILURES = 20
_NOT_READ = 20
_GATE_MEANS = {
    "tests": "the project's own tests pass",
    "syntax": "every file outside tests parses",
    "findings": "no tool found anything critical or high",
}
_VERDICT = {
    "passed": "**Passed.** Every gate passed.",
    "failed": "**Failed.** A gate failed.",
    "incomplete": "**Incomplete.** What could be checked passed; a gate could not be told.",
    "nothing_checked": "**Nothing could be checked.** No gate could be told.",
}
_GATE = {True: "passed", False: "**failed**", None: "could not be told"}


def report_markdown(summary: RunSummary) -> str:
    """The report as GitHub-flavoured Markdown, ending in a newline."""
    sections = (
        _head(summary), _gates(summary), _findings(summary), _tests(summary.tests),
        _looked_at(summary), _ground(summary),
    )  # fmt: skip
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _head(summary: RunSummary) -> Iterator[str]:
    yield f"> {_trust(summary)}"
    yield ""
    yield f"# {markdown(summary.goal)}"
    yield ""
    yield _VERDICT[verdict(summary.gates)]
    yield ""
    yield f"Workspace {code(summary.workspace)}, run {code(summary.run)}, "
    yield f"{summary.seconds:.1f} s, status {code(summary.status)}."
    yield ""


def _trust(summary: RunSummary) -> str:
    """How each part ended, and what did not hold or was not looked at, in one line."""
    parts = [f"{markdown(p.name)}: {markdown(p.status)}" for p in summary.parts]
    told = [*parts, _trust_in_tests(summary.tests)]
    for run in summary.tools:
        why = f" ({markdown(run.reason, 160)})" if run.reason else ""
        told.append(f"{markdown(run.tool)} {run.ended.replace('_', ' ')}{why}")
    unread = {path for run in summary.tools for path, _ in run.not_read}
    told.append(f"{len(unread)} paths were not looked at by at least one tool" if unread
                else "every Python file of the copy was read")  # fmt: skip
    uncopied = sum("not read (" in note for note in summary.notes)
    if uncopied:
        told.append(f"{uncopied} paths of the workspace could not be copied")
    return "How far to trust this: " + "; ".join(told) + "."


def _trust_in_tests(run: TestRun | None) -> str:
    if run is None:
        return "tests: no result"
    told = f"tests {run.outcome.replace('_', ' ')}"
    if run.reason is not None:
        told += f" ({markdown(run.reason, 200)})"
    held = run.enforced
    if held is None:
        return f"{told}, nothing of the project was executed"
    absent = [
        what
        for what, how in (
            ("files", held.filesystem), ("network", held.network),
            ("processes", held.processes), ("memory", held.memory),
        )
        if how is None
    ]  # fmt: skip
    return f"{told}, NOT confined: {', '.join(absent)}" if absent else f"{told}, confined"


def _gates(summary: RunSummary) -> Iterator[str]:
    yield "| gate | result | it means |"
    yield "|---|---|---|"
    for name, value in summary.gates.items():
        yield f"| {markdown(name)} | {_GATE[value]} | {_GATE_MEANS.get(name, '')} |"
    yield ""


def _findings(summary: RunSummary) -> Iterator[str]:
    yield "## Findings"
    yield ""
    if all(run.ended == "not_run" for run in summary.tools):
        yield "No tool was run, so nothing is known."
        yield ""
        return
    told = ", ".join(f"{summary.findings.get(s, 0)} {s}" for s in SEVERITIES)
    yield f"{told}. All of them are in `findings.sarif`."
    yield ""
    every = [finding for run in summary.tools for finding in run.findings]
    ranked = sorted(every, key=lambda f: (SEVERITIES.index(f.severity), order_of(f)))
    for finding in ranked[:_TOP]:
        yield _finding(finding)
    if len(ranked) > _TOP:
        yield f"- and {len(ranked) - _TOP} more"
    yield ""


def _finding(finding: Finding) -> str:
    place = code(f"{show_path(finding.path)}:{finding.line}")
    weakness = f", CWE-{finding.cwe}" if finding.cwe else ""
    rule = f"{markdown(finding.tool)} {markdown(finding.rule)}{weakness}"
    return f"- {finding.severity} {place} {markdown(finding.message)} ({rule})"


def _tests(run: TestRun | None) -> Iterator[str]:
    yield "## Tests"
    yield ""
    if run is None:
        yield "No tester reported."
        yield ""
        return
    counts = run.counts
    yield (
        f"{run.outcome.replace('_', ' ').capitalize()}: {counts.passed} passed, "
        f"{counts.failed} failed, {counts.errors} errors, {counts.skipped} skipped, "
        f"{counts.xfailed} expected failures, in {run.seconds:.1f} s."
    )
    if run.reason is not None:
        yield f"Why: {markdown(run.reason, 600)}."
    if run.missing:
        yield f"Missing here: {', '.join(code(what) for what in run.missing)}."
    yield ""
    yield from _coverage(run)
    yield from _failures(run.cases)
    if run.slowest:
        slow = run.slowest[0]
        yield f"Slowest: {code(show_path(slow.id))}, {slow.seconds:.2f} s."
        yield ""


def _coverage(run: TestRun) -> Iterator[str]:
    if run.coverage is None:
        yield f"Coverage: unknown ({markdown(run.coverage_reason or 'not measured')})."
    else:
        yield f"Coverage: {run.coverage:.2f} % of lines, tests themselves not counted."
    yield ""


def _failures(cases: Sequence[Case]) -> Iterator[str]:
    for case in cases[:_FAILURES]:
        missing = f", missing {code(case.missing)}" if case.missing else ""
        yield f"- {case.outcome} {code(show_path(case.id))}{missing}: {markdown(case.summary)}"
        if case.message:
            yield ""
            yield code_block(case.message, "  ")
            yield ""
    if len(cases) > _FAILURES:
        yield f"- and {len(cases) - _FAILURES} more, in `junit.xml`"
    if cases:
        yield ""


def _looked_at(summary: RunSummary) -> Iterator[str]:
    yield "## What was looked at"
    yield ""
    for run in summary.tools:
        yield f"- {_coverage_of(run)}"
        for path, why in run.not_read[:_NOT_READ]:
            yield f"  - not read: {code(show_path(path))}, {markdown(why)}"
        if len(run.not_read) > _NOT_READ:
            yield f"  - and {len(run.not_read) - _NOT_READ} more, in `findings.sarif`"
    yield ""


def _coverage_of(run: ToolRun) -> str:
    version = f" {markdown(run.version)}" if run.version else ""
    held = f"; held by {markdown(', '.join(run.enforced))}" if run.enforced else ""
    return f"{markdown(run.tool)}{version} read {run.files_read} files{held}"


def _ground(summary: RunSummary) -> Iterator[str]:
    """On what it ran, what held it, and everything else worth knowing."""
    yield "## How it was run"
    yield ""
    run = summary.tests
    if run is not None:
        yield f"- Environment: {markdown(run.environment or 'none was chosen')}"
        if run.interpreter is not None:
            yield f"- Interpreter: {code(run.interpreter)}"
    if run is not None and run.enforced is not None:
        held = run.enforced
        for what, how in (
            ("Files", held.filesystem), ("Network", held.network),
            ("Processes", held.processes), ("Memory", held.memory),
        ):  # fmt: skip
            yield f"- {what} of the tests held by: {markdown(how) if how else '**nothing**'}"
        for reason in held.reasons:
            yield f"- {markdown(reason)}"
    for part in summary.parts:
        if part.note:
            yield f"- {markdown(part.name)}: {markdown(part.note)}"
    for note in (*(run.notes if run else ()), *summary.notes):
        yield f"- {markdown(note)}"
    yield ""
