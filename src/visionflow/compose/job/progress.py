"""What is shown of a run while it goes on. Figures that nobody has are `None`."""

from collections.abc import Callable

import msgspec

from visionflow.agents.report.trust import NO_VOTE
from visionflow.agents.report.view import RunView
from visionflow.compose.job.story import Story


class TaskProgress(msgspec.Struct, frozen=True):
    """One part of the run."""

    name: str
    agent: str
    status: str
    fraction: float | None
    """0 to 1 of the attempt under way."""
    note: str
    until_ms: int | None = None
    """When it is tried again, in milliseconds since the epoch, while it waits for that; `note` says
    why it has to."""


class JobProgress(msgspec.Struct, frozen=True):
    """A run at one moment."""

    phase: str
    """start, a phase of the plan, or end."""
    tasks: tuple[TaskProgress, ...]
    elapsed_s: float
    """Seconds since this process took the run up."""
    findings: int | None = None
    """How many in what was scanned so far; `None` before the first scan is done."""
    top: tuple[str, ...] = ()
    """The findings that matter most so far, a line each."""


OnProgress = Callable[[JobProgress], None]
FIRST = 3
FIRST_S = 0.5
"""How often a run's outputs are written until the first findings are in them."""


def first_lines(view: RunView) -> tuple[str, ...]:
    """The findings that matter most in what is known so far, a line each."""
    return tuple(f"{issue.severity} {issue.place} {issue.message}" for issue in view.issues[:FIRST])


class Signals:
    """The workers' latest words on their attempts, from the runtime's thread."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, float | None, str]] = {}

    def hear(self, task: str, attempt: int, fraction: float | None, note: str) -> None:
        """A signal came."""
        self._said[task] = (attempt, fraction, note)

    def lines(self, story: Story) -> tuple[TaskProgress, ...]:
        """How each part stands: by the log, and by what was said of its open attempt."""
        return tuple(self._line(story, task) for task in story.tasks)

    def _line(self, story: Story, task: str) -> TaskProgress:
        part, planned = story.parts[task], story.tasks[task]
        name, role, status = planned.title or task, planned.agent, str(part.status)
        if part.ended:
            if planned.type == "vote" and self._said.get(task, (0, None, ""))[2] == NO_VOTE:
                return TaskProgress(name, role, "not_needed", None, "")
            done = 1.0 if status == "completed" else None
            return TaskProgress(name, role, status, done, part.reason or "")
        if part.until_ms is not None:
            return TaskProgress(name, role, status, None, part.reason or "", part.until_ms)
        attempt, fraction, note = self._said.get(task, (0, None, ""))
        if attempt != part.attempts:
            # Why it is tried again is of no interest any more once it is.
            fraction, note = None, "" if status == "running" else part.reason or ""
        return TaskProgress(name, role, status, fraction, note)
