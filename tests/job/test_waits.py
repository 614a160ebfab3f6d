"""A part of a run that waits says until when and why, by the log and for no longer than that."""

import pytest

from visionflow.agents.plans import Plan, PlanPhase, PlanTask
from visionflow.compose.job.progress import Signals
from visionflow.compose.job.story import Story
from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent, Record
from visionflow.domain.tasks import FailureKind, TaskStatus

WHY = "claude: 429 too many requests"
AT_MS = 1_000_000


def told(*after: AnyEvent) -> tuple[Story, Signals]:
    """A run of one part that was turned away in its first attempt; then what else happened."""
    plan = Plan(
        goal="g",
        playbook="code",
        why="asked for",
        gates=(),
        parts=(),
        phases=(PlanPhase("attempt", (PlanTask("c1", "coder", "implement", command="claude"),)),),
    )
    story, signals = Story(plan), Signals()
    events: list[AnyEvent] = [
        e.TaskAssigned(task="c1", attempt=1, agent="a"),
        e.TaskStarted(task="c1", attempt=1),
        e.AttemptFailed(
            task="c1",
            attempt=1,
            kind=FailureKind.THROTTLED,
            reason=WHY,
            retry_at_ms=AT_MS + 42_000,
        ),
        *after,
    ]
    signals.hear("c1", 1, 0.5, "half of it")
    for number, event in enumerate(events):
        story.take(number, Record(AT_MS, [event]))
    return story, signals


@pytest.mark.acceptance("governor")
def test_a_part_that_waits_says_until_when_and_why_and_nothing_of_the_attempt_before() -> None:
    story, signals = told()
    assert story.parts["c1"].until_ms == AT_MS + 42_000
    (line,) = signals.lines(story)
    assert (line.status, line.until_ms) == ("pending", AT_MS + 42_000)
    assert (line.note, line.fraction) == (WHY, None)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (e.TaskQueued(task="c1"), TaskStatus.QUEUED),
        (e.TaskAssigned(task="c1", attempt=2, agent="a"), TaskStatus.ASSIGNED),
        (e.TaskFailed(task="c1", reason="its deadline passed"), TaskStatus.FAILED),
        (e.TaskCancelled(task="c1", reason="on request"), TaskStatus.CANCELLED),
    ],
)
def test_the_wait_is_over_with_whatever_comes_next(event: AnyEvent, status: TaskStatus) -> None:
    story, signals = told(event)
    part = story.parts["c1"]
    assert (part.status, part.until_ms) == (status, None)
    assert signals.lines(story)[0].until_ms is None


def test_the_next_attempt_does_not_say_why_the_one_before_had_to_wait() -> None:
    again = (
        e.TaskQueued(task="c1"),
        e.TaskAssigned(task="c1", attempt=2, agent="a"),
        e.TaskStarted(task="c1", attempt=2),
    )
    story, signals = told(*again)
    (line,) = signals.lines(story)
    assert (line.status, line.note) == ("running", "")


def test_a_failed_attempt_that_is_tried_again_later_waits_in_the_same_words() -> None:
    failed = e.AttemptFailed(
        task="c1", attempt=2, kind=FailureKind.ERROR, reason="it broke", retry_at_ms=AT_MS + 2_000
    )
    story, signals = told(e.TaskAssigned(task="c1", attempt=2, agent="a"), failed)
    (line,) = signals.lines(story)
    assert (line.note, line.until_ms) == ("it broke", AT_MS + 2_000)
