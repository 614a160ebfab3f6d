"""What a run leaves: the summary, the report and the SARIF file, made from its story.

Calling it twice makes the same files. What no part could tell is `None`, never a pass or a 0.
"""

from typing import Any, cast

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.agents.findings import ToolRun, count_by_severity
from visionflow.agents.roles.reviewer import known_findings, suite_in, tools_in
from visionflow.agents.tools.report import report_markdown
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.sarif import sarif
from visionflow.agents.tools.summary import Part, RunSummary, gates_of
from visionflow.agents.tools.text import write_whole
from visionflow.compose.job.exits import ExitCode
from visionflow.compose.job.folder import Order, RunFolder
from visionflow.compose.job.plan import EXAMINE, JUDGE, NAMES, PARTS
from visionflow.compose.job.story import Story
from visionflow.domain.errors import BlobMissing
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.runtime.intake import unpack

_TOOLS = ("bandit", "ruff")


class Outcome(msgspec.Struct, frozen=True):
    """How `execute` ended."""

    status: str
    """completed, failed, blocked, cancelled or interrupted."""
    exit_code: int
    summary: dict[str, Any]
    """run, status, out (absolute), findings by severity or `None`, gates, seconds; of a blocked run
    also notes."""


def status_of(story: Story) -> str:
    """The run's status word, from how its plan ended."""
    plan = story.plan
    if plan is None or not plan.ended:
        return "interrupted"
    if plan.status is TaskStatus.CANCELLED:
        return "cancelled"
    some = any(story.parts[task].status is TaskStatus.COMPLETED for task in EXAMINE)
    return "completed" if some and plan.status is TaskStatus.COMPLETED else "failed"


def outcome_of(summary: dict[str, Any]) -> Outcome:
    """The outcome that a stored summary stands for."""
    status = cast(str, summary["status"])
    gates = cast("dict[str, bool | None]", summary["gates"])
    codes = {
        "completed": ExitCode.GATE_FAILED if False in gates.values() else ExitCode.DONE,
        "blocked": ExitCode.BLOCKED,
        "cancelled": ExitCode.CANCELLED,
        "interrupted": ExitCode.INTERRUPTED,
    }
    return Outcome(status, int(codes.get(status, ExitCode.FAILED)), summary)


def write_outputs(
    folder: RunFolder, order: Order, story: Story, status: str, notes: tuple[str, ...] = ()
) -> Outcome:
    """Write report and SARIF as far as the story goes; returns what it amounts to."""
    results, unread = _results(story, FileBlobs(folder.state / "blobs"))
    tests, tools = _understood(results, unread)
    gates = gates_of(tests, tools)
    ran = tuple(tools) or tuple(_absent(name, story) for name in _TOOLS)
    seconds = round(story.worked_ms / 1000, 3)
    report = RunSummary(
        run=order.run,
        goal=order.goal,
        workspace=order.workspace,
        status=status,
        gates=gates,
        findings=count_by_severity(found for run in tools for found in run.findings),
        seconds=seconds,
        parts=_parts(story),
        tests=tests,
        tools=ran,
        notes=(*notes, *_notes(results), *unread),
    )
    write_whole(folder.sarif, sarif(ran))
    write_whole(folder.report, report_markdown(report).encode("utf-8", "replace"))
    summary: dict[str, Any] = {
        "run": order.run,
        "status": status,
        "out": str(folder.path),
        "findings": known_findings(tools),
        "gates": gates,
        "seconds": seconds,
    }
    return outcome_of(summary | ({"notes": list(notes)} if notes else {}))


def findings_so_far(story: Story, blobs: FileBlobs) -> int | None:
    """How many findings the scans have that are done; `None` before the first."""
    scans = [
        payload
        for part in story.parts.values()
        for name, payload in part.steps.items()
        if name.startswith("scan ")
    ]
    runs = [_converted(payload, blobs) for payload in scans]
    known = tuple(run for run in runs if run is not None)
    found = known_findings(known)
    return None if found is None else sum(found.values())


def _converted(payload: Payload, blobs: FileBlobs) -> ToolRun | None:
    try:
        return msgspec.convert(unpack(payload, blobs), ToolRun)
    except (BlobMissing, msgspec.DecodeError):
        return None


def _results(story: Story, blobs: FileBlobs) -> tuple[dict[str, Any], list[str]]:
    results: dict[str, Any] = {}
    unread: list[str] = []
    for task in PARTS:
        part = story.parts[task]
        if part.status is TaskStatus.COMPLETED:
            try:
                results[task] = unpack(part.result, blobs)
            except BlobMissing as error:
                unread.append(f"The result of {NAMES[task]} is lost: {error}")
    return results, unread


def _understood(
    results: dict[str, Any], unread: list[str]
) -> tuple[TestRun | None, tuple[ToolRun, ...]]:
    """Tests and tools in the results; a role of the user's own may have answered otherwise."""
    examined = [results[task] for task in EXAMINE if task in results]
    try:
        return suite_in(examined), tools_in(examined)
    except msgspec.ValidationError as error:
        unread.append(f"A result is not of the form that tester and reviewer give: {error}.")
        return None, ()


def _absent(tool: str, story: Story) -> ToolRun:
    """A tool that no reviewer got to run."""
    review = story.parts[EXAMINE[1]]
    reason = review.reason or f"the review is {review.status}"
    return ToolRun(tool, None, ended="not_run", reason=reason)


def _parts(story: Story) -> tuple[Part, ...]:
    return tuple(
        Part(NAMES[task], str(part.status), part.reason if task_told(story, task) else None)
        for task, part in story.parts.items()
        if task in NAMES
    )


def task_told(story: Story, task: str) -> bool:
    """Whether the reason of a part is worth telling: it did not complete."""
    return story.parts[task].status is not TaskStatus.COMPLETED


def _notes(results: dict[str, Any]) -> tuple[str, ...]:
    """Notes of the parts, each once."""
    found: dict[str, None] = {}
    for task, result in results.items():
        if task == JUDGE or not isinstance(result, dict):
            continue
        notes = cast("dict[str, Any]", result).get("notes")
        for note in cast("list[object]", notes) if isinstance(notes, list) else []:
            found[str(note)] = None
    return tuple(found)
