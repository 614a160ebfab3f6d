"""The one read service: lists and details for every face.

Rows come from the views, which follow the log; a read first brings them up to the last record
that was acknowledged when it began, so it sees everything that its caller was ever told.
"""

import threading
from collections.abc import Callable, Collection, Iterator

import msgspec

from visionflow.domain.errors import UnknownId, UnknownTask
from visionflow.domain.events import AnyEvent, decode_record
from visionflow.ports.figures import FailureRow, Figures
from visionflow.ports.log import Log
from visionflow.ports.views import (
    EVERY_EFFECT,
    EVERY_TASK,
    AgentRow,
    AttemptRow,
    Change,
    EffectFilter,
    EffectRow,
    TaskFilter,
    TaskRow,
    Views,
)
from visionflow.runtime.views import changes

RECORDS_PER_APPLY = 256
PAGE_MAX = 1_000
RECORDS_PER_PAGE = 5_000
"""So many records are looked at for one page of events."""
RECORD_OF = 200
"""What a type of task took lately is the record of so many."""


class EventRow(msgspec.Struct, frozen=True):
    """An event and its place: the number of its record, and its own in that record, from 0."""

    seq: int
    index: int
    at_ms: int
    event: AnyEvent


class EventPage(msgspec.Struct, frozen=True):
    """A page of the log."""

    events: list[EventRow]
    after: tuple[int, int]
    """Where the next page goes on: up to this event (record, index) nothing was left out."""
    head: int
    """The last record that there is."""
    more: bool


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
        self._lock = threading.RLock()
        self._began_ms = 0

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
            UnknownTask: there never was such a task.
        """
        self.catch_up()
        found = self._views.task(task)
        if found is None:
            raise UnknownTask(f"There is no task {task}.")
        return found

    def tasks(
        self,
        status: str | None = None,
        after: TaskRow | tuple[int, str] | None = None,
        limit: int = PAGE_MAX,
        wanted: TaskFilter = EVERY_TASK,
    ) -> list[TaskRow]:
        """A page of tasks in the order of submission; pass the last row for the next page, or
        its `submitted_ms` and `id`."""
        if status is not None:
            wanted = msgspec.structs.replace(wanted, statuses=(status,))
        if isinstance(after, TaskRow):
            after = (after.submitted_ms, after.id)
        self.catch_up()
        return self._views.tasks(wanted, after or (-1, ""), min(limit, PAGE_MAX))

    def story(self, task: str) -> tuple[TaskRow, list[AttemptRow]]:
        """One task and all attempts at it, as they are at one time.

        Raises:
            UnknownTask: there never was such a task.
        """
        with self._lock:
            self.catch_up()
            found = self._views.task(task)
            attempts = [] if found is None else self._views.attempts(task)
        if found is None:
            raise UnknownTask(f"There is no task {task}.")
        return found, attempts

    def parts(self, root: str) -> dict[str, TaskRow]:
        """The parts of a plan, by id."""
        wanted = TaskFilter(parent=root)
        found: dict[str, TaskRow] = {}
        page = self.tasks(wanted=wanted)
        while page:
            found.update((row.id, row) for row in page)
            page = self.tasks(after=page[-1], wanted=wanted) if len(page) == PAGE_MAX else []
        return found

    def attempts(self, task: str) -> list[AttemptRow]:
        """All attempts at a task, first to last."""
        self.catch_up()
        return self._views.attempts(task)

    def agents(self) -> list[AgentRow]:
        """All agents, alive and gone."""
        self.catch_up()
        return self._views.agents()

    def effects(
        self,
        wanted: EffectFilter = EVERY_EFFECT,
        after: tuple[int, str] = (-1, ""),
        limit: int = PAGE_MAX,
    ) -> list[EffectRow]:
        """A page of outside effects in the order of their reservation; pass `reserved_ms` and `key`
        of the last row for the next page."""
        self.catch_up()
        return self._views.effects(wanted, after, min(limit, PAGE_MAX))

    def effect(self, key: str) -> EffectRow:
        """One outside effect.

        Raises:
            UnknownId: there never was such an effect.
        """
        self.catch_up()
        found = self._views.effect(key)
        if found is None:
            raise UnknownId(f"There is no effect {key!r:.80}.", code="unknown_effect")
        return found

    def counts(self) -> dict[str, int]:
        """How many tasks there are by status."""
        self.catch_up()
        return self._views.counts()

    def completion_ms(self) -> float | None:
        """What completed tasks took from submission to completion, in milliseconds, on average."""
        self.catch_up()
        return self._views.completion_ms()

    def figures(self, from_ms: int, to_ms: int, recent: int = 10, types: int = 0) -> Figures:
        """What happened after `from_ms`, up to and with `to_ms`; see `Views.figures`."""
        with self._lock:
            self.catch_up()
            return self._views.figures(from_ms, to_ms, recent, types)

    def failures_of(self, agent: str, last: int) -> list[FailureRow]:
        """The last attempts of one agent that failed; see `Views.failures_of`."""
        with self._lock:
            self.catch_up()
            return self._views.failures_of(agent, last)

    def began_ms(self) -> int:
        """When the stream began; 0 when nothing is in it."""
        if not self._began_ms and self._acknowledged():
            self._began_ms = decode_record(next(self._log.read(self._stream)).body).at_ms
        return self._began_ms

    def durations(self, type: str, last: int = RECORD_OF) -> list[int]:
        """How long the last completed tasks of a type took, in microseconds, latest first: the
        record of like tasks."""
        self.catch_up()
        return self._views.durations(type, last)

    def between(
        self, from_ms: int, to_ms: int | None, kinds: Collection[type[AnyEvent]]
    ) -> Iterator[EventRow]:
        """Events of these kinds from this time to that (`None`: to the end), both included,
        straight from the log; what is older is not read through."""
        head = self._acknowledged()
        for entry in self._log.read(self._stream, self._before(from_ms, head)):
            record = decode_record(entry.body)
            if entry.seq > head or (to_ms is not None and record.at_ms > to_ms):
                return
            if record.at_ms >= from_ms:
                for place, event in enumerate(record.events):
                    if type(event) in kinds:
                        yield EventRow(entry.seq, place, record.at_ms, event)

    def _before(self, at_ms: int, head: int) -> int:
        """The number of a record before which all are older than this, and not many after it. No
        record is older than the one before it."""
        low, high = 0, head
        while high - low > RECORDS_PER_APPLY:
            middle = (low + high) // 2
            if decode_record(next(self._log.read(self._stream, middle - 1)).body).at_ms < at_ms:
                low = middle
            else:
                high = middle
        return low

    def events(
        self,
        after: tuple[int, int] = (0, -1),
        limit: int = PAGE_MAX,
        kinds: Collection[type[AnyEvent]] = (),
    ) -> EventPage:
        """A page of events straight from the log, of these kinds where any are given: those behind
        this (record, index), or with index -1 those of later records. It may be short, or empty,
        and say that there is more."""
        head = self._acknowledged()
        seq, index = after
        found: list[EventRow] = []
        looked = 0
        for entry in self._log.read(self._stream, max(0, seq - 1 if index >= 0 else seq)):
            if entry.seq > head:
                break
            record = decode_record(entry.body)
            first = index + 1 if entry.seq == seq else 0
            for place, event in enumerate(record.events[first:], first):
                if len(found) == limit:
                    return EventPage(found, (seq, index), head, True)
                if not kinds or type(event) in kinds:
                    found.append(EventRow(entry.seq, place, record.at_ms, event))
                seq, index = entry.seq, place
            looked += 1
            if looked == RECORDS_PER_PAGE:
                break
        return EventPage(found, (seq, index), head, seq < head)
