"""Who waits for a seat in which nobody sits, or nobody able, is told of the seat."""

import pytest

from tests.engine.test_teams import Hierarchy
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.tools.able import nobody_takes

pytestmark = pytest.mark.acceptance("hierarchy")


def told(world: Hierarchy, *words: str, kind: str | None = None) -> str:
    task = world.submit(capabilities=words, agent_type=kind)
    assert world.status(task) is TaskStatus.QUEUED
    return nobody_takes(world.state, world.state.tasks[task]) or ""


def test_a_team_that_there_is_none_of_is_told_as_that() -> None:
    world = Hierarchy()
    why = told(world, "python", "team:code")
    assert why.startswith("It is for team code, and there is no team of that name.")
    assert "config.hierarchy" in why
    world.form("tests", "testing")
    assert "; teams: tests." in told(world, "lead:code")


def test_a_team_in_which_nobody_can_do_it_is_named_and_how_somebody_gets_a_seat_there() -> None:
    world = Hierarchy()
    world.form("code", "python")
    world.team(1, "rust")
    why = told(world, "rust", "team:code")
    assert why.startswith("No one agent in team code has all of rust; agent_spawn adds one.")
    assert why.endswith('{"rank": "worker", "team": "code"}.')
    assert "type tester" in told(world, "python", "team:code", kind="tester")


def test_a_team_of_which_nobody_is_left_is_told_as_that() -> None:
    world = Hierarchy()
    (lead,) = world.form("code", "python", workers=0)
    world.end(lead)
    world.settle()
    assert told(world, "python", "team:code").startswith("Nobody is left in team code; agent_spawn")
    assert told(world, "lead:code").startswith("Nobody leads team code; agent_spawn adds one.")


def test_a_lead_or_a_manager_that_lacks_what_is_asked_for_is_named() -> None:
    world = Hierarchy()
    lead, *_ = world.form("code", "python")
    assert told(world, "rust", "lead:code").startswith(f"The lead of team code, {lead}, lacks one")
    assert told(world, "rust", "rank:manager") == (
        f"It is for the manager, {world.manager}, which lacks one of rust."
    )


def test_a_seat_of_which_nobody_knows_is_told_as_that() -> None:
    world = Hierarchy()
    assert (
        told(world, "rust", "rank:king") == "It is for seat rank:king, and there is no such seat."
    )


def test_where_there_is_no_manager_that_is_told() -> None:
    world = Hierarchy()
    assert told(world, "rank:manager").startswith("It waits for the manager, and this swarm has no")
    (lead,) = world.form("code", "python", workers=0)
    for agent in (lead, world.manager):
        world.end(agent)
    world.settle()
    why = told(world, "python")
    assert why.startswith("It waits for the manager, and this swarm has none; agent_spawn adds one")
