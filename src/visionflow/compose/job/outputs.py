"""What a run leaves: report, page, SARIF file and summary, all made from the facts of its story.

Calling it twice makes the same files. What no task could tell is `None`, never a pass or a 0.
"""

from typing import Any, cast

import msgspec

from visionflow.agents.candidates.values import Contest
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.report.gathering import Gathered, gather
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.view import RunView, as_json, view_of
from visionflow.agents.tools.review import tools_for
from visionflow.agents.tools.sarif import sarif
from visionflow.agents.tools.text import write_whole
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.compose.job.contests import came_to_nothing, contest_of, goes_of, with_diffs
from visionflow.compose.job.exits import ExitCode
from visionflow.compose.job.folder import Order, RunFolder
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import Story
from visionflow.compose.job.votes import facts_of as vote_of
from visionflow.domain.errors import BlobMissing
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import unpack

SCAN = "scan "
"""How the steps are named whose values are tools' runs."""


class Outcome(msgspec.Struct, frozen=True):
    """How `execute` ended."""

    status: str
    """completed, failed, blocked, cancelled or interrupted."""
    exit_code: int
    summary: dict[str, Any]
    """The view of the run, as `--json` prints it."""


def status_of(story: Story, blobs: Blobs) -> str:
    """The run's status word, from how its plan ended.

    A run of coding agents has failed when none of them came to an end of its own.
    """
    plan = story.plan
    if plan is None or not plan.ended:
        return "interrupted"
    if plan.status is TaskStatus.CANCELLED:
        return "cancelled"
    if _agents_failed(story, blobs):
        return "failed"
    examined = [
        part for name, part in story.parts.items() if story.tasks[name].role != "coordinator"
    ]
    some = any(part.status is TaskStatus.COMPLETED for part in examined or story.parts.values())
    return "completed" if some and plan.status is TaskStatus.COMPLETED else "failed"


def outcome_of(summary: dict[str, Any]) -> Outcome:
    """The outcome that a stored summary stands for.

    A gate that failed weighs more than work that is not in the result: 6 says that what is in it is
    good.
    """
    status = cast(str, summary["status"])
    gates = cast("dict[str, bool | None]", summary["gates"] or {})
    codes = {
        "completed": _completed({name for name, value in gates.items() if value is False}),
        "blocked": ExitCode.BLOCKED,
        "cancelled": ExitCode.CANCELLED,
        "interrupted": ExitCode.INTERRUPTED,
    }
    return Outcome(status, int(codes.get(status, ExitCode.FAILED)), summary)


def _completed(failed: set[str]) -> ExitCode:
    if failed - {"landed"}:
        return ExitCode.GATE_FAILED
    return ExitCode.UNMERGED if failed else ExitCode.DONE


def facts_of(folder: RunFolder, order: Order, story: Story, status: str, blobs: Blobs) -> RunFacts:
    """Everything that is known of the run by now."""
    results, unread = _results(story, blobs)
    found = gather(results, _scans(story, blobs))
    plan = order.plan
    contest = contest_of(found.contest, plan, story)
    facts = found.facts(
        run=order.run,
        goal=order.goal,
        playbook="" if plan is None else plan.playbook,
        why=order.why,
        workspace=order.workspace,
        out=str(folder.path),
        status=status,
        started=order.started,
        seconds=round(story.worked_ms / 1000, 3),
        tasks=_tasks(order, story),
        gates=() if plan is None else plan.gates,
        trusted=order.trusted,
        tools=_with_absent(found, story),
        # Each candidate has a vote of its own, which its judgement tells.
        vote=None if contest is not None else vote_of(story.vote, blobs) or found.vote,
        contest=contest,
        goes={} if contest is None else goes_of(folder),
        warnings=(*order.warnings, *found.warnings),
        own_warnings=(
            *order.warnings,
            *(each for each in found.warnings if each.partition(":")[0] in order.own_roles),
        ),
        notes=(*_blocked(order), *found.notes, *unread, *_escalation(order, story)),
    )
    return facts if contest is None else _with_source(facts, folder)


def _with_source(facts: RunFacts, folder: RunFolder) -> RunFacts:
    """What the workspace stood on when the run began, of a run that made no survey of it."""
    repository = PrivateRepository.opened(folder.state / "repository")
    if repository is None or facts.head is not None:
        return facts
    return msgspec.structs.replace(facts, head=repository.head, dirty=repository.dirty)


def write_outputs(
    folder: RunFolder, order: Order, story: Story, status: str, blobs: Blobs, secrecy: Secrecy
) -> RunView:
    """Write report, page and SARIF file as far as the story goes; returns what they show."""
    facts = facts_of(folder, order, story, status, blobs)
    if facts.contest is not None:
        facts = msgspec.structs.replace(facts, contest=with_diffs(facts.contest, folder))
    facts = secrecy.covered(facts)
    view = view_of(facts)
    write_whole(folder.sarif, sarif(facts.tools))
    write_whole(folder.report, report_markdown(view).encode("utf-8", "replace"))
    write_whole(folder.page, report_html(view).encode("utf-8", "replace"))
    return view


def summary_of(view: RunView) -> dict[str, Any]:
    """What `--json` prints."""
    return cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(as_json(view))))


def _agents_failed(story: Story, blobs: Blobs) -> bool:
    """Whether coding agents were to do it and each of them failed."""
    agents = story.of_type("implement")
    results = {
        task: _value(story.parts[task].result, blobs)
        for task in agents
        if story.parts[task].status is TaskStatus.COMPLETED
    }
    return bool(agents) and came_to_nothing(gather(results).contest or Contest(), story)


def _results(story: Story, blobs: Blobs) -> tuple[dict[str, object], list[str]]:
    results: dict[str, object] = {}
    unread: list[str] = []
    for task, planned in story.tasks.items():
        part = story.parts[task]
        if part.status is TaskStatus.COMPLETED and planned.type != "merge":
            try:
                results[task] = unpack(part.result, blobs)
            except BlobMissing as error:
                unread.append(f"The result of {planned.title or task} is lost: {error}")
    return results, unread


def _scans(story: Story, blobs: Blobs) -> dict[str, object]:
    """Tools' runs of reviews that are still at work, or failed after them."""
    found: dict[str, object] = {}
    for task in story.of_type("review_code"):
        part = story.parts[task]
        if part.status is TaskStatus.COMPLETED:
            continue
        for name, payload in sorted(part.steps.items()):
            value = _value(payload, blobs) if name.startswith(SCAN) else None
            if isinstance(value, dict):
                found[f"{task} {name}"] = cast("object", value)
    return found


def _value(payload: Payload, blobs: Blobs) -> object:
    try:
        return unpack(payload, blobs)
    except (BlobMissing, msgspec.DecodeError):
        return None


def _with_absent(found: Gathered, story: Story) -> tuple[ToolRun, ...]:
    """The tools' runs, and those that no reviewer got to, each with why."""
    known = {run.tool for run in found.tools}
    absent: dict[str, ToolRun] = {}
    reviews = story.of_type("review_code")
    if reviews:
        asked = {tool for task in reviews for tool in tools_for(story.tasks[task].focus)}
        reason = "no task of the plan uses it"
        absent = {
            tool: ToolRun(tool, None, ended="not_run", reason=reason)
            for tool in tools_for(None)
            if tool not in asked
        }
    for task in story.of_type("review_code"):
        part = story.parts[task]
        if part.status is TaskStatus.COMPLETED:
            continue
        reason = part.reason or f"the review is {str(part.status).replace('_', ' ')}"
        for tool in tools_for(story.tasks[task].focus):
            if tool not in known:
                absent[tool] = ToolRun(tool, None, ended="not_run", reason=reason)
    return tuple(sorted((*found.tools, *absent.values()), key=lambda run: run.tool))


def _tasks(order: Order, story: Story) -> tuple[TaskFacts, ...]:
    if order.plan is None:
        return ()
    return tuple(
        TaskFacts(
            task.id,
            task.title or task.id,
            task.agent,
            phase.name,
            str(part.status),
            None if part.status is TaskStatus.COMPLETED else part.reason,
            part.attempts,
            task.type,
            task.of,
            part.until_ms,
            task.command,
        )
        for phase, task in order.plan.tasks()
        for part in (story.parts[task.id],)
    )


def _blocked(order: Order) -> tuple[str, ...]:
    return (f"Blocked: {order.why}",) if order.plan is None else ()


def _escalation(order: Order, story: Story) -> tuple[str, ...]:
    """The coordinator's word when too little of the plan came to an end."""
    ended = [part for part in story.parts.values() if part.ended]
    if not ended or not story.ended:
        return ()
    done = sum(part.status is TaskStatus.COMPLETED for part in ended)
    if done >= order.escalation_threshold * len(ended):
        return ()
    told = (
        f"A person has to look at this: only {done} of {len(ended)} tasks completed, and the "
        f"coordinator's escalation_threshold is {order.escalation_threshold}."
    )
    return (told,)
