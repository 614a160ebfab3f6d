"""The checker of teams finds what was planted in a log, and nothing in one that is as it should."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.test_teams import Hierarchy
from visionflow.testing.checkers import LogCheck
from visionflow.testing.traces import rewritten

Change = Callable[[dict[str, Any]], dict[str, Any] | None]


def log_of() -> list[bytes]:
    """A team that works, loses its lead, and goes on."""
    world = Hierarchy()
    lead = world.form("code", "python")[0]
    world.form("tests", "testing")
    for _ in range(3):
        world.complete(world.submit(capabilities=("python",)))
    world.end(lead)
    world.settle()
    world.complete(world.submit(capabilities=("python",)))
    return world.log


def faults(change: Change) -> list[str]:
    check = LogCheck()
    for body in rewritten(log_of(), change):
        check.record(body)
    return check.faults


def of(kind: str, **fields: Any) -> Change:
    def change(event: dict[str, Any]) -> dict[str, Any]:
        return {**event, **fields} if event["t"] == kind else event

    return change


def without(kind: str) -> Change:
    return lambda event: None if event["t"] == kind else event


def test_a_log_that_is_as_it_should_be_has_no_fault() -> None:
    assert faults(lambda event: event) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("task_delegated"), "the manager gave it to no team"),
        (of("task_delegated", team="tests", fits=[]), "who is not in it"),
        (of("task_delegated", by="agent_2"), "and agent_1 manages"),
        (of("task_delegated", team="none", fits=[]), "which there is not"),
        (of("lead_replaced", after="agent_6"), "is none of its members"),
        (of("lead_replaced", before="agent_6"), "did"),
        (without("agent_terminating"), "is replaced, and is there"),
    ],
)
def test_a_planted_fault_is_found(change: Change, said: str) -> None:
    found = faults(change)
    assert any(said in fault for fault in found), found
