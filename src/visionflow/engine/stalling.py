"""Whether an attempt makes progress: what it tells and when goes in, an opinion comes out.

An attempt is stuck when it has told nothing new, and finished no step, for twice as long as such
tasks take, or when it tells the same over and over: a coding agent that makes one and the same
call again and again is busy and gets nowhere. Pure; times are milliseconds of one clock.
"""

from collections import deque

STUCK_MS_MIN = 10_000
"""However quick such tasks are, one slow run is no hung one."""
ESTIMATE_FACTOR = 2
SAME_MAX = 20
"""So many notes in a row of which not more than `DIFFERENT_MAX` differ are no progress."""
DIFFERENT_MAX = 2
"""A loop of two calls is a loop."""
NOTE_CHARS_MAX = 120


def patience_ms(mean_us: int | None, otherwise_ms: int) -> int:
    """How long an attempt may go without progress: twice what such tasks took on average, where
    that is known, else `otherwise_ms`."""
    if mean_us is None:
        return otherwise_ms
    return max(STUCK_MS_MIN, ESTIMATE_FACTOR * mean_us // 1_000)


class Course:
    """What one attempt has told of its progress."""

    def __init__(self, attempt: int, now_ms: int) -> None:
        self.attempt = attempt
        self.moved_ms = now_ms
        """When it last began, finished a step, or told something new."""
        self._told: deque[tuple[float | None, str]] = deque(maxlen=SAME_MAX)

    def move(self, now_ms: int) -> None:
        """It finished a step, or waits for something that is not its own."""
        self.moved_ms = now_ms
        self._told.clear()

    def tell(self, fraction: float | None, note: str, now_ms: int) -> bool:
        """It told this; whether that is news."""
        told = (fraction, note[:NOTE_CHARS_MAX])
        news = told not in self._told
        self._told.append(told)
        if news:
            self.moved_ms = now_ms
        return news

    def skip(self, gap_ms: int) -> None:
        """Everybody stood still for so long."""
        self.moved_ms += gap_ms

    def _goes_round(self) -> bool:
        told = self._told
        if len(told) < SAME_MAX or len(set(told)) > DIFFERENT_MAX:
            return False
        return told.count(told[-1]) > 1  # What it told last may be the way out.

    def stuck(self, patience: int, now_ms: int) -> str | None:
        """Why it seems to make no progress, if it does not. `patience` is in ms."""
        still_ms = now_ms - self.moved_ms
        if self._goes_round():
            return f'it told the same {SAME_MAX} times: "{self._told[-1][1]}"'
        if still_ms <= patience:
            return None
        last = f', after "{self._told[-1][1]}"' if self._told else ""
        return f"no step and nothing new for {still_ms} ms, which is more than {patience} ms{last}"
