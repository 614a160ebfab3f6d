"""Who is silent: a process that is there and not heard, never one that has ended."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visionflow.engine.state import SwarmState
from visionflow.runtime.liveness import BEATS_MISSED_MAX, Liveness
from visionflow.runtime.ticker import JUDGE_EVERY, TICK_MS, Ticker

HEARTBEAT_MS = 2 * TICK_MS


class World:
    """A clock that goes on by ticks, one worker that said hello, and what was said of it."""

    def __init__(self, child: Any) -> None:
        self.now_ms = 0
        self.due: list[Callable[[], None]] = []
        self.given_up: list[str] = []
        self.lines: list[str] = []
        self.liveness = Liveness(HEARTBEAT_MS, 0)
        self.liveness.expect("w1", 1)
        host = SimpleNamespace(
            now_ms=lambda: self.now_ms,
            monotonic_ms=lambda: self.now_ms,
            entropy=lambda: 0,
            call_later=lambda _, call: self.due.append(call) or SimpleNamespace(cancel=None),
        )
        children = SimpleNamespace(
            child=lambda worker: child,
            give_up=lambda worker, *_: self.given_up.append(worker),
        )
        telemetry = SimpleNamespace(log=lambda level, agent, code, text: self.lines.append(code))
        control = SimpleNamespace(state=SwarmState(), offer=lambda *_, **__: None)
        made: tuple[Any, ...] = (control, host, self.liveness, children, telemetry)
        self.ticker = Ticker(*cast("tuple[Any, Any, Any, Any, Any]", made), pytest.fail)

    def pass_by(self, ms: int) -> None:
        self.ticker.start()
        while self.now_ms < ms:
            self.now_ms += TICK_MS
            self.due.pop()()


LONG_MS = BEATS_MISSED_MAX * HEARTBEAT_MS + 2 * JUDGE_EVERY * TICK_MS


def test_a_worker_that_is_there_and_not_heard_is_given_up_and_told_of_once() -> None:
    world = World(SimpleNamespace(incarnation=1))
    world.pass_by(2 * LONG_MS)
    assert (world.given_up, world.lines) == (["w1"], ["worker_silent"])


@pytest.mark.parametrize("child", [None, SimpleNamespace(incarnation=2)])
def test_one_whose_process_has_ended_is_not_silent(child: Any) -> None:
    world = World(child)
    world.pass_by(2 * LONG_MS)
    assert (world.given_up, world.lines) == ([], [])
    assert world.liveness.silent() == []
