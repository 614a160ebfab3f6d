"""What follows when tasks end: dependents become ready or fail, phases open, plans settle.

Deciding must not change the state, yet one ending may cause the next. So a `Closing` collects the
events and remembers, beside the untouched state, which tasks its own events end.
"""

from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import TERMINAL, FailureKind, TaskStatus
from visionflow.engine.state import PhaseState, PlanState, SwarmState, TaskState

RUNNING = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)


class Closing:
    """Events of one decision in which tasks end."""

    def __init__(self, state: SwarmState) -> None:
        self.events: list[AnyEvent] = []
        self._state = state
        self._ended: dict[str, bool] = {}
        self._released: dict[str, None] = {}
        self._cancelling: dict[str, str] = {}

    def has_ended(self, name: str) -> bool:
        """Whether the task has ended, before this decision or in it."""
        if name in self._ended:
            return True
        task = self._state.tasks.get(name)
        return task is None or task.status in TERMINAL

    def complete(self, event: e.TaskCompleted) -> None:
        """A task completes."""
        self.events.append(event)
        self._follow(self._state.tasks[event.task], True)

    def fail(self, name: str, reason: str, kind: FailureKind | None = None) -> None:
        """A task ends as failed."""
        self.events.append(e.TaskFailed(task=name, reason=reason, kind=kind))
        self._follow(self._state.tasks[name], False)

    def dead_letter(self, name: str, reason: str, kind: FailureKind) -> None:
        """A task ends in the dead letter."""
        self.events.append(e.TaskDeadLettered(task=name, reason=reason, kind=kind))
        self._follow(self._state.tasks[name], False)

    def release(self, event: e.AttemptFailed) -> None:
        """The open attempt of a task ended in this decision."""
        self.events.append(event)
        self._released[event.task] = None

    def is_released(self, name: str) -> bool:
        """Whether its open attempt ended in this decision."""
        return name in self._released

    def cancelling(self, task: TaskState) -> str | None:
        """Why the open attempt of a task was told to stop, before this decision or in it."""
        return task.cancelling or self._cancelling.get(task.spec.id)

    def cancel(self, name: str, reason: str, command: str | None = None) -> None:
        """A task is cancelled: at once, or by telling its open attempt to stop."""
        task = self._state.tasks[name]
        if task.status in RUNNING and name not in self._released:
            if self.cancelling(task) is None:
                self._cancelling[name] = reason
                self.events.append(e.TaskCancelling(task=name, reason=reason, command=command))
            return
        self.events.append(e.TaskCancelled(task=name, reason=reason, command=command))
        self._follow(task, False)
        if task.plan is not None:
            self._cancel_parts(task.plan, f"its plan was cancelled: {reason}")

    def stopped(self, name: str, reason: str) -> None:
        """The open attempt of a task that was being cancelled has ended."""
        self.events.append(e.TaskCancelled(task=name, reason=reason))
        self._follow(self._state.tasks[name], False)

    # What follows --------------------------------------------------------------------------

    def _follow(self, task: TaskState, ok: bool) -> None:
        name = task.spec.id
        self._ended[name] = ok
        if task.spec.parent is not None:
            self._settle(task.spec.parent, task)
        if task.dependents is not None:
            for dependent in task.dependents:
                self._depend(dependent, name, ok)

    def _depend(self, name: str, on: str, ok: bool) -> None:
        task = self._state.tasks.get(name)
        if task is None or self.has_ended(name) or task.status is not TaskStatus.PENDING:
            return
        if not ok:
            self.fail(name, f"it depends on {on}, which ended without a result")
        elif self._is_open(task) and all(self.has_ended(other) for other in task.spec.depends_on):
            self.events.append(e.TaskQueued(task=name))

    def _is_open(self, task: TaskState) -> bool:
        """Whether the phase of a part is under way; always so for a task without a plan."""
        if task.spec.parent is None:
            return True
        root = self._state.tasks[task.spec.parent]
        if root.plan is None or task.phase != root.plan.current:
            return False
        phase = root.plan.phases[task.phase]
        return not phase.sequential or task.spec.id == self._first_open(phase)

    def _settle(self, root_name: str, part: TaskState) -> None:
        root = self._state.tasks.get(root_name)
        if root is None or root.plan is None or self.has_ended(root_name):
            return
        plan = root.plan
        phase = plan.phases[part.phase]
        failed = self._failed(phase)
        if len(failed) * 10_000 > plan.threshold_bp * len(phase.tasks):
            self.fail(root_name, f"phase {phase.name}: {len(failed)} of {len(phase.tasks)} failed")
            self._cancel_parts(plan, f"phase {phase.name} of its plan failed")
        elif any(not self.has_ended(name) for name in phase.tasks):
            if phase.sequential:
                self._open_next(phase)
        elif part.phase + 1 < len(plan.phases):
            self._open_phase(plan.phases[part.phase + 1])
        else:
            parts = tuple(name for each in plan.phases for name in self._failed(each))
            self.complete(e.TaskCompleted(task=root_name, attempt=root.attempt, failed_parts=parts))

    def _failed(self, phase: PhaseState) -> list[str]:
        own = [name for name in phase.tasks if self._ended.get(name) is False]
        return [*(name for name in phase.failed if name not in own), *own]

    def _first_open(self, phase: PhaseState) -> str | None:
        return next((name for name in phase.tasks if not self.has_ended(name)), None)

    def _open_phase(self, phase: PhaseState) -> None:
        if phase.sequential:
            self._open_next(phase)
            return
        for name in phase.tasks:
            self._open(name)

    def _open_next(self, phase: PhaseState) -> None:
        name = self._first_open(phase)
        if name is not None:
            self._open(name)

    def _open(self, name: str) -> None:
        task = self._state.tasks[name]
        waits = any(not self.has_ended(other) for other in task.spec.depends_on)
        if task.status is TaskStatus.PENDING and task.retry_at_ms is None and not waits:
            self.events.append(e.TaskQueued(task=name))

    def _cancel_parts(self, plan: PlanState, reason: str) -> None:
        for phase in plan.phases:
            for name in phase.tasks:
                if not self.has_ended(name):
                    self.cancel(name, reason)
