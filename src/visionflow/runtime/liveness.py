"""Liveness: who has been heard of, and for which attempts. Signals only; nothing of it is logged.

A worker that was silent for three heartbeats is given up. An attempt that its worker has not
vouched for in that time is taken to be lost, although the worker lives. When this process itself
stood still (a closed lid, a stalled loop), everybody is given that time on top.
"""

from visionflow.domain.messages import Heartbeat
from visionflow.engine.state import SwarmState

BEATS_MISSED_MAX = 3


class _Heard:
    def __init__(self, incarnation: int, now_ms: int) -> None:
        self.incarnation = incarnation
        self.at_ms = now_ms
        self.attempts: dict[str, int] = {}
        self.beats = 0


class Liveness:
    """What is known of workers by their heartbeats. Times are monotonic milliseconds."""

    def __init__(self, heartbeat_ms: int, now_ms: int) -> None:
        self.lease_ms = BEATS_MISSED_MAX * heartbeat_ms
        self.heartbeat_ms = heartbeat_ms
        self._now_ms = now_ms
        self._workers: dict[str, _Heard] = {}
        self._unvouched: dict[tuple[str, int], int] = {}

    def expect(self, worker: str, incarnation: int) -> None:
        """A worker said hello: from now on it must be heard."""
        known = self._workers.get(worker)
        if known is None or known.incarnation != incarnation:
            self._workers[worker] = _Heard(incarnation, self._now_ms)
        else:
            known.at_ms = self._now_ms

    def heard(self, beat: Heartbeat) -> None:
        """A heartbeat came."""
        known = self._workers.get(beat.worker)
        if known is not None and known.incarnation == beat.incarnation:
            known.at_ms = self._now_ms
            known.beats += 1
            known.attempts = dict(beat.attempts)

    def forget(self, worker: str) -> None:
        """Its process has ended."""
        self._workers.pop(worker, None)

    def advance(self, now_ms: int) -> None:
        """Time has come to this. A step longer than a heartbeat is a gap that nobody is blamed
        for."""
        gap_ms = now_ms - self._now_ms
        if gap_ms > self.heartbeat_ms:
            for known in self._workers.values():
                known.at_ms += gap_ms
            self._unvouched = {key: at + gap_ms for key, at in self._unvouched.items()}
        self._now_ms = now_ms

    def silent(self) -> list[tuple[str, int, int]]:
        """(worker, incarnation, silence in ms) of those silent for too long."""
        return [
            (worker, known.incarnation, self._now_ms - known.at_ms)
            for worker, known in self._workers.items()
            if self._now_ms - known.at_ms > self.lease_ms
        ]

    def expired(self, state: SwarmState) -> list[tuple[str, int]]:
        """(task, attempt) that their worker has not vouched for in a lease's time."""
        unvouched: dict[tuple[str, int], int] = {}
        for worker, known in self._workers.items():
            place = state.workers.get(worker)
            if place is None or place.incarnation != known.incarnation or not known.beats:
                continue
            for name in place.agents:
                for task, attempt in state.agents[name].open.items():
                    if known.attempts.get(task) != attempt:
                        key = (task, attempt)
                        unvouched[key] = self._unvouched.get(key, self._now_ms)
        self._unvouched = unvouched
        return [key for key, at in unvouched.items() if self._now_ms - at > self.lease_ms]
