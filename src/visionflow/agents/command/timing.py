"""How long a go may take, and how long to wait before the next one."""

import time
from pathlib import Path

from visionflow.agents.command.confining import Wish
from visionflow.agents.command.journal import Whose
from visionflow.agents.task import Task

ENDS_AT = "ends_at_ms"
"""A file in the run's folder of coding agents: when the run has to be over, as it is now."""
_MARGIN_MS = 15_000
"""Of an attempt, kept for what is done after a go."""
_WALL_MS_MIN = 1_000
_BACKOFF_MS = (30_000, 900_000)


def clock() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)


def backoff_ms(tries: int) -> int:
    """How long to wait after so many refusals in a row without a word of how long."""
    return min(_BACKOFF_MS[0] << min(max(tries - 1, 0), 10), _BACKOFF_MS[1])


class Times:
    """The times that hold for a task's goes."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def ends_at_ms(self, wish: Wish) -> int | None:
        """When the run has to be over; `None` where it does not."""
        folder = wish.job.folder
        if folder is not None:
            try:
                return int(Path(folder, ENDS_AT).read_text(encoding="ascii"))
            except (OSError, ValueError):
                pass
        return wish.job.bounds.ends_at_ms

    def usual_ms(self, wish: Wish) -> int:
        """What one go may take where nothing cuts it."""
        own, pool = wish.settings.timeout, wish.job.pool
        usual = int(own * 1000) if own is not None else wish.job.bounds.wall_ms
        return usual if pool is None or pool.wall_ms is None else min(usual, pool.wall_ms)

    def wall_ms(self, wish: Wish) -> tuple[int, Whose]:
        """What a go that starts now may take, and whose limit that is."""
        limits: list[tuple[int, Whose]] = [(self.usual_ms(wish), "go")]
        ends_at = self.ends_at_ms(wish)
        if ends_at is not None:
            limits.append((ends_at - clock(), "run"))
        pool = wish.job.pool
        if pool is not None and pool.ends_at_ms is not None:
            limits.append((pool.ends_at_ms - clock(), "swarm"))
        left = self._task.remaining_time
        if left is not None:
            limits.append((int(left * 1000) - _MARGIN_MS, "attempt"))
        most, whose = min(limits, key=lambda each: each[0])
        return max(most, _WALL_MS_MIN), whose

    def is_short(self, wish: Wish) -> bool:
        """Whether a go that starts now would have less than its time."""
        left = self._task.remaining_time
        return left is not None and left * 1000 < self.usual_ms(wish) + _MARGIN_MS / 2
