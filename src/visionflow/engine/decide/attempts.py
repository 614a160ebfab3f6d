"""What becomes of a task whose attempt ended without a result: another one, when, or its end."""

from typing import NamedTuple

from visionflow.domain import events as e
from visionflow.domain.limits import (
    CRASHES_PER_TASK_MAX,
    DEADLOCK_BACKOFF_MS,
    DEADLOCK_BACKOFF_MS_MAX,
    KILLS_PER_TASK_MAX,
    THROTTLE_MS_MAX,
)
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import WENT_AWAY, Backoff, FailureKind, RetryPolicy
from visionflow.domain.votes import CAST_BALLOT
from visionflow.engine.decide.circuits import BLAMED
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.escalating import failed_in_team
from visionflow.engine.decide.recovering import longer_ms, timeout_recovery
from visionflow.engine.state import TaskState


class Ending(NamedTuple):
    """How an attempt ended without a result."""

    kind: FailureKind
    reason: str
    entropy: int = 0
    """The source of the retry's jitter."""
    asked_ms: int = 0
    """Of one that was throttled: how long to wait."""
    excused: bool = False
    """It counts against nothing, and is tried again at once."""
    by_worker: bool = True
    """Whether its worker ended it, or is gone; else it is given up here and may go on there."""


def wait_ms(policy: RetryPolicy, failures: int, entropy: int) -> int:
    """How long to wait after this many failures: the policy's backoff, bounded, plus jitter."""
    if policy.backoff is Backoff.LINEAR:
        wait = policy.base_ms * failures
    else:
        wait = policy.base_ms << min(failures - 1, 32)
    wait = min(wait, policy.wait_max_ms)
    return wait + wait * policy.jitter_bp * (entropy % 10_001) // 100_000_000


def throttle_ms(asked_ms: int, entropy: int) -> int:
    """How long to wait when somebody asks for patience: what they ask for, bounded, plus up to a
    tenth, so that those who were turned away together do not come back together."""
    asked_ms = max(asked_ms, 0)
    return min(asked_ms + asked_ms * (entropy % 1_001) // 10_000, THROTTLE_MS_MAX)


def deadlock_backoff_ms(before: int, entropy: int) -> int:
    """How long to wait after a deadlock; `before`: how often the task was ended by one, or its
    worker went away, since its last finished step. With up to as much again as jitter."""
    wait = min(DEADLOCK_BACKOFF_MS << min(before, 16), DEADLOCK_BACKOFF_MS_MAX)
    return wait + wait * (entropy % 10_001) // 10_000


def end_attempt(
    closing: Closing,
    task: TaskState,
    now_ms: int,
    ending: Ending,
    advice: Advice | None = None,
) -> None:
    """The open attempt of a task has ended without a result: try again, or end the task.

    `advice`: of a strategy of the user's, about a timeout.
    """
    name, attempt, more_ms = task.spec.id, task.attempt, None
    kind, reason, excused = ending.kind, ending.reason, ending.excused
    late = kind is FailureKind.TIMEOUT and not excused

    def record(retry_at_ms: int | None) -> None:
        again = late and retry_at_ms is not None
        closing.release(
            e.AttemptFailed(
                task=name,
                attempt=attempt,
                kind=kind,
                reason=reason,
                retry_at_ms=retry_at_ms,
                timeout_ms=more_ms if again else None,
                excused=excused,
            )
        )
        if again:
            recovery = timeout_recovery(closing.state, task, more_ms, advice, ending.by_worker)
            closing.events.append(recovery)

    cancelling = closing.cancelling(task)
    if cancelling is not None:
        record(None)
        closing.stopped(name, cancelling)
        return
    if excused:
        verdict, retry_at_ms = None, now_ms
    else:
        verdict, retry_at_ms = _verdict(task, now_ms, kind, ending.entropy, ending.asked_ms)
    if late:
        more_ms = longer_ms(closing.state, task, advice)
        if advice is not None and retry_at_ms is not None:
            if advice.restart is False:
                verdict, retry_at_ms = None, None
            elif advice.wait_ms is not None:
                retry_at_ms = now_ms + advice.wait_ms
    deadline_ms = task.spec.deadline_ms
    if retry_at_ms is not None and deadline_ms is not None and retry_at_ms >= deadline_ms:
        record(None)
        closing.fail(name, f"its deadline passes before another attempt: {reason}", kind)
    elif retry_at_ms is not None:
        record(retry_at_ms)
        if retry_at_ms <= now_ms:
            closing.events.append(e.TaskQueued(task=name))
    else:
        record(None)
        if verdict is None:
            closing.fail(name, reason, kind)
        else:
            closing.dead_letter(name, f"{verdict}: {reason}", kind)
    if not excused:
        _blame(closing, task, now_ms, kind, reason)


def end_at_deadline(closing: Closing, task: TaskState, now_ms: int, deadline_ms: int) -> None:
    """The deadline of a task passes in an attempt, and ends both. Whoever had the smaller part of
    the task's time is not to blame: where tasks wait too long, every circuit would open."""
    name, reason, kind = task.spec.id, "its deadline passed", FailureKind.TIMEOUT
    excused = 2 * (now_ms - task.changed_ms) < deadline_ms - task.since_ms
    closing.release(
        e.AttemptFailed(
            task=name,
            attempt=task.attempt,
            kind=kind,
            reason=reason,
            retry_at_ms=None,
            excused=excused,
        )
    )
    cancelling = closing.cancelling(task)
    if cancelling is not None:
        closing.stopped(name, cancelling)
        return
    closing.fail(name, reason, kind)
    if not excused:
        _blame(closing, task, now_ms, kind, reason)


def _blame(closing: Closing, task: TaskState, now_ms: int, kind: FailureKind, reason: str) -> None:
    """Let the end of an attempt count against its agent, and against that one's team."""
    if task.agent is None:
        return
    if kind in BLAMED and not _is_ballot(task):
        closing.blame(task.agent, now_ms, reason)
    if closing.state.teams.teams:
        failed_in_team(closing, task.agent, kind)


def _is_ballot(task: TaskState) -> bool:
    """Whether it asks for an opinion; an agent that has none may be good at its work."""
    return task.spec.type == CAST_BALLOT


def _verdict(
    task: TaskState, now_ms: int, kind: FailureKind, entropy: int, asked_ms: int
) -> tuple[str | None, int | None]:
    """(why it is given up as hopeless, when to try again); with neither it simply failed."""
    policy = task.spec.retry
    if kind is FailureKind.THROTTLED:
        return None, now_ms + throttle_ms(asked_ms, entropy)
    if kind in (FailureKind.RECALLED, FailureKind.IN_DOUBT):
        return None, now_ms
    if kind is FailureKind.CRASH:
        if task.crashes + 1 >= CRASHES_PER_TASK_MAX:
            return f"its worker crashed {CRASHES_PER_TASK_MAX} times under it", None
        return None, now_ms
    if kind in WENT_AWAY:
        if task.kills + 1 >= KILLS_PER_TASK_MAX:
            return f"its worker went away {KILLS_PER_TASK_MAX} times under it", None
        return None, now_ms
    if kind is FailureKind.DEADLOCK:
        if task.kills + 1 >= KILLS_PER_TASK_MAX:
            return f"it stood in deadlocks or lost its worker {KILLS_PER_TASK_MAX} times", None
        return None, now_ms + deadlock_backoff_ms(task.kills, entropy)
    if kind is FailureKind.PERMANENT or policy.backoff is Backoff.NONE:
        return None, None
    failures = task.failures + 1
    if failures >= policy.attempts_max:
        return (None if failures == 1 else f"{failures} attempts failed"), None
    return None, now_ms + wait_ms(policy, failures, entropy)
