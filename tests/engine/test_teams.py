"""Teams of a hierarchy: who gets what, who takes a seat, and what comes before the manager."""

from typing import Any

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import shape_commands as hc
from visionflow.domain import teams_commands as tc
from visionflow.domain import teams_events as t
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import FailureKind, RetryPolicy, TaskStatus
from visionflow.domain.teams import (
    ATTEMPTS_MIN,
    LEAD,
    LEADS,
    MANAGER,
    OVERDUE_MS_MIN,
    TeamSpec,
    lead_word,
    team_word,
)
from visionflow.engine.evolve.table import is_held
from visionflow.engine.state import Answer, TaskState
from visionflow.engine.topology.seats import team_with

pytestmark = pytest.mark.acceptance("hierarchy")
PATIENT = RetryPolicy(attempts_max=50, base_ms=1, jitter_bp=0)


class Hierarchy(Calm):
    """A swarm with a manager, and teams as they are formed."""

    def __init__(self, seed: int = 0, limits: Limits | None = None) -> None:
        super().__init__(seed, limits)
        self.manager = self.team(1, "plan", type="coordinator")[0]

    def form(self, name: str, *words: str, workers: int = 2, **fields: Any) -> list[str]:
        """A team of a lead and workers who all offer these words; the lead comes first."""
        people = self.team(1 + workers, *words)
        self.answer = self.send(
            tc.FormTeam(
                now_ms=self.now_ms,
                team=TeamSpec(name, people[0], tuple(people[1:]), **fields),
            )
        )
        return people

    def given(self, task: str) -> t.TaskDelegated:
        return [each for each in self.of(t.TaskDelegated) if each.task == task][-1]

    def holder(self, task: str) -> str | None:
        return self.state.tasks[task].agent

    def end(self, agent: str, drain: bool = False) -> Answer:
        return self.send(c.TerminateAgent(now_ms=self.now_ms, agent=agent, drain=drain))

    def has(self, task: TaskState) -> str | None:
        return team_with(self.state, task.spec)

    def held(self) -> list[str]:
        """Who gets nothing now, for failing too often."""
        return [agent for agent in self.state.agents if is_held(self.state, agent)]

    def audited(self) -> None:
        assert self.audit() == []
        assert self.replay().digest() == self.state.digest()


# Forming ---------------------------------------------------------------------------------------


def test_a_team_has_its_lead_and_members_and_the_first_coordinator_becomes_the_manager() -> None:
    world = Hierarchy()
    lead, *members = world.form("code", "python")
    assert world.answer.code is None
    named = world.last(t.ManagerNamed)
    assert (named.agent, named.before) == (world.manager, None)
    team = world.state.teams.teams["code"]
    assert team.lead == lead and list(team.members) == members
    assert team.capabilities == ("python",), "by its lead, where nobody names its domain"
    world.audited()


def test_nobody_sits_twice_and_a_manager_is_needed() -> None:
    world = Calm()
    lead, other, third = world.team(3, "python")

    def form(name: str, *people: str) -> Answer:
        spec = TeamSpec(name, people[0], people[1:])
        return world.send(tc.FormTeam(now_ms=world.now_ms, team=spec))

    refused = form("code", lead)
    assert refused.code == "no_manager" and "coordinator" in refused.hint
    world.team(1, type="coordinator")
    assert form("code", lead, other).code is None
    assert form("tests", other).code == "seated_already"
    assert form("code", third).code == "duplicate_id"
    assert form("tests", third, third).code == "usage"
    assert form("tests", "nobody").code == "unknown_agent"
    manager = world.state.teams.manager
    assert manager is not None and form("tests", manager).code == "seated_already"
    assert world.send(tc.JoinTeam(now_ms=1, team="none", agent=third)).code == "unknown_id"
    assert world.audit() == []


def test_more_than_may_report_to_a_lead_or_to_the_manager_are_refused() -> None:
    world = Hierarchy()
    world.form("wide", "python", workers=3, span=2)
    assert world.answer.code == "limit_reached" and "span of control is 2" in world.answer.message
    world.form("code", "python", workers=2, span=2)
    extra = world.team(1, "python")[0]
    joined = world.send(tc.JoinTeam(now_ms=world.now_ms, team="code", agent=extra))
    assert joined.code == "limit_reached"
    world.send(tc.PutInCharge(now_ms=world.now_ms, agent=world.manager, span=1))
    world.form("tests", "testing")
    assert world.answer.code == "limit_reached" and "max_workers" in world.answer.hint


def test_a_swarm_without_teams_is_matched_as_ever() -> None:
    world = Calm()
    world.team(2, "python")
    task = world.submit(capabilities=("python",))
    assert world.status(task) is TaskStatus.ASSIGNED
    assert not world.of(t.TaskDelegated)


# Delegation ------------------------------------------------------------------------------------


def test_a_task_goes_to_the_team_of_its_domain_with_figures_and_to_nobody_outside_it() -> None:
    world = Hierarchy()
    code = world.form("code", "python", "testing", capabilities=("python",))
    tests = world.form("tests", "python", "testing", capabilities=("testing",))
    outsider = world.team(1, "python", "testing")[0]
    tasks = [world.submit(capabilities=("testing",)) for _ in range(5)]
    given = world.given(tasks[0])
    assert (given.by, given.team) == (world.manager, "tests")
    assert [fit.team for fit in given.fits] == ["tests", "code"]
    best, other = given.fits
    assert (best.domain_bp, other.domain_bp) == (10_000, 0)
    assert (best.able, best.places) == (3, 3) and best.success_bp is None
    held = [world.holder(task) for task in tasks if world.holder(task)]
    assert set(held) <= set(tests) and outsider not in held and not set(held) & set(code)
    world.audited()


def test_of_equal_teams_the_one_that_has_less_gets_the_next() -> None:
    world = Hierarchy()
    world.form("one", "python")
    world.form("two", "python")
    tasks = [world.submit(capabilities=("python",)) for _ in range(6)]
    teams = [world.given(task).team for task in tasks]
    assert sorted(teams) == ["one"] * 3 + ["two"] * 3


def test_a_team_that_failed_before_comes_after_an_equal_one_that_did_not() -> None:
    world = Hierarchy()
    world.form("one", "python", "a")
    world.form("two", "python", "b")
    for _ in range(4):
        task = world.submit(capabilities=("a",), retry=RetryPolicy(attempts_max=1))
        world.fail(task)
    assert world.given(world.submit(capabilities=("python",))).team == "two"


def test_members_come_before_their_lead() -> None:
    world = Hierarchy()
    lead, *members = world.form("code", "python")
    first, second = (world.submit(capabilities=("python",)) for _ in range(2))
    assert {world.holder(first), world.holder(second)} == set(members)
    third = world.submit(capabilities=("python",))
    assert world.holder(third) == lead


def test_what_no_team_can_do_stays_with_the_manager_for_whoever_can() -> None:
    world = Hierarchy()
    world.form("code", "python")
    task = world.submit(capabilities=("design",))
    assert world.given(task).team == "" and world.status(task) is TaskStatus.QUEUED
    able = world.team(1, "design")[0]
    assert world.holder(task) == able
    world.audited()


def test_a_task_that_names_an_agent_or_a_seat_is_given_to_no_team() -> None:
    world = Hierarchy()
    lead, member = world.form("code", "python", workers=1)
    outsider = world.team(1, "python")[0]
    tasks = {
        world.submit(agent=outsider): outsider,
        world.submit(capabilities=(lead_word("code"),)): lead,
        world.submit(capabilities=(MANAGER,)): world.manager,
        world.submit(capabilities=("python", team_word("code"))): member,
    }
    assert {task: world.holder(task) for task in tasks} == tasks
    assert not world.of(t.TaskDelegated)


def test_work_for_the_lead_of_the_team_that_is_chosen_asks_its_members_what_they_can() -> None:
    world = Hierarchy()
    lead = world.team(1, "leading")[0]
    members = world.team(2, "python")
    spec = TeamSpec("code", lead, tuple(members))
    world.send(tc.FormTeam(now_ms=world.now_ms, team=spec))
    task = world.submit(type=LEAD, capabilities=("python", LEADS))
    assert world.given(task).team == "code" and world.holder(task) == lead
    other = world.submit(type=LEAD, capabilities=("design", LEADS))
    assert world.given(other).team == "" and world.holder(other) == world.manager
    world.audited()


def test_whoever_leads_has_room_for_work_of_its_own() -> None:
    world = Hierarchy()
    lead = world.form("code", "python", workers=0)[0]
    led = [world.submit(type=LEAD, capabilities=(lead_word("code"),)) for _ in range(3)]
    assert [world.holder(task) for task in led] == [lead] * 3
    work = world.submit(capabilities=("python",))
    assert world.holder(work) == lead
    assert world.holder(world.submit(capabilities=("python",))) is None
    world.audited()


# Seats -----------------------------------------------------------------------------------------


def test_when_a_lead_is_ended_the_best_of_its_team_takes_over_and_its_work_goes_on() -> None:
    world = Hierarchy()
    lead, weak, strong = world.form("code", "python")
    for agent, ends in ((weak, world.fail), (strong, world.complete)):
        ends(world.submit(agent=agent, retry=RetryPolicy(attempts_max=1)))
    led = world.submit(type=LEAD, capabilities=(lead_word("code"),))
    assert world.holder(led) == lead
    queued = [world.submit(capabilities=("python",)) for _ in range(4)]
    world.end(lead)
    replaced = world.last(t.LeadReplaced)
    assert (replaced.team, replaced.before, replaced.after) == ("code", lead, strong)
    assert (replaced.completed, replaced.failed) == (1, 0) and lead in replaced.reason
    world.settle()
    assert world.holder(led) == strong, "what is for the seat goes to who sits there now"
    for _ in range(12):
        for task in [n for n, x in world.state.tasks.items() if x.agent is not None]:
            world.complete(task)
    assert all(world.status(task) is TaskStatus.COMPLETED for task in (led, *queued))
    world.audited()


def test_a_lead_that_is_only_being_restarted_keeps_its_seat() -> None:
    world = Hierarchy()
    lead = world.form("code", "python")[0]
    world.lose(world.state.agents[lead].worker, FailureKind.KILLED)
    assert world.state.agents[lead].status == "recovering"
    assert not world.of(t.LeadReplaced) and not world.of(t.TaskDelegated)
    world.settle()
    assert world.state.teams.teams["code"].lead == lead
    world.audited()


def test_a_lead_that_failed_for_good_is_replaced_and_comes_back_as_a_member() -> None:
    world = Hierarchy()
    lead = world.form("code", "python")[0]
    info = world.state.agents[lead]
    world.lose(info.worker)
    worker = world.state.workers[info.worker]
    world.settle(1)
    world.send(
        c.ReportAgentDown(
            now_ms=world.now_ms,
            agent=lead,
            worker=worker.id,
            incarnation=worker.incarnation,
            reason="it cannot be built",
        )
    )
    assert info.status == "failed"
    assert world.last(t.LeadReplaced).before == lead
    assert lead in world.state.teams.teams["code"].members
    world.audited()


def test_a_lead_that_drains_is_replaced_at_once_and_finishes_what_it_holds() -> None:
    world = Hierarchy()
    lead, *members = world.form("code", "python")
    task = world.submit(agent=lead)
    world.end(lead, drain=True)
    assert world.last(t.LeadReplaced).after in members
    assert world.holder(task) == lead
    world.complete(task)
    world.tick(1)
    world.settle()
    assert lead not in world.state.agents
    world.audited()


def test_the_manager_is_followed_by_a_coordinator_else_by_the_best_lead() -> None:
    world = Hierarchy()
    one = world.form("one", "python")[0]
    second = world.team(1, type="coordinator")[0]
    task = world.submit(capabilities=(MANAGER,))
    world.end(world.manager)
    assert world.last(t.ManagerNamed).before == world.manager
    assert world.state.teams.manager == second
    world.settle()
    assert world.holder(task) == second
    world.end(second)
    world.settle()
    assert world.state.teams.manager == one and world.holder(task) == one
    assert world.given(world.submit(capabilities=("python",))).by == one
    world.audited()


def test_when_the_last_one_able_leaves_a_team_what_waits_there_goes_to_another() -> None:
    world = Hierarchy()
    special = world.form("one", "python", "gpu", workers=0)[0]
    world.form("two", "python", workers=0)
    running = world.submit(capabilities=("gpu",))
    assert world.holder(running) == special
    waiting = world.submit(capabilities=("gpu", "python"))
    other = world.team(1, "python", "gpu")[0]
    world.send(tc.JoinTeam(now_ms=world.now_ms, team="two", agent=other))
    world.end(special)
    world.settle()
    for task in (running, waiting):
        given = world.given(task)
        assert given.team == "two" and "nobody in team one" in given.reason
    assert other in (world.holder(running), world.holder(waiting))
    world.audited()


def test_a_team_of_which_nobody_is_left_is_led_by_who_joins_it() -> None:
    world = Hierarchy()
    lead = world.form("code", "python", workers=0)[0]
    world.end(lead)
    assert world.last(t.LeadReplaced).after is None
    world.settle()
    new = world.team(1, "python")[0]
    world.send(tc.JoinTeam(now_ms=world.now_ms, team="code", agent=new))
    assert world.state.teams.teams["code"].lead == new
    world.audited()


# Escalation ------------------------------------------------------------------------------------


def failing_team(world: Hierarchy) -> list[str]:
    world.form("bad", "python", "bad", workers=0)
    return [world.submit(capabilities=("python",)) for _ in range(8)]


def fail_often(world: Hierarchy, times: int, word: str = "bad") -> None:
    for _ in range(times):
        world.fail(world.submit(capabilities=(word,), retry=RetryPolicy(attempts_max=1)))


def test_a_team_that_succeeds_too_seldom_comes_before_the_manager_once_with_its_figures() -> None:
    world = Hierarchy()
    world.form("bad", "bad", workers=1)
    for _ in range(6):
        world.complete(world.submit(capabilities=("bad",)))
    fail_often(world, ATTEMPTS_MIN - 6 - 1)
    assert not world.of(t.Escalated), "too few attempts say nothing"
    fail_often(world, 1)
    escalated = world.last(t.Escalated)
    assert (escalated.team, escalated.cause) == ("bad", "success")
    assert escalated.evidence == "6 of its last 10 attempts completed, which is under 70 %"
    assert escalated.action.startswith("told")
    fail_often(world, ATTEMPTS_MIN - 1)
    assert len(world.of(t.Escalated)) == 1
    world.audited()


def test_what_waits_for_a_team_that_fails_goes_to_one_that_can_do_it() -> None:
    world = Hierarchy()
    world.form("bad", "python", "bad", workers=2, capabilities=("python",))
    fail_often(world, ATTEMPTS_MIN - 1)
    assert not world.held(), "so few failures each open no circuit"
    world.form("good", "python", workers=1, capabilities=("other",))
    # Its domain outweighs its record.
    tasks = [world.submit(capabilities=("python",)) for _ in range(6)]
    waiting = [task for task in tasks if world.holder(task) is None]
    assert {world.given(task).team for task in tasks} == {"bad"} and waiting
    running = next(task for task in tasks if world.holder(task) is not None)
    world.fail(running)
    escalated = world.last(t.Escalated)
    assert f"{len(waiting)} of the tasks that wait" in escalated.action
    assert {world.given(task).team for task in waiting} == {"good"}
    assert all("fails too often" in world.given(task).reason for task in waiting)
    world.audited()


def test_deaths_of_workers_and_recalls_say_nothing_of_a_team() -> None:
    world = Hierarchy()
    lead = world.form("code", "python", workers=0)[0]
    task = world.submit(capabilities=("python",), retry=PATIENT)
    for kind in (FailureKind.KILLED, FailureKind.THROTTLED, FailureKind.LOST):
        world.fail(task, kind)
        world.tick(120_000)
        assert world.holder(task) == lead
    assert world.state.teams.teams["code"].recent == []


def learn(world: Hierarchy, kind: str, times: int = 3) -> None:
    """Tasks of this type take 50 ms."""
    for _ in range(times):
        world.complete(world.submit(type=kind, capabilities=("python",)))


def test_a_task_beyond_twice_its_estimate_goes_to_another_team_once() -> None:
    world = Hierarchy()
    one = world.form("one", "python", workers=0)[0]
    learn(world, "quick")
    task = world.submit(type="quick", capabilities=("python",))
    assert world.holder(task) == one
    two = world.form("two", "python", workers=0)[0]
    world.tick(OVERDUE_MS_MIN - 1)
    assert not world.of(t.Escalated)
    world.tick(2)
    escalated = world.last(t.Escalated)
    assert (escalated.team, escalated.cause, escalated.task) == ("one", "overdue", task)
    assert escalated.agent == one and "team two gets it" in escalated.action
    assert "like tasks took 0.1 s" in escalated.evidence
    assert world.holder(task) == two and world.state.tasks[task].attempt == 2
    failed = world.last(e.AttemptFailed)
    assert (failed.kind, failed.excused) == (FailureKind.REASSIGNED, True)
    assert world.state.counters.attempts_failed == 0
    late = world.complete(task, attempt=1)
    assert late.code is None and world.of(e.LateResultRefused)
    world.tick(10 * OVERDUE_MS_MIN)
    assert len(world.of(t.Escalated)) == 1 and world.holder(task) == two
    assert world.state.tasks[task].failures == 0, "it is no failure of the task"
    world.audited()


def test_where_no_other_team_can_do_it_the_manager_is_told_and_it_goes_on() -> None:
    world = Hierarchy()
    one = world.form("one", "python", workers=0)[0]
    learn(world, "quick")
    task = world.submit(type="quick", capabilities=("python",))
    world.tick(2 * OVERDUE_MS_MIN)
    assert world.last(t.Escalated).action.startswith("told")
    assert world.holder(task) == one and world.state.tasks[task].attempt == 1


def test_without_a_record_of_like_tasks_nothing_is_overdue() -> None:
    world = Hierarchy()
    world.form("one", "python", workers=0)
    learn(world, "quick", times=2)
    world.submit(type="quick", capabilities=("python",))
    world.tick(5 * OVERDUE_MS_MIN)
    assert not world.of(t.Escalated)


def test_time_that_the_machine_slept_makes_nothing_overdue() -> None:
    world = Hierarchy()
    world.form("one", "python", workers=0)
    learn(world, "quick")
    world.submit(type="quick", capabilities=("python",))
    world.now_ms += 60_000
    world.send(c.Tick(now_ms=world.now_ms, gap_ms=60_000))
    world.tick(1_000)
    assert not world.of(t.Escalated)


# Other topologies --------------------------------------------------------------------------------


def test_under_another_topology_teams_choose_nothing_and_then_they_do_again() -> None:
    world = Hierarchy()
    world.form("code", "python", workers=0)
    busy = [world.submit(capabilities=("python",)) for _ in range(3)]
    outsider = world.team(1, "python")[0]
    assert world.holder(busy[2]) is None

    def switch(topology: Topology) -> Answer:
        command = hc.SwitchTopology(now_ms=world.now_ms, topology=topology, reason="a test")
        return world.send(command)

    assert switch(Topology.STAR).code is None
    assert outsider in {world.holder(task) for task in busy}
    count = len(world.of(t.TaskDelegated))
    led = world.submit(type=LEAD, capabilities=("python", LEADS))
    assert world.holder(led) == world.manager, "who manages leads it, for no team is chosen"
    world.complete(led)
    world.submit(capabilities=("python",))
    assert len(world.of(t.TaskDelegated)) == count
    assert switch(Topology.HIERARCHICAL).code is None
    assert len(world.of(t.TaskDelegated)) == count + 1
    world.audited()
