"""Floods: how much of what a worker sends is taken, so that one cannot drown the others.

Signals (progress, lines, heartbeats) are taken at a bounded rate and dropped beyond it. What must
arrive is bounded by what a worker was given to do, so one that has far more under way than that
says things that nobody asked for. Both end in giving the worker up where it goes on.
"""

from enum import Enum, auto

SIGNALS_PER_S = 2_000
"""Taken of one worker in the long run; a signal of many bytes counts as several."""
SIGNALS_AT_ONCE = 10_000
"""Taken at once of one that was quiet before."""
BYTES_PER_SIGNAL = 4_096
DROPPED_MAX = 100_000
"""After so many dropped signals within `WINDOW_MS` a worker is given up."""
WINDOW_MS = 10_000
FRAMES_MAX = 10_000
"""Frames that must arrive and are not in the log yet, whatever a worker was given."""
FRAMES_PER_ATTEMPT = 4


class Verdict(Enum):
    """What to do with a frame."""

    TAKE = auto()
    DROP = auto()
    """And go on."""
    NAME = auto()
    """Drop it, and say that this worker floods."""
    GIVE_UP = auto()
    """Drop it, and end the worker."""


class Meter:
    """Of one process of a worker. Times are monotonic milliseconds."""

    def __init__(self, now_ms: int) -> None:
        self.dropped = 0
        """Signals within the present window."""
        self.under_way = 0
        """Frames that must arrive and are not in the log yet."""
        self._credit = float(SIGNALS_AT_ONCE)
        self._at_ms = now_ms
        self._window_ms = now_ms
        self._named = False

    def signal(self, size: int, now_ms: int) -> Verdict:
        """A frame of signals of so many bytes came."""
        earned = (now_ms - self._at_ms) * SIGNALS_PER_S / 1_000
        self._credit = min(self._credit + earned, SIGNALS_AT_ONCE)
        self._at_ms = now_ms
        if now_ms - self._window_ms > WINDOW_MS:
            self._window_ms, self.dropped, self._named = now_ms, 0, False
        cost = 1 + size // BYTES_PER_SIGNAL
        if self._credit >= cost:
            self._credit -= cost
            return Verdict.TAKE
        self.dropped += cost
        if self.dropped > DROPPED_MAX:
            return Verdict.GIVE_UP
        if self._named:
            return Verdict.DROP
        self._named = True
        return Verdict.NAME

    def frame(self) -> None:
        """One that must arrive came."""
        self.under_way += 1

    def settled(self) -> None:
        """The log holds one of them."""
        self.under_way -= 1

    def is_flooded(self, attempts: int) -> bool:
        """Whether more is under way than one that holds so many attempts can have to say."""
        return self.under_way > FRAMES_MAX + FRAMES_PER_ATTEMPT * attempts
