"""The figures of a run of chaos: how long it took until what a fault struck down ran again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent, Record
from visionflow.testing.chaos.plan import ENDS, Fault
from visionflow.testing.chaos.striking import Struck

SERVER = frozenset({Fault.SERVER_KILLED, Fault.FRONT_KILLED, *ENDS})
_SIGNS = (e.TaskStarted, e.StepFinished, e.TaskCompleted, e.AttemptFailed)


class Spread(msgspec.Struct, frozen=True):
    """Of some durations, in milliseconds."""

    count: int
    median_ms: int
    worst_ms: int


class FaultFigures(msgspec.Struct, frozen=True):
    """What faults of one kind led to."""

    times: int
    attempts_lost: int
    """Attempts under way where it struck that did not come to a result."""
    again: Spread | None
    """From the fault to the first sign of the next attempt at each of those tasks."""
    answers: Spread | None
    """From the fault to the first task that was acknowledged after the server had recovered."""


class Recoveries(msgspec.Struct, frozen=True):
    """All of them."""

    by_kind: dict[str, FaultFigures]
    again: Spread | None


class _Case:
    def __init__(self, struck: Struck) -> None:
        self.struck = struck
        self.waiting: dict[str, int] = {}
        """Tasks whose attempt was under way, with its number."""
        self.lost = 0
        self.again_ms: list[int] = []
        self.recovered_ms: int | None = None


class _Fold:
    """What is under way where, from event to event."""

    def __init__(self) -> None:
        self.worker_of: dict[str, str] = {}
        self.open: dict[str, tuple[int, str]] = {}
        """By task: attempt, and agent."""
        self.cases: list[_Case] = []

    def strike(self, struck: Struck) -> None:
        case = _Case(struck)
        for task, (attempt, agent) in self.open.items():
            if struck.worker is None or self.worker_of.get(agent) == struck.worker:
                case.waiting[task] = attempt
        self.cases.append(case)

    def event(self, at_ms: int, event: AnyEvent) -> None:
        match event:
            case e.AgentSpawned():
                self.worker_of[event.spec.id] = event.worker
            case e.AgentMoved():
                self.worker_of[event.agent] = event.worker
            case e.TaskAssigned():
                self.open[event.task] = (event.attempt, event.agent)
            case e.Recovered():
                for case in self.cases:
                    if case.recovered_ms is None:
                        case.recovered_ms = at_ms
            case _:
                if isinstance(event, _SIGNS):
                    self._sign(at_ms, event)

    def _sign(
        self,
        at_ms: int,
        event: e.TaskStarted | e.StepFinished | e.TaskCompleted | e.AttemptFailed,
    ) -> None:
        over = isinstance(event, (e.TaskCompleted, e.AttemptFailed))
        if over:
            self.open.pop(event.task, None)
        for case in self.cases:
            attempt = case.waiting.get(event.task)
            if attempt is None:
                continue
            if event.attempt > attempt:
                del case.waiting[event.task]
                case.again_ms.append(at_ms - case.struck.at_ms)
            elif isinstance(event, e.AttemptFailed) and event.kind in WENT:
                case.lost += 1
            elif over:
                del case.waiting[event.task]


WENT = frozenset({"killed", "lost", "agent_gone", "network_failure"})
"""Attempts that ended with their process, not by their own doing."""


def recoveries(
    history: Iterable[Record], struck: Sequence[Struck], acknowledged_ms: Sequence[int]
) -> Recoveries:
    """`history` is the log; `acknowledged_ms` are the times of replies."""
    fold, due = _Fold(), sorted(struck, key=lambda each: each.at_ms)
    for at_ms, events in map(_parts, history):
        while due and due[0].at_ms <= at_ms:
            fold.strike(due.pop(0))
        for event in events:
            fold.event(at_ms, event)
    for left in due:
        fold.strike(left)
    replies = sorted(acknowledged_ms)
    kinds = Counter(case.struck.stroke.fault for case in fold.cases)
    found: dict[str, FaultFigures] = {}
    for kind, times in sorted(kinds.items()):
        cases = [case for case in fold.cases if case.struck.stroke.fault is kind]
        found[kind] = FaultFigures(
            times,
            sum(case.lost for case in cases),
            spread([each for case in cases for each in case.again_ms]),
            spread(_answers(cases, replies)) if kind in SERVER else None,
        )
    return Recoveries(found, spread([each for case in fold.cases for each in case.again_ms]))


def _parts(record: Record) -> tuple[int, list[AnyEvent]]:
    return record.at_ms, record.events


def _answers(cases: list[_Case], replies: list[int]) -> list[int]:
    found: list[int] = []
    for case in cases:
        back_ms = case.recovered_ms
        first = None if back_ms is None else next((ms for ms in replies if ms >= back_ms), None)
        if first is not None:
            found.append(first - case.struck.at_ms)
    return found


def spread(times_ms: list[int]) -> Spread | None:
    """`None` of none."""
    if not times_ms:
        return None
    return Spread(len(times_ms), round(median(times_ms)), max(times_ms))
