"""The checkers of restarts and of what is withheld find what is planted in a log."""

from typing import Any

import msgspec
import pytest

from visionflow.testing.holding import HoldCheck
from visionflow.testing.restarts import RestartCheck

Fact = dict[str, Any]
SPAWNED: Fact = {"t": "agent_spawned", "spec": {"id": "a"}, "worker": "w1"}
STARTED: Fact = {"t": "worker_started", "worker": "w1", "incarnation": 1}
ASSIGNED: Fact = {"t": "task_assigned", "task": "t", "agent": "a", "attempt": 1}


def lost(again_ms: int | None, kind: str = "crash", **more: Any) -> Fact:
    return {"t": "worker_lost", "worker": "w1", "kind": kind, "restart_at_ms": again_ms, **more}


def restarts(*records: tuple[int, Fact], set_back: bool = False) -> list[str]:
    """What is wrong with these events at these times."""
    check = RestartCheck()
    found: list[str] = []
    for at_ms, event in records:
        found.extend(check.record(msgspec.msgpack.encode((at_ms, [event])), at_ms, set_back))
    return found


def withheld(*events: Fact) -> list[str]:
    check = HoldCheck()
    return list(check.record(msgspec.msgpack.encode((0, [SPAWNED, *events]))))


def deaths(count: int, every_ms: int, kind: str = "crash", **more: Any) -> list[tuple[int, Fact]]:
    found: list[tuple[int, Fact]] = []
    for number in range(count):
        found.append((number * every_ms, lost(number * every_ms, kind, **more)))
        found.append((number * every_ms, STARTED))
    return found


def test_a_worker_that_starts_before_its_time_is_found_unless_clocks_were_set_back() -> None:
    early = ((0, lost(1_000)), (400, STARTED))
    assert restarts(*early) == ["w1 is started 600 ms before its time"]
    assert restarts(*early, set_back=True) == []
    assert restarts((0, lost(1_000)), (1_000, STARTED)) == []


def test_a_worker_that_was_given_up_and_starts_is_found() -> None:
    assert restarts((0, lost(None)), (9_000, STARTED)) == ["w1 is started although it was given up"]


def test_an_agent_that_is_wanted_again_has_its_worker_begin_anew() -> None:
    again = {"t": "agent_recovering", "agent": "a"}
    assert restarts((0, SPAWNED), (0, lost(None)), (5, again), (9, STARTED)) == []


def test_a_worker_whose_agents_are_gone_is_forgotten() -> None:
    gone = {"t": "agent_terminated", "agent": "a"}
    assert restarts((0, SPAWNED), (0, lost(5_000)), (5, gone), (8, SPAWNED), (9, STARTED)) == []


def test_more_restarts_than_the_intensity_allows_are_found() -> None:
    assert restarts(*deaths(3, 1_000)) == []
    (found,) = restarts(*deaths(4, 1_000))
    assert "after 4 deaths by itself" in found


@pytest.mark.parametrize(
    ("kind", "more"), [("killed", {}), ("network_failure", {}), ("crash", {"busy": True})]
)
def test_deaths_that_are_not_its_own_do_not_count(kind: str, more: Fact) -> None:
    assert restarts(*deaths(9, 1_000, kind, **more)) == []


def test_deaths_of_long_ago_do_not_count() -> None:
    assert restarts(*deaths(9, 21_000)) == []


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"t": "worker_recycling", "worker": "w1"}, "to be replaced"),
        ({"t": "worker_restarting", "worker": "w1"}, "told to end"),
        ({"t": "recovered", "kept": ["w1"]}, "awaited"),
    ],
)
def test_what_is_given_to_an_agent_whose_worker_is_held_is_found(event: Fact, why: str) -> None:
    assert withheld(event, ASSIGNED) == [f"t is given to a, whose worker w1 is {why}"]
    freed = {"t": "worker_adopted", "worker": "w1"}
    assert withheld(event, freed, ASSIGNED) == []


def test_what_is_given_to_an_agent_whose_circuit_is_open_is_found() -> None:
    opened = {"t": "circuit_opened", "circuit": "agent:a"}
    half = {"t": "circuit_half_opened", "circuit": "agent:a"}
    closed = {"t": "circuit_closed", "circuit": "agent:a"}
    assert withheld(opened, ASSIGNED) == ["t is given to a, whose circuit is open"]
    assert withheld(opened, closed, ASSIGNED) == []
    assert withheld(opened, half, ASSIGNED) == []
    (found,) = withheld(opened, half, ASSIGNED, {**ASSIGNED, "task": "u"})
    assert "half open and which has another" in found
    assert withheld({"t": "circuit_opened", "circuit": "tool:ruff"}, ASSIGNED) == []
