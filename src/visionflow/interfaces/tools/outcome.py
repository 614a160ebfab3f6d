"""What must not be overlooked in what came of a task, in words for the `warnings` of a reply."""

from typing import Annotated, Any

import msgspec

from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.forms import about

PARTS_TOLD_MAX = 3
TERMS_TOLD_MAX = 10
_FAILED = (TaskStatus.FAILED, TaskStatus.DEAD_LETTER)


class Part(Result, frozen=True, kw_only=True):
    """A task of a plan, as it ended or stands."""

    task_id: str
    phase: str | None
    type: str
    status: str
    agent_id: str | None
    reason: Annotated[str | None, about("Why it failed, or ended before its time.")]
    duration: float | None


class _Answer(msgspec.Struct):
    terms: list[str] = []
    hits: int = 0
    citations: list[Any] = []


class _Research(msgspec.Struct):
    answers: list[_Answer] = []
    completeness: float | None = None


class _Verdict(msgspec.Struct):
    """Of the summary of a run, what says how good its outcome is."""

    status: str = ""
    headline: str = ""
    subtitle: str = ""
    tone: str = ""
    research: _Research | None = None


def failures(status: str, parts: list[Part]) -> list[str]:
    """Of a plan that failed, which of its tasks did, and why; and which were cut off."""
    if status not in _FAILED:
        return []
    failed = [each for each in parts if each.status in _FAILED]
    told = [
        f"{each.task_id} (phase {each.phase}, type {each.type}) is {each.status}: {each.reason}"
        for each in failed[:PARTS_TOLD_MAX]
    ]
    more = len(failed) - len(told)
    if more:
        told.append(f"{more} more parts failed.")
    cut: dict[str, list[str]] = {}
    for each in parts:
        if each.status == TaskStatus.CANCELLED:
            cut.setdefault(f"cancelled: {each.reason}", []).append(each.task_id)
        elif each.status not in TERMINAL:
            cut.setdefault("still at work, and being cancelled", []).append(each.task_id)
    return [*told, *(_cut(names, how) for how, names in cut.items())]


def _cut(names: list[str], how: str) -> str:
    shown = ", ".join(names[:PARTS_TOLD_MAX])
    more = f" and {len(names) - PARTS_TOLD_MAX} more" if len(names) > PARTS_TOLD_MAX else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'} {how}"


def doubts(summary: dict[str, Any] | None) -> list[str]:
    """Of a run that completed, what its report says where that is not plainly good: completed
    means that all was done, not that the goal was met."""
    if summary is None:
        return []
    try:
        verdict = msgspec.convert(summary, _Verdict)
    except msgspec.ValidationError:
        return []  # Written by another version.
    if verdict.status != TaskStatus.COMPLETED:
        return []
    told: list[str] = []
    if verdict.tone != "good" and verdict.headline:
        told.append(" ".join(each for each in (verdict.headline, verdict.subtitle) if each))
    research = verdict.research
    if research is not None and research.completeness is not None and research.completeness < 1:
        lost = [" ".join(a.terms) for a in research.answers if not a.hits and not a.citations]
        more = len(lost) - TERMS_TOLD_MAX
        terms = ", ".join(lost[:TERMS_TOLD_MAX]) + (f" and {more} more" if more > 0 else "")
        found = f"; no line has {terms}" if lost else ""
        told.append(f"The completeness of the answer is {research.completeness:.2}{found}.")
    return told
