"""Decisions about deadlocks: of tasks that wait for each other, the youngest attempt is ended.

The others go on, and the task of the one that was ended is tried again a little later. The older
ones keep what they have done, so somebody always gets through.
"""

from collections.abc import Iterable

from visionflow.domain import supervision_events as s
from visionflow.domain.supervision import Cause
from visionflow.domain.tasks import FailureKind
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.closing import Closing
from visionflow.engine.state import SwarmState, TaskState
from visionflow.engine.waits import Wait, Waits


def is_deadlocked(state: SwarmState) -> bool:
    """Whether any tasks wait for each other for ever. Looks at all that wait."""
    if not state.supervised.waits and not state.lockers:
        return False
    waits = Waits(state)
    return bool(waits.ring(waits.starts()))


def break_all(state: SwarmState, closing: Closing, now_ms: int, entropy: int) -> None:
    """Break every ring; for `Tick`. What ends in this decision waits for nothing any more."""
    if state.supervised.waits or state.lockers:
        gone = {name: None for name in state.tasks if closing.is_released(name)}
        break_rings(state, closing, None, None, now_ms, entropy, gone)


def break_rings(
    state: SwarmState,
    closing: Closing,
    starts: Iterable[str] | None,
    more: Wait | None,
    now_ms: int,
    entropy: int,
    gone: dict[str, None] | None = None,
) -> None:
    """Break each ring that these tasks are held up by; `None`: all that wait.

    `more`: a wait that begins in this decision.
    """
    gone = dict(gone or {})
    while True:
        waits = Waits(state, more, gone)
        ring = waits.ring(waits.starts() if starts is None else starts)
        waiting = [name for name in ring if waits.waiting(name)]
        if not waiting:
            return
        broken = max(waiting, key=lambda name: _began(state.tasks[name]))
        gone[broken] = None
        following = [*ring[1:], ring[0]]
        words = tuple(waits.in_words(*pair) for pair in zip(ring, following, strict=True))
        closing.events.append(s.DeadlockFound(ring=tuple(ring), waits=words, broken=broken))
        _break(state, closing, broken, ring, now_ms, entropy)
        entropy = entropy * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & (2**64 - 1)


def _began(task: TaskState) -> tuple[int, int, str]:
    return task.changed_ms, task.since_ms, task.spec.id


def _break(
    state: SwarmState, closing: Closing, broken: str, ring: list[str], now_ms: int, entropy: int
) -> None:
    task = state.tasks[broken]
    agent = None if task.agent is None else state.agents.get(task.agent)
    others = ", ".join(name for name in ring if name != broken) or "itself"
    reason = f"it and {others} waited for each other, and its attempt was the youngest"
    end_attempt(closing, task, now_ms, Ending(FailureKind.DEADLOCK, reason, entropy))
    closing.events.append(
        s.RecoveryChosen(
            cause=Cause.DEADLOCK,
            strategy="default" if agent is None else agent.spec.recovery.name,
            action=f"attempt {task.attempt} is ended, as the youngest of {len(ring)} that wait",
            agent=task.agent,
            task=broken,
        )
    )
