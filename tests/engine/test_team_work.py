"""The work of a team: what it was given and what asks for its seats count alike, and who gets
nothing now is given nothing.
"""

from typing import Any

import pytest

from tests.engine.test_teams import Hierarchy, fail_often, learn
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import teams_commands as tc
from visionflow.domain import teams_events as t
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.domain.teams import (
    LEAD,
    MANAGER,
    OVERDUE_MS_MIN,
    TeamSpec,
    lead_word,
    team_word,
)
from visionflow.engine.topology.hierarchy import worker_types

pytestmark = pytest.mark.acceptance("hierarchy")


def test_a_team_all_held_by_open_circuits_gets_nothing_that_another_could_do() -> None:
    world = Hierarchy()
    bad = world.form("bad", "python", "bad", workers=1, capabilities=("python",))
    fail_often(world, 2 * CIRCUIT_FAILURES)
    assert world.held() == bad
    first = world.submit(capabilities=("python",))
    assert world.given(first).team == "bad", "there is no other, and it has what is asked for"
    assert [(fit.able, fit.places) for fit in world.given(first).fits] == [(0, 0)]
    world.form("good", "python", workers=1, capabilities=("other",))
    later = [world.submit(capabilities=("python",)) for _ in range(6)]
    assert {world.given(task).team for task in later} == {"good"}
    assert [fit.team for fit in world.given(later[0]).fits] == ["good"]
    assert world.status(first) is TaskStatus.QUEUED
    world.tick(CIRCUIT_OPEN_MS)
    assert world.holder(first) in bad, "its circuit lets one through to see"
    world.audited()


def test_an_overdue_task_stays_where_the_other_team_is_held_by_open_circuits() -> None:
    world = Hierarchy()
    one = world.form("one", "python", workers=0)[0]
    learn(world, "quick")
    task = world.submit(type="quick", capabilities=("python",))
    world.form("bad", "python", "bad", workers=0)
    world.tick(OVERDUE_MS_MIN - 100)
    fail_often(world, CIRCUIT_FAILURES)
    assert world.held()
    world.tick(1_000)
    escalated = world.last(t.Escalated)
    assert (escalated.task, escalated.action) == (task, "told: no other team can do it")
    assert world.holder(task) == one


@pytest.mark.parametrize("word", [team_word, lead_word])
def test_an_overdue_task_that_asks_for_a_seat_is_told_of_once_and_goes_on(word: Any) -> None:
    world = Hierarchy()
    lead = world.form("one", "python", workers=0)[0]
    world.form("two", "python", workers=1)
    learn(world, "quick")
    task = world.submit(type="quick", capabilities=("python", word("one")))
    assert world.holder(task) == lead and world.state.seating.loads["one"] == 1
    world.tick(OVERDUE_MS_MIN - 1)
    assert not world.of(t.Escalated)
    world.tick(2)
    world.tick(5 * OVERDUE_MS_MIN)
    (escalated,) = world.of(t.Escalated)
    assert (escalated.team, escalated.cause, escalated.task) == ("one", "overdue", task)
    assert escalated.action == "told: it asks for a seat of this team"
    assert world.holder(task) == lead and world.state.tasks[task].attempt == 1
    world.complete(task)
    world.audited()


def test_a_worker_cannot_say_itself_that_its_task_goes_to_another_team() -> None:
    world = Hierarchy()
    world.form("one", "python", workers=0)
    task = world.submit(capabilities=("python",))
    world.fail(task, FailureKind.REASSIGNED)
    failed = world.last(e.AttemptFailed)
    assert failed.kind is FailureKind.KILLED and "gave it back unasked" in failed.reason


def test_a_worker_more_is_of_a_type_that_its_workers_are_and_never_of_its_leads_alone() -> None:
    world = Hierarchy()
    lead, *_ = world.team(1, "python", type="lead")
    workers = [world.team(1, "python", type=kind)[0] for kind in ("tester", "coder", "coder")]
    spec = TeamSpec("code", lead, tuple(workers[:1]))
    world.send(tc.FormTeam(now_ms=world.now_ms, team=spec))
    assert worker_types(world.state, "code") == ["tester"]
    for agent in workers[1:]:
        world.send(tc.JoinTeam(now_ms=world.now_ms, team="code", agent=agent))
    assert worker_types(world.state, "code") == ["coder", "tester"]
    world.form("alone", "python", workers=0)
    assert worker_types(world.state, "alone") == []


def test_a_team_has_what_it_was_given_and_what_asks_for_its_seats_until_that_ends() -> None:
    world = Hierarchy()
    early = world.submit(capabilities=("python", "team:code"))
    world.form("code", "python", workers=1)
    world.form("far", "python", workers=0)
    given = world.submit(capabilities=("python",))
    parts = [world.submit(capabilities=("python", "team:code")) for _ in range(3)]
    led = world.submit(type=LEAD, capabilities=(lead_word("code"),))
    other = world.submit(capabilities=("python", "team:none"))
    managed = world.submit(capabilities=(MANAGER,))
    team = world.given(given).team
    has = {"code": [early, *parts, led], "far": list[str]()}
    has[team].append(given)
    for name, tasks in has.items():
        assert world.state.seating.loads.get(name, 0) == len(tasks)
        found = [task for task in world.state.tasks.values() if world.has(task) == name]
        assert {task.spec.id for task in found} == set(tasks)
    for task in (other, managed):
        assert world.has(world.state.tasks[task]) is None
    world.audited()
    for task in (early, *parts):
        world.send(c.CancelTask(now_ms=world.now_ms, task=task))
        if world.holder(task) is not None:
            world.fail(task, FailureKind.KILLED)
    assert world.state.seating.loads["code"] == len(has["code"]) - 4
    world.send(c.RetryTask(now_ms=world.now_ms, task=parts[-1]))
    assert world.state.seating.loads["code"] == len(has["code"]) - 3
    world.audited()


def test_the_next_goes_to_the_team_with_less_work_for_its_seats() -> None:
    world = Hierarchy()
    world.form("one", "python")
    world.form("two", "python")
    for _ in range(9):
        world.submit(capabilities=("python", "team:one"))
    task = world.submit(capabilities=("python",))
    assert {fit.team: fit.waiting for fit in world.given(task).fits} == {"one": 9, "two": 0}
    assert world.given(task).team == "two"
