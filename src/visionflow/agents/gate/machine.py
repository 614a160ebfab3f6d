"""A gate's answer for machines: one JSON object, SARIF, and the workflow commands of GitHub."""

from collections.abc import Iterable
from typing import Any

import msgspec

from visionflow.agents.findings import Finding, Severity, ToolRun, order_of
from visionflow.agents.gate.baseline import LOST, TESTS, fingerprint
from visionflow.agents.gate.results import NO_CHANGE, NOT_ASKED, BrokenTest, GateResult
from visionflow.agents.storing import storable
from visionflow.agents.tools.sarif import sarif
from visionflow.agents.tools.text import one_line

_LEVEL: dict[Severity, str] = {
    "critical": "error", "high": "error", "medium": "error", "low": "warning", "info": "notice",
}  # fmt: skip


def as_json(result: GateResult, exit_code: int) -> bytes:
    """One object on one line, with a newline. docs/gate.md says what its keys mean."""
    value: dict[str, Any] = {
        "verdict": result.verdict,
        "exit_code": exit_code,
        "failed": list(result.failed),
        **storable(result),
    }
    if result.coverage is not None:
        value["coverage"]["percent"] = result.coverage.percent
    return msgspec.json.encode(value) + b"\n"


def as_sarif(result: GateResult) -> bytes:
    """SARIF of what fails the gate: a run for each tool that read, its new findings in it, and one
    for tests that are broken, lost or newly flaky. Where nothing can be told, that was not run."""
    runs = [
        ToolRun(
            tool.tool, tool.version, _of(tool.tool, result.findings.new), tool.files_read,
            tool.not_read, "completed" if tool.ended == "completed" else "failed", tool.reason,
        )
        for tool in result.tools
    ]  # fmt: skip
    present = {run.tool for run in runs}
    others = sorted({each.tool for each in result.findings.new} - present)
    runs += [ToolRun(tool, None, _of(tool, result.findings.new)) for tool in others]
    if result.tests is not None:
        found = [
            *(_test(each, "broken-test", "high") for each in result.tests.broken),
            *(_test(each, LOST, "high") for each in result.tests.lost),
            *(_test(each, "flaky-test", "medium") for each in result.tests.flaky),
        ]
        runs.append(ToolRun(TESTS, None, tuple(sorted(found, key=order_of))))
    elif result.tests_unknown:
        runs.append(ToolRun(TESTS, None, (), ended="not_run", reason=result.tests_reason))
    return sarif(runs)


def _of(tool: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(each for each in findings if each.tool == tool)


def _test(test: BrokenTest, rule: str, severity: Severity) -> Finding:
    said = f": {test.message}" if test.message else ""
    return Finding(
        TESTS, rule, severity, f"{test.id}{said}", test.path, test.line,
        fingerprint=fingerprint(rule, test.id),
    )  # fmt: skip


def as_github(result: GateResult) -> str:
    """A workflow command for each thing that fails the gate, notices for the rest, and the verdict.

    GitHub shows each at its line of the change.
    """
    lines = [
        _command(
            _LEVEL[each.severity], each.message, file=each.path, line=each.line,
            endLine=each.end_line, col=each.column, title=f"{each.tool} {each.rule}",
        )
        for each in result.findings.new
    ]  # fmt: skip
    lines += [
        _command("notice", each.message, file=each.path, line=each.line,
                 title=f"{each.tool} {each.rule}")
        for each in result.findings.below
    ]  # fmt: skip
    lines += [
        _command("notice", f"{each.finding.message} (hidden by {each.where})",
                 file=each.finding.path, line=each.finding.line,
                 title=f"hidden by this change: {each.finding.tool} {each.finding.rule}")
        for each in result.findings.suppressed
    ]  # fmt: skip
    if result.tests is not None:
        for what, tests in (
            ("broken test", result.tests.broken), ("lost test", result.tests.lost),
            ("newly flaky test", result.tests.flaky),
        ):  # fmt: skip
            lines += [
                _command("error", f"{each.id}: {each.message}", file=each.path, line=each.line,
                         title=what)
                for each in tests
            ]  # fmt: skip
    elif result.tests_reason not in (None, NOT_ASKED, NO_CHANGE):
        said = f"tests unknown: {result.tests_reason}"
        lines.append(_command("warning", said, title="visionflow gate"))
    for each in result.coverage.missing if result.coverage is not None else ():
        for first, last in _stretches(each.missing):
            lines.append(
                _command("notice", "no test runs this", file=each.path, line=first,
                         endLine=last, title="changed line not covered")
            )  # fmt: skip
    lines += [_command("notice", note, title="visionflow gate") for note in result.notes]
    said = "; ".join(result.failed) or "nothing new"
    if result.verdict == "incomplete":
        unseen = list(result.unseen)
        unseen += [f"tests unknown: {result.tests_reason}"] if result.tests_unknown else []
        said = f"nothing new in what was looked at: {'; '.join(unseen)}"
    lines.append(_command("notice" if result.clean else "error", said, title="visionflow gate"))
    return "\n".join(lines) + "\n"


def _command(kind: str, message: str, **properties: str | int | None) -> str:
    given = ",".join(
        f"{key}={_property(str(value))}" for key, value in properties.items() if value is not None
    )
    return f"::{kind} {given}::{_data(one_line(message, 1_000))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _stretches(lines: Iterable[int]) -> list[tuple[int, int]]:
    """(first, last) of each unbroken row of numbers."""
    found: list[tuple[int, int]] = []
    for line in lines:
        if found and found[-1][1] == line - 1:
            found[-1] = (found[-1][0], line)
        else:
            found.append((line, line))
    return found
