"""Recycling: sees from heartbeats which processes have come near their memory ceiling, and in
which code runs on that was given up. Only the end of its process ends a thread that does not stop.

A process that is near it from its first heartbeat on is not replaced before it has done something:
a fresh one would hold no less.
"""

from typing import NamedTuple

from visionflow.domain import supervision_commands as sc
from visionflow.domain.messages import Heartbeat
from visionflow.engine.decide.recycling import too_large
from visionflow.engine.evolve.supervising import attempts_ended
from visionflow.ports.host import Host
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.control_plane import ControlPlane


class _First(NamedTuple):
    """What was so when a process was first heard."""

    incarnation: int
    attempts: int
    """That its agents had ended by then."""
    is_large: bool


class Recycling:
    """Judges the memory of workers by what they say of it."""

    def __init__(self, control: ControlPlane, host: Host, telemetry: Telemetry) -> None:
        self._control = control
        self._host = host
        self._telemetry = telemetry
        self._first: dict[str, _First] = {}

    def heard(self, beat: Heartbeat) -> None:
        """A heartbeat came."""
        state, name = self._control.state, beat.worker
        worker = state.workers.get(name)
        if worker is None or worker.incarnation != beat.incarnation:
            return
        if beat.overrunning:
            self._replace(beat, _overrunning(beat.overrunning))
        if beat.resident_bytes is None or not worker.dedicated:
            return
        reason = too_large(state, worker, beat.resident_bytes)
        first = self._first.get(name)
        if first is None or first.incarnation != beat.incarnation:
            first = _First(beat.incarnation, attempts_ended(state, worker), reason is not None)
            self._first[name] = first
            if len(self._first) > 2 * len(state.workers):
                known = self._first.items()
                self._first = {each: at for each, at in known if each in state.workers}
            if reason is not None:
                told = f"{name}.{beat.incarnation} has just started: {reason} once it has worked"
                self._telemetry.log("warning", None, "large_at_start", told)
        if reason is None:
            return
        if first.is_large and attempts_ended(state, worker) == first.attempts:
            return
        self._replace(beat, reason)

    def _replace(self, beat: Heartbeat, reason: str) -> None:
        sup = self._control.state.supervised
        if beat.worker in sup.recycling or beat.worker in sup.restarting:
            return
        self._control.offer(
            sc.RecycleWorker(
                now_ms=self._host.now_ms(),
                worker=beat.worker,
                incarnation=beat.incarnation,
                reason=reason,
            ),
            bounded=False,
        )


def _overrunning(count: int) -> str:
    if count == 1:
        return "the code of an attempt that was given up still runs in it, and does not stop"
    return f"the code of {count} attempts that were given up still runs in it, and does not stop"
