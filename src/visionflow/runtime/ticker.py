"""The ticker: turns the passing of time into commands.

It looks at what is due a few times a second, judges who has been silent, and now and then lets
the auditor look at everything.
"""

from collections.abc import Callable

from visionflow.domain import commands as c
from visionflow.domain.limits import TIMEOUT_GRACE_MS
from visionflow.engine import circuits
from visionflow.engine.audit import audit
from visionflow.engine.balancing import may_steal, steals
from visionflow.engine.decide import mail
from visionflow.engine.decide.auctions import lapse_due
from visionflow.engine.decide.deadlocks import is_deadlocked
from visionflow.engine.decide.draining import drained
from visionflow.engine.decide.recycling import replacements_due
from visionflow.engine.decide.teams import is_overdue
from visionflow.engine.state import SwarmState
from visionflow.engine.topology import adaptive
from visionflow.ports.host import Host, Timer
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.liveness import Liveness
from visionflow.runtime.probing import Probing
from visionflow.runtime.stalling import Stalls
from visionflow.runtime.team_loads import TeamLoads

TICK_MS = 100
JUDGE_EVERY_MAX = 10
"""Every so many ticks silence is judged at the latest, more often where heartbeats are quick."""
JUDGED_PER_BEAT = 4
WAITS_EVERY = 10
"""Every so many ticks it is looked whether tasks wait for each other for ever."""
EXPIRE_EVERY = 10
"""Every so many ticks it is asked which attempts nobody vouches for."""
AUDIT_EVERY = 300
AUDITED_TASKS_MAX = 20_000
"""In a larger swarm the auditor does not look by itself: it would hold up the loop."""


def is_due(state: SwarmState, now_ms: int) -> bool:
    """Whether a Tick would do anything."""
    retry_ms, deadline_ms = state.retries.next_ms(), state.deadlines.next_ms()
    return (
        (retry_ms is not None and retry_ms <= now_ms)
        or (deadline_ms is not None and deadline_ms <= now_ms)
        or bool(state.vote_ends and state.vote_ends.due(now_ms))
        or bool(state.clocks.overdue(now_ms, TIMEOUT_GRACE_MS))
        or mail.is_due(state, now_ms)
        or bool(state.draining and drained(state))
        or replacements_due(state, now_ms)
        or bool(state.supervised.circuits and circuits.is_due(state.supervised.circuits, now_ms))
        or bool(may_steal(state) and steals(state, now_ms))
        or adaptive.is_due(state, now_ms)
        or bool(state.teams.teams and is_overdue(state, now_ms))
        or bool(state.mesh.auctions and lapse_due(state, now_ms))
    )


class Ticker:
    """Ticks from `start` to `stop`."""

    def __init__(
        self,
        control: ControlPlane,
        host: Host,
        liveness: Liveness,
        probing: Probing,
        stalls: Stalls,
        on_fault: Callable[[list[str]], None],
        teams: TeamLoads | None = None,
    ) -> None:
        self._control = control
        self._host = host
        self._liveness = liveness
        self._probing = probing
        self._stalls = stalls
        self._teams = teams
        self._on_fault = on_fault
        self._timer: Timer | None = None
        beat_ticks = liveness.heartbeat_ms // TICK_MS
        self._judge_every = max(1, min(JUDGE_EVERY_MAX, beat_ticks // JUDGED_PER_BEAT))
        self._ticks = 0
        self._last_ms = 0
        """When it last looked, by the clock on the wall."""

    def start(self) -> None:
        """Tick from now on."""
        self._last_ms = self._host.now_ms()
        self._timer = self._host.call_later(TICK_MS, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        if self._timer is None:
            return
        try:
            self._look()
        finally:
            # A look that fails, as where no descriptor is free to look at a process with, is not
            # the last one.
            self._go_on()

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer = self._host.call_later(TICK_MS, self._tick)

    def _look(self) -> None:
        self._ticks += 1
        state, now_ms = self._control.state, self._host.now_ms()
        self._liveness.advance(self._host.monotonic_ms())
        gap_ms = now_ms - self._last_ms
        self._last_ms = now_ms
        if gap_ms <= self._liveness.heartbeat_ms:
            gap_ms = 0
        # A ring closes with a request, where it is found at once, or because somebody who could
        # have helped is gone.
        waits = self._ticks % WAITS_EVERY == 0 and is_deadlocked(state)
        if gap_ms or waits or is_due(state, now_ms):
            tick = c.Tick(now_ms=now_ms, entropy=self._host.entropy(), gap_ms=gap_ms, waits=waits)
            self._control.offer(tick, bounded=False)
        if self._ticks % self._judge_every == 0:
            self._probing.judge()
        if self._ticks % EXPIRE_EVERY == 0:
            self._expire()
            self._stalls.look()
            if self._teams is not None:
                self._teams.look()
        if self._ticks % AUDIT_EVERY == 0 and len(state.tasks) <= AUDITED_TASKS_MAX:
            faults = audit(state)
            if faults:
                self._on_fault(faults)

    def _expire(self) -> None:
        for task, attempt in self._liveness.expired(self._control.state):
            expire = c.ExpireLease(
                now_ms=self._host.now_ms(),
                task=task,
                attempt=attempt,
                evidence=f"its worker has not vouched for it for {self._liveness.lease_ms} ms",
                entropy=self._host.entropy(),
            )
            self._control.offer(expire, bounded=False)
