"""A worker that beats but takes up nothing: its loop is blocked, so it gets nothing new."""

from types import SimpleNamespace
from typing import Any

import pytest

from visionflow.domain.messages import Heartbeat
from visionflow.engine.liveness import Probe, Standing
from visionflow.runtime.liveness import Liveness

pytestmark = pytest.mark.acceptance("detect")
BEAT_MS = 1_000
RUNS = Probe("process", True, "process 1 is running")


def holding(**open_attempts: int) -> Any:
    """As much of a swarm's state as liveness looks at: an agent on w1 that holds these."""
    return SimpleNamespace(
        workers={"w1": SimpleNamespace(incarnation=1, agents=["a"])},
        agents={"a": SimpleNamespace(open=open_attempts)},
    )


def seconds(liveness: Liveness, since_ms: int, count: int, state: Any, *vouched: str) -> int:
    """So many heartbeats in which these first attempts are vouched for; the time after them."""
    now_ms = since_ms
    for _ in range(count):
        for _ in range(10):
            now_ms += 100
            liveness.advance(now_ms)
            if liveness.wants_ping("w1"):
                liveness.asked("w1")
        liveness.heard(Heartbeat("w1", 1, tuple((task, 1) for task in vouched)))
        liveness.expired(state)
    return now_ms


def standing(liveness: Liveness) -> Standing:
    opinion = liveness.judge("w1", RUNS)
    assert opinion is not None
    return opinion.standing


def test_one_that_does_not_take_up_what_it_was_given_is_suspected_before_that_is_lost() -> None:
    liveness = Liveness(BEAT_MS, 0)
    liveness.expect("w1", 1)
    at_ms = seconds(liveness, 0, 2, holding(t1=1), "t1")
    assert standing(liveness) is Standing.TRUSTED and not liveness.is_doubtful("w1")
    stuck = holding(t1=1, t2=1)
    at_ms = seconds(liveness, at_ms, 4, stuck, "t1")
    assert liveness.expired(stuck) == []
    assert standing(liveness) is Standing.SUSPECTED
    at_ms = seconds(liveness, at_ms, 2, stuck, "t1")
    assert liveness.expired(stuck) == [("t2", 1)]
    # What was lost is another's now; the one that is stuck still gets nothing.
    at_ms = seconds(liveness, at_ms, 3, holding(t1=1), "t1")
    assert standing(liveness) is Standing.SUSPECTED
    liveness.answered("w1", 1)
    seconds(liveness, at_ms, 1, holding(t1=1), "t1")
    assert standing(liveness) is Standing.TRUSTED
