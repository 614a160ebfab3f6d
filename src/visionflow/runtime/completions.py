"""Completions: tells whoever waits for a task how it ended, once that is durable."""

from typing import Protocol

import msgspec

from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import NOTHING, TERMINAL, Payload, TaskStatus
from visionflow.engine.state import TaskState
from visionflow.runtime.control_plane import ControlPlane

_KINDS: dict[type[e.Event], TaskStatus] = {
    e.TaskCompleted: TaskStatus.COMPLETED,
    e.TaskFailed: TaskStatus.FAILED,
    e.TaskDeadLettered: TaskStatus.DEAD_LETTER,
    e.TaskCancelled: TaskStatus.CANCELLED,
}


_WITHOUT_RESULT = (e.TaskFailed, e.TaskDeadLettered, e.TaskCancelled)


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How a task ended."""

    task: str
    status: TaskStatus
    attempt: int
    result: Payload = NOTHING
    reason: str | None = None
    failed_parts: tuple[str, ...] = ()


class Waiter(Protocol):
    """Is called once: with how the task ended, or with why that will never be known here."""

    def __call__(self, ended: Ended | None, error: BaseException | None = None) -> None:
        """The task ended, or `error`."""
        ...


class Completions:
    """Waiters by task. A task that nobody waits for costs one look."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._waiters: dict[str, list[Waiter]] = {}
        self._over: BaseException | None = None
        control.on_commit.append(self._committed)

    def wait(self, task: str, call: Waiter) -> None:
        """Call once the task has ended; soon, if it has already and is still known."""
        found = self._control.state.tasks.get(task)
        if self._over is None and found is not None and found.status in TERMINAL:
            ended = _of(found)
            self._control.after_commit(lambda: call(ended))
        else:
            self.expect(task, call)

    def expect(self, task: str, call: Waiter) -> None:
        """Call when the task ends from now on: it is being submitted, so another of this id that
        has ended already is none of its business."""
        if self._over is not None:
            call(None, self._over)
            return
        waiters = self._waiters.get(task)
        if waiters is None:
            self._waiters[task] = [call]
        else:
            waiters.append(call)

    def abandon(self, error: BaseException) -> None:
        """Nothing will be answered any more: tell everybody who waits, now or later."""
        self._over = self._over or error
        waiters, self._waiters = self._waiters, {}
        for calls in waiters.values():
            for call in calls:
                call(None, error)

    def forget(self, task: str, call: Waiter) -> None:
        """This one waits no more; others for the same task do."""
        waiters = self._waiters.get(task, [])
        if call in waiters:
            waiters.remove(call)
        if not waiters:
            self._waiters.pop(task, None)

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        waiters = self._waiters
        if not waiters:
            return
        for event in events:
            if type(event) is e.TaskCompleted:
                calls = waiters.pop(event.task, None)
                if calls is not None:
                    ended = Ended(
                        event.task,
                        TaskStatus.COMPLETED,
                        event.attempt,
                        event.result,
                        None,
                        event.failed_parts,
                    )
                    for call in calls:
                        call(ended)
            elif isinstance(event, _WITHOUT_RESULT):
                for call in waiters.pop(event.task, ()):
                    call(Ended(event.task, _KINDS[type(event)], 0, NOTHING, event.reason))


def _of(task: TaskState) -> Ended:
    failed: list[str] = []
    if task.plan is not None:
        failed = [name for phase in task.plan.phases for name in phase.failed]
    return Ended(task.spec.id, task.status, task.attempt, task.result, task.reason, tuple(failed))
