"""The work of a team: what it was given and what asks for its seats count alike, and who gets
nothing now is given nothing.
"""

from typing import Any

import pytest

from tests.engine.test_teams import Hierarchy, fail_often, learn
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import outside_commands as oc
from visionflow.domain import supervision_commands as sc
from visionflow.domain import teams_commands as tc
from visionflow.domain import teams_events as t
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS, Limits
from visionflow.domain.outside import EffectClass
from visionflow.domain.tasks import FailureKind, RetryPolicy, TaskStatus
from visionflow.domain.teams import (
    ACCEPT,
    ATTEMPTS_MIN,
    LEAD,
    LEADS,
    MANAGER,
    OVERDUE_MS_MIN,
    TeamSpec,
    lead_word,
    team_word,
)
from visionflow.engine.topology.hierarchy import worker_types

ONCE = RetryPolicy(attempts_max=1)
pytestmark = pytest.mark.acceptance("hierarchy")


def fail_in(world: Hierarchy, agent: str) -> None:
    world.fail(world.submit(agent=agent, retry=ONCE))


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


def test_what_waits_for_a_team_goes_to_another_when_its_last_circuit_opens() -> None:
    world = Hierarchy(limits=Limits(circuit_failures=3))
    bad = world.form("bad", "python", "bad", workers=1, capabilities=("python",))
    good = world.form("good", "python", workers=1, capabilities=("other",))
    for agent in (*bad, *bad):
        fail_in(world, agent)
    assert not world.held()
    held = [world.submit(agent=agent) for agent in good]
    working = [world.submit(capabilities=("python",), retry=ONCE) for _ in bad]
    waiting = [world.submit(capabilities=("python",)) for _ in range(3)]
    seat = world.submit(capabilities=("python", team_word("bad")))
    rare = world.submit(capabilities=("bad",))
    assert {world.given(task).team for task in (*working, *waiting)} == {"bad"}
    world.fail(working[0])
    assert {world.given(task).team for task in waiting} == {"bad"}, "one of it may still do it"
    world.fail(working[1])
    assert world.held() == bad
    again = [world.given(task) for task in waiting]
    assert {each.team for each in again} == {"good"}
    assert again[0].reason == "everybody in team bad who could do it fails too often"
    assert world.given(rare).team == "bad" and world.status(seat) is TaskStatus.QUEUED
    for task in held:
        world.complete(task)
    assert {world.holder(task) for task in waiting} >= set(good)
    world.audited()


def test_what_is_tried_again_while_all_its_team_is_held_goes_to_another_team() -> None:
    world = Hierarchy()
    (one,) = world.form("bad", "python", workers=0, capabilities=("python",))
    world.form("good", "python", workers=0, capabilities=("other",))
    for _ in range(CIRCUIT_FAILURES - 1):
        fail_in(world, one)
    task = world.submit(capabilities=("python",))
    assert world.holder(task) == one
    world.fail(task)
    assert world.held() == [one] and world.status(task) is TaskStatus.PENDING
    world.tick(1_500)
    assert world.given(task).team == "good" and world.status(task) is TaskStatus.ASSIGNED
    world.audited()


def test_a_team_whose_lead_is_held_by_its_circuit_is_given_nothing_to_lead() -> None:
    world = Hierarchy()
    lead, _ = world.form("bad", "python", workers=1, capabilities=("python",))
    (other,) = world.form("good", "python", workers=0, capabilities=("other",))
    waiting = world.submit(type=ACCEPT, capabilities=("python", LEADS))
    assert world.holder(waiting) == lead
    for _ in range(CIRCUIT_FAILURES):
        fail_in(world, lead)
    assert world.held() == [lead]
    order = world.submit(type=ACCEPT, capabilities=("python", LEADS))
    assert (world.given(order).team, world.holder(order)) == ("good", other)
    plain = world.submit(capabilities=("python",))
    assert world.given(plain).team == "bad", "its members work"
    world.audited()


def test_an_order_that_waits_for_a_lead_goes_to_another_team_when_its_circuit_opens() -> None:
    world = Hierarchy()
    (lead,) = world.form("bad", "python", workers=0, capabilities=("python",))
    (other,) = world.form("good", "python", workers=0, capabilities=("other",))
    for _ in range(CIRCUIT_FAILURES - 1):
        fail_in(world, lead)
    worker = world.state.workers[world.state.agents[lead].worker]
    who = {"worker": worker.id, "incarnation": worker.incarnation, "evidence": "it is late"}
    own = world.submit(agent=lead, retry=ONCE)
    world.send(sc.ReportSuspicion(now_ms=world.now_ms, **who))
    order = world.submit(type=ACCEPT, capabilities=("python", LEADS))
    assert world.given(order).team == "bad" and world.holder(order) is None
    world.fail(own)
    assert (world.given(order).team, world.holder(order)) == ("good", other)
    world.audited()


def test_what_waits_for_a_team_that_fails_too_often_is_shared_among_the_others() -> None:
    world = Hierarchy()
    (lead,) = world.form("bad", "python", workers=0, capabilities=("python",))
    for name in ("one", "two", "three"):
        for agent in world.form(name, "python", workers=0, capabilities=("other",)):
            world.submit(agent=agent)
    for _ in range(ATTEMPTS_MIN - 1):
        world.fail(world.submit(agent=lead), FailureKind.PERMANENT)
    running = world.submit(capabilities=("python",))
    waiting = [world.submit(capabilities=("python",)) for _ in range(9)]
    assert {world.given(task).team for task in (running, *waiting)} == {"bad"}
    world.fail(running, FailureKind.PERMANENT)
    assert world.last(t.Escalated).action == "9 of the tasks that wait for it go to other teams"
    moved = [world.given(task) for task in waiting]
    teams = [each.team for each in moved]
    assert [teams.count(name) for name in ("one", "two", "three")] == [3, 3, 3]
    figures = {fit.team: fit.waiting for fit in moved[-1].fits}
    assert sum(figures.values()) == 8, "those that were given out before it"
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


def test_an_overdue_task_with_an_effect_under_way_outside_is_told_of_and_not_taken_away() -> None:
    world = Hierarchy()
    (one,) = world.form("one", "python", workers=0)
    learn(world, "quick")
    task = world.submit(type="quick", capabilities=("python",))
    assert world.holder(task) == one
    world.form("two", "python", workers=0)
    world.send(
        oc.ReserveEffect(
            now_ms=world.now_ms,
            key="pay",
            task=task,
            attempt=1,
            name="pay",
            kind=EffectClass.IN_DOUBT,
        )
    )
    world.tick(OVERDUE_MS_MIN + 1)
    escalated = world.last(t.Escalated)
    assert escalated.action == "told: an effect of it outside is under way"
    assert world.holder(task) == one, "another attempt could not know whether that has happened"
    assert not world.state.outside.doubts
    world.audited()
