"""The one read service: lists and details for every face.

Rows come from the views, which follow the log; a read first brings them up to the last record
that was acknowledged when it began, so it sees everything that its caller was ever told.
"""

import threading
from collections.abc import Callable

from visionflow.domain.errors import UnknownId
from visionflow.domain.events import decode_record
from visionflow.ports.log import Log
from visionflow.ports.views import AgentRow, AttemptRow, Change, TaskRow, Views
from visionflow.runtime.views import changes

RECORDS_PER_APPLY = 256
PAGE_MAX = 1_000


class Queries:
    """Reads of one stream. Every method blocks; call it off the loop. Safe from any thread."""

    def __init__(
        self, log: Log, stream: str, views: Views, acknowledged: Callable[[], int]
    ) -> None:
        """`acknowledged` gives the number of the last record that anybody was told of."""
        self._log = log
        self._stream = stream
        self._views = views
        self._acknowledged = acknowledged
        self._lock = threading.Lock()

    def catch_up(self) -> int:
        """Bring the views up to what is acknowledged; the record they reach."""
        target = self._acknowledged()
        with self._lock:
            position = self._views.position()
            if position >= target:
                return position
            pending: list[Change] = []
            count = 0
            for entry in self._log.read(self._stream, position):
                pending.extend(changes(decode_record(entry.body)))
                position, count = entry.seq, count + 1
                if count == RECORDS_PER_APPLY:
                    self._views.apply(position, pending)
                    pending, count = [], 0
                if position >= target:
                    break
            if count:
                self._views.apply(position, pending)
            return position

    def task(self, task: str) -> TaskRow:
        """One task.

        Raises:
            UnknownId: there never was such a task.
        """
        self.catch_up()
        found = self._views.task(task)
        if found is None:
            raise UnknownId(f"There is no task {task}.")
        return found

    def tasks(
        self, status: str | None = None, after: TaskRow | None = None, limit: int = PAGE_MAX
    ) -> list[TaskRow]:
        """A page of tasks in the order of submission; pass the last row for the next page."""
        self.catch_up()
        start = (-1, "") if after is None else (after.submitted_ms, after.id)
        return self._views.tasks(status, start, min(limit, PAGE_MAX))

    def attempts(self, task: str) -> list[AttemptRow]:
        """All attempts at a task, first to last."""
        self.catch_up()
        return self._views.attempts(task)

    def agents(self) -> list[AgentRow]:
        """All agents, alive and gone."""
        self.catch_up()
        return self._views.agents()

    def counts(self) -> dict[str, int]:
        """How many tasks there are by status."""
        self.catch_up()
        return self._views.counts()
