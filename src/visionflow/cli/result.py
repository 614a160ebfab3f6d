"""The result of a run on standard output: for a person in at most 25 lines, or one JSON object.

What a run's files hold is decided elsewhere (`visionflow.compose.job`); here it is only shown.
"""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from visionflow.agents.tools.text import one_line, show_path
from visionflow.cli.terminal import Paint, colours, plain
from visionflow.compose.job import FINISHED, RunFolder

GATES_MAX = 6
TOP_MAX = 8
LINE_MAX = 110
SEVERITIES = ("critical", "high", "medium", "low", "info")
_STYLE = {"critical": "bad", "high": "bad", "medium": "unsure", "low": "faint", "info": "faint"}
_GATE = {True: ("passed", "good"), False: ("failed", "bad"), None: ("unknown", "unsure")}


class Top(NamedTuple):
    """A finding as a line shows it."""

    severity: str
    place: str
    rule: str
    message: str


def is_finished(folder: RunFolder) -> bool:
    """Whether the run is over, with a summary to show."""
    return folder.read_record().status in FINISHED and folder.read_summary() is not None


def show_result(folder: RunFolder, as_json: bool) -> None:
    """Print what a run came to, or as far as it came."""
    summary = folder.read_summary() if is_finished(folder) else None
    if as_json:
        print_json(summary if summary is not None else unfinished(folder))
    elif summary is not None:
        print("\n".join(lines_of(summary, folder, Paint(colours(sys.stdout)))), flush=True)


def print_json(value: object) -> None:
    """Print one object and nothing else."""
    print(json.dumps(value, ensure_ascii=True), flush=True)


def unfinished(folder: RunFolder) -> dict[str, Any]:
    """What `--json` says of a run that is not over: what is not known yet is null."""
    info = folder.info()
    return {
        "run": info.run,
        "status": info.status,
        "out": info.out,
        "goal": info.goal,
        "started": info.started,
        "findings": None,
        "gates": None,
        "seconds": None,
    }


def lines_of(summary: Mapping[str, Any], folder: RunFolder, paint: Paint) -> list[str]:
    """A finished run for a person, at most 25 lines."""
    gates = dict(summary.get("gates") or {})
    lines = [_verdict(str(summary.get("status")), gates, summary.get("seconds"), paint)]
    for name, value in list(gates.items())[:GATES_MAX]:
        word, style = _GATE[value]
        lines.append(f"  {one_line(name, 20):<10} {paint(style, word)}")
    lines += _findings(summary.get("findings"), top_findings(folder.sarif), paint)
    for note in [one_line(str(note), LINE_MAX) for note in summary.get("notes") or ()][:3]:
        lines.append(paint("faint", note))
    if folder.report.exists():
        lines.append(f"Report: {plain(str(folder.report))}")
    lines.append(f"Show it: {show_command(folder)}")
    return lines


def _verdict(status: str, gates: Mapping[str, bool | None], seconds: object, paint: Paint) -> str:
    from visionflow.agents.tools.summary import verdict

    took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) else ""
    if status != "completed":
        return paint("bad", f"The run ended as {one_line(status, 40)}.") + took
    word, style = {
        "passed": ("Passed: every gate passed.", "good"),
        "failed": ("Failed: a gate failed.", "bad"),
        "incomplete": ("Incomplete: what could be checked passed.", "unsure"),
        "nothing_checked": ("Nothing could be checked.", "unsure"),
    }[verdict(dict(gates))]
    return paint(style, word) + took


def _findings(counts: Mapping[str, int | None] | None, top: list[Top], paint: Paint) -> list[str]:
    if counts is None:
        return ["Findings: unknown"]
    told = ", ".join(
        f"{'unknown' if count is None else count} {severity}"
        for severity, count in counts.items()
        if count != 0
    )
    lines = [f"Findings: {told or 'none'}"]
    for finding in top[:TOP_MAX]:
        severity = paint(_STYLE.get(finding.severity, "faint"), f"{finding.severity:<8}")
        rest = one_line(f"{finding.place} {finding.message} ({finding.rule})", LINE_MAX)
        lines.append(f"  {severity} {rest}")
    if len(top) > TOP_MAX:
        lines.append(f"  and {len(top) - TOP_MAX} more, all in findings.sarif")
    return lines


def top_findings(sarif: Path) -> list[Top]:
    """All findings of a SARIF file, the gravest first; none when there is no such file."""
    try:
        document = json.loads(sarif.read_bytes())
    except (OSError, ValueError):
        return []
    found: list[Top] = []
    for run in document.get("runs", ()):
        tool = run["tool"]["driver"]["name"]
        found += [_top(tool, result) for result in run.get("results", ())]
    rank = {severity: index for index, severity in enumerate(SEVERITIES)}
    return sorted(found, key=lambda top: rank.get(top.severity, len(rank)))


def _top(tool: str, result: Mapping[str, Any]) -> Top:
    place = result["locations"][0]["physicalLocation"]
    path = show_path(unquote(place["artifactLocation"]["uri"]))
    line = place.get("region", {}).get("startLine", 1)
    severity = result.get("properties", {}).get("severity") or result.get("level", "warning")
    return Top(severity, f"{path}:{line}", f"{tool} {result['ruleId']}", result["message"]["text"])


def show_command(folder: RunFolder) -> str:
    """The command that shows this run again."""
    return f"visionflow show {folder.run} --out {shlex.quote(str(folder.path.parent))}"


def resume_command(folder: RunFolder) -> str:
    """The command that goes on with this run."""
    return f"visionflow run --resume {folder.run} --out {shlex.quote(str(folder.path.parent))}"
