"""Stalls: follows what running attempts tell, and reports those that make no progress.

An opinion only, which the log keeps: the attempt goes on. What it waits for with good reason
(a lock, another task) is no stall, and neither is time in which this process stood still.
"""

from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.scoring import RECORD_TASKS_MIN
from visionflow.engine.stalling import Course, patience_ms
from visionflow.engine.state import TaskState
from visionflow.ports.host import Host
from visionflow.runtime.control_plane import ControlPlane

STILL_MS = 10_000
"""Looks that are further apart than this mean that we stood still."""
TYPES_MAX = 1_000
"""Types of tasks whose record is kept."""


class Stalls:
    """One per control plane. `look` is called about once a second."""

    def __init__(self, control: ControlPlane, host: Host) -> None:
        self._control = control
        self._host = host
        self._courses: dict[str, Course] = {}
        self._means: dict[str, int] = {}
        """By type, what its tasks took on average lately, in microseconds."""
        self._looked_ms = host.monotonic_ms()
        for name, task in control.state.tasks.items():
            if task.status is TaskStatus.RUNNING:
                self._courses[name] = Course(task.attempt, self._looked_ms)
        control.on_commit.append(self._committed)

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        for event in events:
            if type(event) is e.TaskCompleted:
                self._courses.pop(event.task, None)
                self._learn(event)
            elif type(event) is e.TaskStarted:
                started = Course(event.attempt, self._host.monotonic_ms())
                self._courses[event.task] = started
            elif type(event) is e.StepFinished:
                course = self._courses.get(event.task)
                if course is not None:
                    course.move(self._host.monotonic_ms())
            elif type(event) is e.AttemptFailed:
                self._courses.pop(event.task, None)

    def _learn(self, event: e.TaskCompleted) -> None:
        task = self._control.state.tasks.get(event.task)
        if task is None or task.plan is not None:
            return
        before = self._means.get(task.spec.type)
        if before is not None:
            self._means[task.spec.type] = before + (event.duration_us - before) // 8
        elif len(self._means) < TYPES_MAX:
            self._means[task.spec.type] = event.duration_us

    def heard(self, task: str, attempt: int, fraction: float | None, note: str) -> None:
        """An attempt told of its progress."""
        course = self._courses.get(task)
        if course is None or course.attempt != attempt:
            return
        news = course.tell(fraction, note, self._host.monotonic_ms())
        if news and self._control.state.supervised.stalled.get(task) == attempt:
            self._control.offer(
                sc.ReportProgress(
                    now_ms=self._host.now_ms(),
                    task=task,
                    attempt=attempt,
                    evidence=note or "it told of progress",
                ),
                bounded=False,
            )

    def look(self) -> None:
        """Report what makes no progress now."""
        now_ms, state = self._host.monotonic_ms(), self._control.state
        gap_ms, self._looked_ms = now_ms - self._looked_ms, now_ms
        sup = state.supervised
        for name, course in self._courses.items():
            if gap_ms > STILL_MS:
                course.skip(gap_ms)
            if name in sup.stalled:
                continue
            task = state.tasks.get(name)
            if task is None or task.attempt != course.attempt:
                continue
            if name in sup.waits or name in state.lockers:
                course.move(now_ms)
                continue
            evidence = course.stuck(self.patience_ms(task), now_ms)
            if evidence is not None and task.status is TaskStatus.RUNNING:
                self._control.offer(
                    sc.ReportStall(
                        now_ms=self._host.now_ms(),
                        task=name,
                        attempt=course.attempt,
                        evidence=evidence,
                    ),
                    bounded=False,
                )

    def patience_ms(self, task: TaskState) -> int:
        """How long an attempt at a task may go without progress: twice what tasks of its type took
        on average since this process began, or else those of its agent; where there is no such
        record, the time that the swarm gives an attempt."""
        state = self._control.state
        mean_us = self._means.get(task.spec.type)
        agent = None if task.agent is None else state.agents.get(task.agent)
        if mean_us is None and agent is not None and agent.completed >= RECORD_TASKS_MIN:
            mean_us = agent.mean_us
        limit_ms = 0 if state.spec is None else state.spec.limits.attempt_timeout_ms
        return patience_ms(mean_us, limit_ms)
