"""How many tasks of a swarm stand where, kept as records close.

An index over the live state for reads that come thousands of times a second: it is counted once
when it is made, and from then on follows the events. Like every read of live state, what it tells
may leave only once that is durable.
"""

from collections import OrderedDict
from typing import NamedTuple

from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.matching import GroupKey
from visionflow.runtime.control_plane import ControlPlane


class Ended(NamedTuple):
    """Tasks that have ended, by how."""

    completed: int
    failed: int
    cancelled: int
    dead_letter: int


_ENDS = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.DEAD_LETTER)


class Tally:
    """Counts of tasks that have not ended. Belongs to the loop's thread."""

    def __init__(self, control: ControlPlane) -> None:
        self._state = control.state
        self._seen: dict[str, tuple[TaskStatus, int, GroupKey]] = {}
        self._queued: OrderedDict[str, int] = OrderedDict()
        self.standing: dict[TaskStatus, int] = dict.fromkeys(TaskStatus, 0)
        """Tasks by status; those that have ended are not in it."""
        self.priorities: dict[int, int] = {}
        """Queued tasks by priority."""
        self.asked: dict[GroupKey, int] = {}
        """Queued tasks by what they ask of an agent."""
        for name, _ in sorted(self._state.tasks.items(), key=lambda each: each[1].changed_ms):
            self._look(name)
        control.on_close.append(self._closed)

    @property
    def oldest_ms(self) -> int | None:
        """Since when the task is queued that has been so for the longest time."""
        return next(iter(self._queued.values()), None)

    @property
    def ended(self) -> Ended:
        """How many tasks are at each end now; those that were queued again are not."""
        counters, revived = self._state.counters, self._state.revived
        total = (counters.completed, counters.failed, counters.cancelled, counters.dead_letter)
        if not revived:
            return Ended(*total)
        return Ended(
            *(count - revived.get(end, 0) for end, count in zip(_ENDS, total, strict=True))
        )

    def _closed(self, events: list[AnyEvent]) -> None:
        for event in events:
            name = getattr(event, "task", None) or getattr(getattr(event, "spec", None), "id", None)
            if name is not None:
                self._look(name)

    def _look(self, name: str) -> None:
        task = self._state.tasks.get(name)
        before = self._seen.get(name)
        if task is None or task.status in TERMINAL:
            if before is not None:
                self._leave(name, *before)
                del self._seen[name]
            return
        spec = task.spec
        after = (task.status, spec.priority, (spec.capabilities, spec.agent_type, spec.agent))
        if before is not None:
            if before == after and self._queued.get(name, task.changed_ms) == task.changed_ms:
                return
            self._leave(name, *before)
        self._seen[name] = after
        self.standing[task.status] += 1
        if task.status is TaskStatus.QUEUED:
            self._queued[name] = task.changed_ms
            self.priorities[after[1]] = self.priorities.get(after[1], 0) + 1
            self.asked[after[2]] = self.asked.get(after[2], 0) + 1

    def _leave(self, name: str, status: TaskStatus, priority: int, key: GroupKey) -> None:
        self.standing[status] -= 1
        if status is TaskStatus.QUEUED:
            del self._queued[name]
            self.priorities[priority] -= 1
            if not self.priorities[priority]:
                del self.priorities[priority]
            self.asked[key] -= 1
            if not self.asked[key]:
                del self.asked[key]
