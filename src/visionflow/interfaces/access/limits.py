"""Limits per client: how many calls over a minute and at one time, and failures to log in.

A bucket of tokens per name: it fills at the allowed rate up to a minute's worth, and each call
takes one. All of it is arithmetic on a clock that is given; nothing waits here.
"""

import math
from collections.abc import Callable

from visionflow.domain.errors import RateLimited

WINDOW_S = 60.0
NAMES_MAX = 10_000
"""Names remembered; beyond it those that have all they may have are forgotten, then the oldest."""
BUSY_RETRY_MS = 1_000
"""When to ask again where only the end of another call makes room: nobody knows how long."""


class Rate:
    """So many events over a time, for each of many names."""

    def __init__(self, count: float, window_s: float, now: Callable[[], float]) -> None:
        """`count` at once when nothing happened for `window_s`; on the average never more."""
        self._most = max(1.0, count)
        self._per_second = count / window_s
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}
        """What was left, and when."""

    def take(self, name: str) -> int | None:
        """Take one: `None`, or after how many milliseconds there is one again."""
        left, now = self._level(name)
        if left < 1.0:
            self._set(name, left, now)
            return self._wait_ms(left)
        self._set(name, left - 1.0, now)
        return None

    def _wait_ms(self, left: float) -> int:
        return max(1, math.ceil((1.0 - left) / self._per_second * 1_000))

    def _level(self, name: str) -> tuple[float, float]:
        now = self._now()
        found = self._left.get(name)
        if found is None:
            return self._most, now
        left, at = found
        return min(self._most, left + max(0.0, now - at) * self._per_second), now

    def _set(self, name: str, left: float, now: float) -> None:
        self._left.pop(name, None)
        self._left[name] = (left, now)
        if len(self._left) > NAMES_MAX:
            self._forget()

    def _forget(self) -> None:
        full = [name for name in self._left if self._level(name)[0] >= self._most]
        for name in full or list(self._left)[: NAMES_MAX // 10]:
            del self._left[name]


class Limits:
    """Both limits of clients that have any."""

    def __init__(self, per_second: float, at_once: int, now: Callable[[], float]) -> None:
        self._rate = Rate(per_second * WINDOW_S, WINDOW_S, now)
        self._per_second = per_second
        self._at_once = at_once
        self._running: dict[str, int] = {}

    def enter(self, name: str) -> None:
        """A call of this client begins; `leave` when it is over, unless this raises.

        Raises:
            RateLimited: it has too many under way, or made too many.
        """
        running = self._running.get(name, 0)
        if running >= self._at_once:
            raise RateLimited(
                f"{name} has {running} calls under way, and may have {self._at_once} at once.",
                hint="Wait for one of them to be answered, then ask again.",
                retry_after_ms=BUSY_RETRY_MS,
            )
        wait_ms = self._rate.take(name)
        if wait_ms is not None:
            raise RateLimited(
                f"{name} made more calls than the {self._per_second:g} a second that it may make "
                "over a minute.",
                hint=f"Ask again after {wait_ms} ms.",
                retry_after_ms=wait_ms,
            )
        self._running[name] = running + 1

    def leave(self, name: str) -> None:
        """A call that had entered is over."""
        left = self._running.get(name, 0) - 1
        if left > 0:
            self._running[name] = left
        else:
            self._running.pop(name, None)

    def running(self, name: str) -> int:
        """Calls of this client that are under way."""
        return self._running.get(name, 0)
