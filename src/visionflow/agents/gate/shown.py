"""A gate's answer for people: what fails it first, then what else there is to know."""

from collections.abc import Callable, Iterable

from visionflow.agents.findings import Finding, Severity
from visionflow.agents.gate.results import NO_CHANGE, NOT_ASKED, BrokenTest, GateResult
from visionflow.agents.tools.text import one_line, show_path

Paint = Callable[[str, str], str]
"""(style, text) to that text: styles are bad, good, unsure, faint, bold."""
NEW_MAX, OTHERS_MAX, LINES_MAX = 50, 5, 8
_STYLE: dict[Severity, str] = {
    "critical": "bad", "high": "bad", "medium": "unsure", "low": "unsure", "info": "faint",
}  # fmt: skip


def as_text(result: GateResult, paint: Paint) -> str:
    """The whole answer, ending in a newline."""
    lines = [*_findings(result, paint), *_tests(result, paint), *_coverage(result)]
    lines += _not_looked_at(result)
    lines += [f"note: {one_line(note)}" for note in result.notes]
    return "\n".join([*lines, _verdict(result, paint)]) + "\n"


def _verdict(result: GateResult, paint: Paint) -> str:
    base = result.base
    against = f"{base.ref} ({base.commit[:9]})" if base.commit else "nothing"
    if base.merge_base:
        against = f"where HEAD left {base.ref} ({base.commit[:9]})"
    files = f"{_files(len(result.files))} changed"
    style, said = "bad", "; ".join(result.failed)
    if result.verdict == "incomplete":
        style, said = "unsure", "nothing new in what was looked at"
    elif result.clean:
        style, said = "good", "nothing new"
    if result.tests is None and result.tests_reason not in (None, NOT_ASKED, NO_CHANGE):
        said += f"; tests unknown: {one_line(result.tests_reason or '', 300)}"
    return f"{paint(style, f'Gate: {said}')}. {files} against {against}."


def _findings(result: GateResult, paint: Paint) -> list[str]:
    found = result.findings
    lines = [_finding(each, paint) for each in found.new[:NEW_MAX]]
    lines += _more(len(found.new) - NEW_MAX, "new findings")
    for each in found.below[:OTHERS_MAX]:
        lines.append(f"{_finding(each, paint)} (under the threshold)")
    lines += _more(len(found.below) - OTHERS_MAX, "under the threshold")
    for each in found.elsewhere[:OTHERS_MAX]:
        lines.append(f"{_finding(each, paint)} (new, but on a line that did not change)")
    lines += _more(len(found.elsewhere) - OTHERS_MAX, "new on lines that did not change")
    for hidden in found.suppressed[:NEW_MAX]:
        lines.append(f"{_finding(hidden.finding, paint)} (hidden by {one_line(hidden.where, 100)})")
    lines += _more(len(found.suppressed) - NEW_MAX, "hidden by this change")
    counts = (
        (found.known, "known before"), (found.fixed, "gone"), (len(found.moved), "moved"),
        (len(found.accepted), "in the baseline"),
    )  # fmt: skip
    told = [f"{number} {what}" for number, what in counts if number]
    lines += [paint("faint", f"findings: {', '.join(told)}")] if told else []
    for entry in result.stale[:OTHERS_MAX]:
        lines.append(f"baseline: {show_path(entry.path)} {entry.tool} {entry.rule} is gone")
    return lines + _more(len(result.stale) - OTHERS_MAX, "entries of the baseline are gone")


def _finding(each: Finding, paint: Paint) -> str:
    column = f":{each.column}" if each.column else ""
    place = paint("bold", f"{show_path(each.path)}:{each.line}{column}")
    level = paint(_STYLE[each.severity], each.severity)
    return f"{place}: {level}: {one_line(each.message, 200)} [{each.tool} {each.rule}]"


def _tests(result: GateResult, paint: Paint) -> list[str]:
    tests = result.tests
    if tests is None:
        return [f"tests: not known: {one_line(result.tests_reason or 'not run')}"]
    lines = [*_named(tests.broken, "broken", paint), *_named(tests.lost, "lost", paint)]
    lines += _named(tests.flaky, "newly flaky", paint)
    lines += _named(tests.allowed, "lost, and allowed", paint, "faint")
    which = "all" if tests.files is None else f"{_files(len(tests.files))} that the change reaches"
    known = f", {len(tests.known)} failed before too" if tests.known else ""
    lines.append(f"tests: {tests.run} run ({which}){known}")
    if tests.untold:
        number = len(tests.untold)
        lines.append(f"tests: {number} failing that base did not come to, and not judged")
    if tests.missing:
        lines.append(f"tests: failures without {', '.join(tests.missing)} are not judged")
    return lines


def _named(tests: Iterable[BrokenTest], what: str, paint: Paint, style: str = "bad") -> list[str]:
    listed = list(tests)
    lines = [
        f"{paint(style, what)}: {one_line(each.id)}"
        + (f": {one_line(each.message, 160)}" if each.message else "")
        for each in listed[:NEW_MAX]
    ]
    return lines + _more(len(listed) - NEW_MAX, what)


def _coverage(result: GateResult) -> list[str]:
    covered = result.coverage
    if covered is None:
        why = result.coverage_reason
        return [] if why in (None, result.tests_reason) else [f"coverage: not known: {why}"]
    if covered.percent is None:
        return ["coverage: no changed line can run"]
    lines = [
        f"coverage: {covered.ran} of {covered.lines} changed lines ran ({covered.percent:.0f} %)"
    ]
    for each in covered.missing[:OTHERS_MAX]:
        shown = ", ".join(map(str, each.missing[:LINES_MAX]))
        more = ", ..." if len(each.missing) > LINES_MAX else ""
        lines.append(f"  not run: {show_path(each.path)}: {shown}{more}")
    return lines + _more(len(covered.missing) - OTHERS_MAX, "files with lines that did not run")


def _not_looked_at(result: GateResult) -> list[str]:
    lines: list[str] = []
    for tool in result.tools:
        if tool.ended != "completed":
            lines.append(f"not looked at: {tool.tool}: {one_line(tool.reason or tool.ended)}")
        elif tool.not_read:
            path, why = tool.not_read[0]
            more = len(tool.not_read) - 1
            rest = f" and {more} more" if more else ""
            lines.append(
                f"not looked at: {tool.tool}: {show_path(path)} ({one_line(why, 100)}){rest}"
            )
    return lines


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _more(number: int, what: str) -> list[str]:
    return [f"... and {number} more {what}"] if number > 0 else []
