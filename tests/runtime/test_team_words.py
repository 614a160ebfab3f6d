"""Log lines of teams: every event has one, of one line, under the agent it is about."""

from typing import Any, get_args

import msgspec
import pytest

from visionflow.domain import teams_events as t
from visionflow.domain.event import Event
from visionflow.domain.teams import Fit, TeamSpec
from visionflow.runtime import chronicle
from visionflow.runtime.chronicle_words import ROWS, Known, Told

KINDS: tuple[type[Event], ...] = get_args(t.TeamsEvent)


def said(event: Event) -> Told:
    known = Known(
        swarm="swarm_1",
        specs=lambda _: None,
        cover=lambda _, text: text.replace("hunter2", "***"),
        holders={},
    )
    return ROWS[type(event)].words(event, known)


def filled(kind: type[Event]) -> Event:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        values[field.name] = {
            "agent": "agent_1",
            "task": "task_1",
            "after": "agent_2",
            "before": "agent_3",
            "team": TeamSpec("two\nlines", "agent_1") if kind is t.TeamFormed else "two\nlines",
            "fits": (Fit("a", 1, 1, 1, 1, 0),),
        }.get(field.name, 3 if field.type in (int, "int") else "two\nlines")
    return kind(**values)


@pytest.mark.acceptance("logs")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_of_teams_is_told_in_one_line_at_a_level(kind: type[Event]) -> None:
    told = said(filled(kind))
    assert ROWS[kind].subject in chronicle.LINES_MAX
    assert told.message and "\n" not in told.message
    assert told.code.replace("_", "").isalpha() and told.code.islower()


def test_a_lead_that_is_replaced_is_told_with_the_record_of_who_follows() -> None:
    told = said(t.LeadReplaced("tests", "agent_1", "agent_2", "agent_1 is failed", 7, 1))
    assert told.agent == "agent_2"
    assert told.message == (
        "it leads team tests from now on (completed 7, failed 1): agent_1 is failed"
    )


def test_what_no_team_can_do_is_told_as_such() -> None:
    told = said(t.TaskDelegated(task="task_1", by="agent_1", team="", reason="hunter2"))
    assert "goes to no team" in told.message and "hunter2" not in told.message
