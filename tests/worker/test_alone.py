"""A worker whose loop may be stuck is ended by its heartbeat when nobody was there for too long."""

from collections.abc import Callable

import pytest

from visionflow.domain.errors import BusClosed
from visionflow.worker import parent
from visionflow.worker.parent import Alone


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


class Line:
    """A publisher whose other end may be gone."""

    up = True

    def publish(self, subject: str, payload: bytes) -> None:
        if not self.up:
            raise BusClosed("gone")

    def close(self) -> None: ...

    def dial(self) -> "Line":
        if not self.up:
            raise BusClosed("nobody")
        return self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(parent, "time", clock)
    return clock


def beat(dial: Callable[[], object]) -> None:
    """As the heartbeat does it: dial if need be, and publish."""
    try:
        dial().publish("orch.s.hb", b"")  # type: ignore[attr-defined]
    except BusClosed:
        return


def test_it_is_ended_when_nobody_has_heard_it_for_longer_than_it_may_be_alone(clock: Clock) -> None:
    line, ends = Line(), list[float]()
    dial = Alone(line.dial, 30.0, lambda: ends.append(clock.now_s))
    for _ in range(5):
        clock.now_s += 20
        beat(dial)
    line.up = False
    for _ in range(3):
        clock.now_s += 10
        beat(dial)
    assert ends == []
    clock.now_s += 1
    beat(dial)
    assert ends == [231.0]


def test_somebody_who_comes_back_in_time_is_all_it_waits_for(clock: Clock) -> None:
    line, ends = Line(), list[float]()
    dial = Alone(line.dial, 30.0, lambda: ends.append(clock.now_s))
    for up in (False, True, False, True):
        line.up = up
        clock.now_s += 29
        beat(dial)
    assert ends == []
