"""Log lines of outside effects: every event has one, of one line, that names the effect."""

from typing import get_args

import pytest

from visionflow.domain import events as e
from visionflow.domain import outside_events as o
from visionflow.domain.event import Event
from visionflow.domain.outside import EffectClass, Resolution
from visionflow.domain.tasks import FailureKind
from visionflow.runtime import chronicle
from visionflow.runtime.chronicle_words import ROWS, Known, Told

pytestmark = pytest.mark.acceptance("effects", "logs")
WHO = {"key": "order-17", "task": "task_1", "attempt": 2}
EVENTS: tuple[Event, ...] = (
    o.EffectReserved(**WHO, name="buy", kind=EffectClass.IDEMPOTENT, request="buy\na cup"),
    o.EffectSettled(**WHO),
    o.EffectFailed(**WHO, reason="no such\nshop, says hunter2"),
    o.EffectDoubted(**WHO, why="it broke\noff, says hunter2"),
    o.EffectResolved(key="order-17", resolution=Resolution.DONE, by="ann", note="I\nlooked"),
)


def said(event: Event) -> Told:
    known = Known(
        swarm="swarm_1",
        specs=lambda _: None,
        cover=lambda _, text: text.replace("hunter2", "***"),
        holders={"task_1": "agent_1"},
    )
    return ROWS[type(event)].words(event, known)


def test_every_event_of_the_ledger_is_told_in_one_line_and_names_its_effect() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(o.OutsideEvent))
    assert chronicle.ROWS is ROWS
    for event in EVENTS:
        told = said(event)
        assert "order-17" in told.message and "\n" not in told.message
        assert "hunter2" not in told.message
        assert told.code.startswith("effect_")


def test_a_doubt_is_an_error_that_says_where_to_look_and_a_resolution_who_said_it() -> None:
    assert ROWS[o.EffectDoubted].level == "error"
    assert said(EVENTS[3]).message.endswith("see visionflow effects")
    assert said(EVENTS[4]).message == "order-17 was done, says ann: I looked"


def test_an_attempt_that_ends_in_doubt_is_not_said_to_be_tried_again() -> None:
    ended = e.AttemptFailed(
        task="task_1", attempt=1, kind=FailureKind.IN_DOUBT, reason="in doubt", retry_at_ms=5
    )
    assert "tried again" not in said(ended).message
