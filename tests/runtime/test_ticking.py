"""The ticker: what is due is looked for again and again, until it is stopped."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from visionflow.engine.state import SwarmState
from visionflow.runtime import ticker
from visionflow.runtime.ticker import TICK_MS, Ticker


class Clock:
    """A host on which time passes by hand."""

    def __init__(self) -> None:
        self.ms = 1_000
        self.due: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return self.ms

    monotonic_ms = now_ms

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Any:
        assert delay_ms == TICK_MS
        self.due.append(call)
        return SimpleNamespace(cancel=lambda: self.due.clear())

    def passes(self) -> None:
        self.ms += TICK_MS
        due, self.due = self.due, []
        for call in due:
            call()


def ticking(judge: Callable[[], None], on_fault: Callable[[list[str]], None]) -> Any:
    clock = Clock()
    control: Any = SimpleNamespace(state=SwarmState(), offer=lambda *_, **__: None)
    quiet: Any = SimpleNamespace(
        heartbeat_ms=1_000, advance=lambda _: None, expired=lambda _: [], look=lambda: None
    )
    probing: Any = SimpleNamespace(judge=judge)
    host: Any = clock
    made = Ticker(control, host, quiet, probing, quiet, on_fault)
    made.start()
    return clock, made


def test_a_look_that_fails_is_not_the_last_one() -> None:
    looks: list[bool] = []

    def judge() -> None:
        looks.append(True)
        if len(looks) == 1:
            raise OSError(24, "Too many open files")

    clock, made = ticking(judge, lambda _: None)
    with pytest.raises(OSError, match="Too many"):
        for _ in range(100):
            clock.passes()
    for _ in range(100):
        clock.passes()
    assert len(looks) > 10
    made.stop()
    assert not clock.due


def test_nothing_is_looked_for_any_more_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def fault(faults: list[str]) -> None:
        found.extend(faults)
        made.stop()

    monkeypatch.setattr(ticker, "audit", lambda _: ["an agent is in two places"])
    clock, made = ticking(lambda: None, fault)
    for _ in range(1_000):
        clock.passes()
    assert found == ["an agent is in two places"]
    assert not clock.due
