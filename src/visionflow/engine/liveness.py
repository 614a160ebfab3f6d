"""The detector of workers that are in trouble: times go in, opinions come out.

A worker is *lost* when two of its heartbeats are missing and a majority of three probes is not
answered: a fresh heartbeat, a ping over its connection, a process that exists and is not stopped.
Before that it is *suspected* at most, earlier where the rhythm in which it was heard so far says
that it is late (phi accrual: how unlikely such a silence is). A rhythm never makes anybody lost.

Times are milliseconds of one clock that does not go back. Time in which we ourselves stood still
is taken out by `skip`: nobody is blamed for it.
"""

from collections import deque
from enum import StrEnum
from math import erfc, log10, sqrt

import msgspec

BEATS_MISSED_MAX = 2
LATE_BP = 1_000
"""A heartbeat is missing when it is late by this share of the interval."""
SUSPECTED_BP = 15_000
"""After a silence of so much of the interval a worker is suspected, unless a ping is answered."""
PATIENCE_BP = 4_000
"""A ping that was not answered within this share of the interval is unanswered."""
PATIENCE_MS_MIN = 500
"""And never sooner: a busy machine takes that long now and then, however often workers beat."""
AGAIN_BP = 5_000
"""In doubt, the next ping follows after this share."""
RHYTHM_MAX = 32
"""Intervals that are remembered of each worker."""
RHYTHM_MIN = 8
"""With fewer than these nothing was learned yet."""
DEVIATION_MIN_BP = 500
"""A rhythm is never taken to be steadier than this share of its mean."""
PHI_MAX = 8.0
"""A silence that comes once in 10^8 intervals is suspicious."""
CUT_OFF = "its connection is gone"
"""What the evidence against a worker that cannot be spoken to begins with."""


class Standing(StrEnum):
    """What is thought of a worker."""

    TRUSTED = "trusted"
    SUSPECTED = "suspected"
    LOST = "lost"


class Probe(msgspec.Struct, frozen=True, gc=False):
    """One way to find out whether a worker lives, and what came of it."""

    name: str
    answered: bool | None
    """`None`: it was asked, and there is still time."""
    told: str


class Opinion(msgspec.Struct, frozen=True, gc=False):
    """What is thought of a worker, and why."""

    standing: Standing
    evidence: str
    probes: tuple[Probe, ...]
    reachable: bool
    """Whether its connection stands."""

    @property
    def answers(self) -> tuple[tuple[str, bool], ...]:
        """Each probe by name, and whether it was answered, as the log keeps it."""
        return tuple((probe.name, probe.answered is True) for probe in self.probes)


class Rhythm:
    """The intervals in which somebody was heard."""

    def __init__(self) -> None:
        self.intervals: deque[int] = deque(maxlen=RHYTHM_MAX)

    def phi(self, silence_ms: int) -> float | None:
        """How suspicious a silence is: its probability is 10 to the minus phi. `None`: too little
        is known."""
        count = len(self.intervals)
        if count < RHYTHM_MIN:
            return None
        mean = sum(self.intervals) / count
        variance = sum((each - mean) ** 2 for each in self.intervals) / count
        deviation = max(sqrt(variance), mean * DEVIATION_MIN_BP / 10_000, 1.0)
        return -log10(max(erfc((silence_ms - mean) / deviation / sqrt(2)) / 2, 1e-300))

    def mean_ms(self) -> int | None:
        """Of the intervals; `None` without any."""
        return sum(self.intervals) // len(self.intervals) if self.intervals else None


class Watched:
    """One process of a worker, and when it was heard."""

    def __init__(self, incarnation: int, now_ms: int) -> None:
        self.incarnation = incarnation
        self.heard_ms = now_ms
        self.beats = 0
        self.connected = True
        self.rhythm = Rhythm()
        self.asked_ms: int | None = None
        """When the oldest ping that is not answered was sent."""
        self.last_asked_ms: int | None = None
        self.answered_ms: int | None = None
        self.unheeded = False
        """It has not taken up what it was given, and answered no ping since."""
        self._steady = False
        """The time since it was heard last says something about its rhythm."""

    def beat(self, now_ms: int, early: bool = False) -> None:
        """A heartbeat came. One that was sent before its time says nothing of the rhythm."""
        if self._steady and not early:
            self.rhythm.intervals.append(now_ms - self.heard_ms)
        self.beats += 1
        self.heard_ms = now_ms
        self._steady = not early

    def join(self, now_ms: int) -> None:
        """Its connection stands (again)."""
        self.connected = True
        self.heard_ms = now_ms
        self.asked_ms = self.last_asked_ms = None
        self.unheeded = self._steady = False

    def leave(self) -> None:
        """Its connection is gone: what was asked over it will not be answered."""
        self.connected = False
        self.asked_ms = self.answered_ms = None

    def ask(self, now_ms: int) -> None:
        """A ping was sent."""
        self.last_asked_ms = now_ms
        if self.asked_ms is None:
            self.asked_ms = now_ms

    def answer(self, now_ms: int) -> None:
        """The last ping was answered."""
        self.answered_ms = now_ms
        self.asked_ms = None
        self.unheeded = False

    def skip(self, gap_ms: int) -> None:
        """We stood still for so long."""
        self.heard_ms += gap_ms
        self._steady = False
        if self.asked_ms is not None:
            self.asked_ms += gap_ms
        if self.last_asked_ms is not None:
            self.last_asked_ms += gap_ms
        if self.answered_ms is not None:
            self.answered_ms += gap_ms


class Detector:
    """Judges workers that are to be heard once in `heartbeat_ms`."""

    def __init__(self, heartbeat_ms: int) -> None:
        self.heartbeat_ms = heartbeat_ms
        self.lost_ms = self._share(BEATS_MISSED_MAX * 10_000 + LATE_BP)
        """A silence longer than this has missed too many heartbeats."""

    def _share(self, share_bp: int) -> int:
        return self.heartbeat_ms * share_bp // 10_000

    def is_doubtful(self, watched: Watched, now_ms: int) -> bool:
        """Whether it is late, or does not do what it was given, so that it should be asked and
        looked at."""
        silence_ms = now_ms - watched.heard_ms
        late = silence_ms > self._share(10_000 + LATE_BP)
        return late or watched.unheeded or not watched.connected

    def wants_ping(self, watched: Watched, now_ms: int) -> bool:
        """Whether a ping should be sent now."""
        if not watched.connected or not self.is_doubtful(watched, now_ms):
            return False
        last = watched.last_asked_ms
        return last is None or now_ms - last >= self._share(AGAIN_BP)

    def judge(self, watched: Watched, process: Probe, now_ms: int) -> Opinion:
        """What is to be thought of it now. `process` is the probe of its process, just made."""
        silence_ms = now_ms - watched.heard_ms
        heartbeat = self._heartbeat(silence_ms)
        ping = self._ping(watched, now_ms)
        probes = (heartbeat, ping, process)
        unanswered = [probe for probe in probes if probe.answered is False]
        if heartbeat.answered is False and 2 * len(unanswered) > len(probes):
            standing, doubt = Standing.LOST, f"{len(unanswered)} of {len(probes)} probes failed"
        else:
            doubt = self._doubt(watched, silence_ms, probes)
            standing = Standing.TRUSTED if doubt is None else Standing.SUSPECTED
        told = "; ".join(probe.told for probe in probes)
        evidence = told if doubt is None else f"{doubt}: {told}"
        return Opinion(standing, evidence, probes, watched.connected)

    def _heartbeat(self, silence_ms: int) -> Probe:
        told = f"last heartbeat {silence_ms} ms ago, one is due every {self.heartbeat_ms} ms"
        return Probe("heartbeat", silence_ms <= self.lost_ms, told)

    def _ping(self, watched: Watched, now_ms: int) -> Probe:
        if not watched.connected:
            return Probe("ping", False, "no ping is possible, its connection is gone")
        if watched.asked_ms is not None:
            waited_ms = now_ms - watched.asked_ms
            if waited_ms >= max(self._share(PATIENCE_BP), PATIENCE_MS_MIN):
                return Probe("ping", False, f"no answer to a ping for {waited_ms} ms")
            return Probe("ping", None, f"a ping was sent {waited_ms} ms ago")
        ago_ms = None if watched.answered_ms is None else now_ms - watched.answered_ms
        if ago_ms is not None and ago_ms <= self.heartbeat_ms:
            return Probe("ping", True, f"a ping was answered {ago_ms} ms ago")
        return Probe("ping", None, "no ping was sent lately")

    def _doubt(self, watched: Watched, silence_ms: int, probes: tuple[Probe, ...]) -> str | None:
        """Why it is suspected, if it is."""
        heartbeat, ping, process = probes
        if not watched.connected:
            return CUT_OFF
        if process.answered is False:
            return "its process does not run"
        if heartbeat.answered is False:
            return "too many heartbeats are missing"
        if watched.unheeded and ping.answered is False:
            # Heartbeats have a thread of their own: they say nothing of its loop.
            return "it has not taken up what it was given and a ping is not answered"
        if ping.answered is True or silence_ms <= self._share(10_000 + LATE_BP):
            return None
        if silence_ms > self._share(SUSPECTED_BP) and ping.answered is False:
            return "a heartbeat is missing and a ping is not answered"
        phi = watched.rhythm.phi(silence_ms)
        if phi is not None and phi >= PHI_MAX:
            mean_ms = watched.rhythm.mean_ms()
            return f"by its own rhythm, {mean_ms} ms on average, it is late (phi {phi:.1f})"
        return None
