"""Log lines of supervision: every event has one, of one line, under the agent it is about."""

from typing import Any, get_args

import msgspec
import pytest

from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.event import Event
from visionflow.domain.supervision import Cause
from visionflow.domain.tasks import FailureKind
from visionflow.runtime import chronicle
from visionflow.runtime.chronicle_words import ROWS, Known, Told

KINDS: tuple[type[Event], ...] = get_args(s.SupervisionEvent)
LEVELS = ("debug", "info", "warning", "error")


def known() -> Known:
    return Known(
        swarm="swarm_1",
        specs=lambda _: None,
        cover=lambda _, text: text.replace("hunter2", "***"),
        holders={"task_1": "agent_1", "task_2": "agent_2"},
    )


def said(event: Event) -> Told:
    return ROWS[type(event)].words(event, known())


def filled(kind: type[Event]) -> Event:
    """An event of this kind, whose texts are two lines."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        values[field.name] = {
            "agent": "agent_1",
            "task": "task_1",
            "worker": "w1",
            "on": "task_2",
            "broken": "task_2",
            "ring": ("task_1", "task_2"),
            "waits": ("a\nlock", "a result"),
            "cause": Cause.CRASH,
            "circuit": "agent:agent_1",
            "attempts": (("task_1", 1),),
            "until_ms": 1_800_000_000_000,
        }.get(field.name, 3 if field.type in (int, "int") else "two\nlines")
    return kind(**values)


@pytest.mark.acceptance("logs")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_of_supervision_is_told_in_one_line_at_a_level(kind: type[Event]) -> None:
    assert chronicle.ROWS is ROWS
    told = said(filled(kind))
    assert ROWS[kind].level in LEVELS and ROWS[kind].subject in chronicle.LINES_MAX
    assert told.message and "\n" not in told.message
    assert told.code.replace("_", "").isalpha() and told.code.islower()


def test_a_circuit_of_an_agent_is_told_under_the_agent_and_another_under_nobody() -> None:
    opened = s.CircuitOpened(
        circuit="agent:agent_7", until_ms=1_800_000_000_000, failures=5, reason="it timed out"
    )
    told = said(opened)
    assert told.agent == "agent_7" and told.code == "circuit_open"
    assert "after 5 failures, until 2027-01-15T08:00:00Z: it timed out" in told.message
    other = msgspec.structs.replace(opened, circuit="provider:anthropic")
    assert said(other).agent is None


def test_a_recovery_is_told_under_the_agent_that_holds_the_task_with_what_is_done() -> None:
    event = s.RecoveryChosen(
        cause=Cause.TIMEOUT, strategy="default", action="its next attempt has 450 s", task="task_2"
    )
    told = said(event)
    assert told == (
        "agent_2",
        "recovery_chosen",
        "task_2: timeout is met by default: its next attempt has 450 s",
    )


def test_words_of_a_task_that_are_secret_are_covered_in_lines_of_supervision() -> None:
    stalled = s.AttemptStalled(task="task_1", attempt=1, evidence="it calls hunter2 over and over")
    assert "hunter2" not in said(stalled).message
    ring = s.DeadlockFound(ring=("task_1",), waits=("hunter2",), broken="task_1")
    assert "hunter2" not in said(ring).message


def test_a_loss_tells_its_probes_and_a_longer_limit_what_it_is() -> None:
    lost = e.WorkerLost(
        worker="w1", incarnation=2, kind=FailureKind.NETWORK, reason="silent",
        probes=(("beat", False), ("ping", False), ("process", True)),
    )  # fmt: skip
    assert "(probes: beat failed, ping failed, process answered)" in said(lost).message
    failed = e.AttemptFailed(
        task="task_1", attempt=1, kind=FailureKind.TIMEOUT, reason="too long.",
        retry_at_ms=5, timeout_ms=450_000,
    )  # fmt: skip
    assert said(failed).message.endswith("too long; it is tried again, with 450 s")


@pytest.mark.parametrize(
    ("current", "now"), [(1, "that one had been ended here"), (2, "it is at 2")]
)
def test_a_late_result_is_told_with_what_became_of_its_attempt(current: int, now: str) -> None:
    late = e.LateResultRefused(task="task_1", attempt=1, current=current)
    assert said(late).message.endswith(f"a result of attempt 1 came late: {now}")
