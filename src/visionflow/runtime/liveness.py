"""Liveness: who has been heard of, and for which attempts. Signals only; opinions are logged.

What heartbeats, pings and connections say of each worker is kept for the detector, which judges
it. An attempt that its worker has not vouched for in three heartbeats is taken to be lost,
although the worker lives. When this process itself stood still (a closed lid, a stalled loop),
everybody is given that time on top.
"""

from collections.abc import Iterator
from typing import NamedTuple

from visionflow.domain.messages import Heartbeat
from visionflow.engine.liveness import Detector, Opinion, Probe, Watched
from visionflow.engine.state import SwarmState

VOUCHED_BEATS = 3
"""An attempt that was not vouched for in so many heartbeats is lost."""
STALL_MS_MIN = 250
"""A shorter time between two looks is no stall of ours, however often workers beat."""


class Heard(NamedTuple):
    """What the last heartbeat of a worker said, and how long ago."""

    age_ms: int
    resident_bytes: int | None
    beats: int
    """So many came from this process of it."""


class _Known:
    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.attempts: dict[str, int] = {}
        self.resident_bytes: int | None = None


class Liveness:
    """What is known of workers by their signals. Times are monotonic milliseconds."""

    def __init__(self, heartbeat_ms: int, now_ms: int) -> None:
        self.lease_ms = VOUCHED_BEATS * heartbeat_ms
        self.heartbeat_ms = heartbeat_ms
        self._detector = Detector(heartbeat_ms)
        self._stall_ms = max(heartbeat_ms // 4, STALL_MS_MIN)
        self._now_ms = now_ms
        self._workers: dict[str, _Known] = {}
        self._unvouched: dict[tuple[str, int], int] = {}

    # What happens --------------------------------------------------------------------------

    def expect(self, worker: str, incarnation: int) -> None:
        """A worker said hello: from now on it must be heard."""
        known = self._workers.get(worker)
        if known is None or known.watched.incarnation != incarnation:
            self._workers[worker] = _Known(Watched(incarnation, self._now_ms))
        else:
            known.watched.join(self._now_ms)

    def heard(self, beat: Heartbeat) -> None:
        """A heartbeat came."""
        known = self._of(beat.worker, beat.incarnation)
        if known is not None:
            known.watched.beat(self._now_ms, beat.early)
            known.attempts = dict(beat.attempts)
            known.resident_bytes = beat.resident_bytes

    def left(self, worker: str, incarnation: int) -> None:
        """Its connection is gone."""
        known = self._of(worker, incarnation)
        if known is not None:
            known.watched.leave()

    def asked(self, worker: str) -> None:
        """A ping was sent to it."""
        known = self._workers.get(worker)
        if known is not None:
            known.watched.ask(self._now_ms)

    def answered(self, worker: str, incarnation: int) -> None:
        """It answered a ping."""
        known = self._of(worker, incarnation)
        if known is not None:
            known.watched.answer(self._now_ms)

    def forget(self, worker: str) -> None:
        """Its process has ended, or was given up."""
        self._workers.pop(worker, None)

    def advance(self, now_ms: int) -> None:
        """Time has come to this. A step that is too long is a gap that nobody is blamed for."""
        gap_ms = now_ms - self._now_ms
        if gap_ms > self._stall_ms:
            for known in self._workers.values():
                known.watched.skip(gap_ms)
            self._unvouched = {key: at + gap_ms for key, at in self._unvouched.items()}
        self._now_ms = now_ms

    # What is thought of it -----------------------------------------------------------------

    def _of(self, worker: str, incarnation: int) -> _Known | None:
        known = self._workers.get(worker)
        return known if known is not None and known.watched.incarnation == incarnation else None

    def watched(self) -> Iterator[tuple[str, int]]:
        """(worker, incarnation) of all that are to be heard."""
        for worker, known in list(self._workers.items()):
            yield worker, known.watched.incarnation

    def is_doubtful(self, worker: str) -> bool:
        """Whether it should be looked at; not for one that nothing is known of."""
        known = self._workers.get(worker)
        return known is not None and self._detector.is_doubtful(known.watched, self._now_ms)

    def wants_ping(self, worker: str) -> bool:
        """Whether it should be asked now."""
        known = self._workers.get(worker)
        return known is not None and self._detector.wants_ping(known.watched, self._now_ms)

    def judge(self, worker: str, process: Probe) -> Opinion | None:
        """What is to be thought of a worker, after a look at its process; `None`: nothing is known
        of it."""
        known = self._workers.get(worker)
        if known is None:
            return None
        return self._detector.judge(known.watched, process, self._now_ms)

    def last_heard(self, worker: str) -> Heard | None:
        """Its last heartbeat; `None` when it has not sent one yet."""
        known = self._workers.get(worker)
        if known is None or not known.watched.beats:
            return None
        age_ms = self._now_ms - known.watched.heard_ms
        return Heard(age_ms, known.resident_bytes, known.watched.beats)

    def expired(self, state: SwarmState) -> list[tuple[str, int]]:
        """(task, attempt) that their worker has not vouched for in a lease's time. A worker that
        has not vouched for one in a heartbeat's time is doubtful from then on."""
        unvouched: dict[tuple[str, int], int] = {}
        for worker, known in self._workers.items():
            watched, place = known.watched, state.workers.get(worker)
            if place is None or place.incarnation != watched.incarnation or not watched.beats:
                continue
            for name in place.agents:
                for task, attempt in state.agents[name].open.items():
                    if known.attempts.get(task) != attempt:
                        key = (task, attempt)
                        unvouched[key] = self._unvouched.get(key, self._now_ms)
                        if self._now_ms - unvouched[key] > self.heartbeat_ms:
                            watched.unheeded = True
        self._unvouched = unvouched
        return [key for key, at in unvouched.items() if self._now_ms - at > self.lease_ms]
