"""Who is given a task, and in whose name, under each topology and strategy."""

import pytest

from tests.engine.shaped import Shaped
from visionflow.domain import assigning_events as ae
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import teams_commands as tc
from visionflow.domain.events import decode_record
from visionflow.domain.swarms import Strategy, Topology
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.domain.teams import TeamSpec, lead_word, team_word
from visionflow.engine.decide import next_event
from visionflow.engine.evolve import fold
from visionflow.engine.scoring import load_level
from visionflow.engine.state import SwarmState
from visionflow.testing.traces import read_trace

RING, STAR, SEQUENTIAL = Topology.RING, Topology.STAR, Topology.SEQUENTIAL


def holders(world: Shaped, *tasks: str) -> list[str | None]:
    return [world.state.tasks[task].agent for task in tasks]


def give_up(world: Shaped, task: str) -> None:
    """Its agent says that it can never be done, which counts against that."""
    world.fail(task, FailureKind.PERMANENT)


def assigners(world: Shaped) -> list[str | None]:
    return [event.by for event in world.of(e.TaskAssigned)]


# Topologies --------------------------------------------------------------------------------------


@pytest.mark.acceptance("swarm-topology")
def test_in_a_star_every_assignment_is_the_centres_and_another_takes_its_place() -> None:
    world = Shaped(STAR)
    first = world.team(1, type="coordinator")[0]
    world.team(2)
    second = world.team(1, type="coordinator")[0]
    world.submit()
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=first))
    world.submit()
    assert assigners(world)[0] == first and assigners(world)[-1] == second
    assert read_trace(world.log).faults == ()


@pytest.mark.acceptance("swarm-topology")
def test_in_a_hierarchy_the_manager_assigns_and_without_one_nobody_in_particular() -> None:
    world = Shaped()
    world.team(1)
    world.complete(world.submit())
    manager = world.team(1, type="coordinator")[0]
    world.submit()
    assert assigners(world) == [None, manager]


@pytest.mark.acceptance("swarm-topology")
def test_the_token_of_a_ring_goes_round_whoever_has_the_better_record() -> None:
    world = Shaped(RING)
    agents = world.team(3)
    for number in range(7):
        task = world.submit()
        assert holders(world, task) == [agents[number % 3]]
        world.complete(task)
    passed = world.of(ae.TokenPassed)
    assert [event.agent for event in passed] == [*agents, *agents, agents[0]]
    assert [event.before for event in passed] == [None, *agents, *agents]
    assert {event.over for event in passed} == {0}


def test_the_token_passes_over_whoever_is_busy_or_cannot_do_it() -> None:
    world = Shaped(RING)
    one, two, three, four = (world.team(1, cap)[0] for cap in ("a", "a", "b", "a"))
    assert holders(world, world.submit(capabilities=("a",))) == [one]
    assert holders(world, world.submit(capabilities=("a",))) == [two]
    assert holders(world, world.submit(capabilities=("a",))) == [four]
    assert world.last(ae.TokenPassed) == ae.TokenPassed(
        task=world.last(e.TaskAssigned).task, agent=four, before=two, over=1
    )
    assert holders(world, world.submit(capabilities=("b",))) == [three]
    assert read_trace(world.log).faults == ()


def test_a_task_for_one_agent_takes_the_token_there_and_it_goes_on_from_there() -> None:
    world = Shaped(RING)
    agents = world.team(4)
    assert holders(world, world.submit(agent=agents[2])) == [agents[2]]
    assert world.last(ae.TokenPassed).pinned
    assert holders(world, world.submit()) == [agents[3]]


def test_the_ring_goes_on_where_the_token_stood_when_its_holder_is_gone() -> None:
    world = Shaped(RING)
    agents = world.team(4)
    for _ in range(2):
        world.complete(world.submit())
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agents[1]))
    world.settle()
    assert agents[1] not in world.state.agents
    assert holders(world, world.submit()) == [agents[2]]


def test_a_log_that_ends_between_the_token_and_its_assignment_goes_on_with_it() -> None:
    world = Shaped(RING)
    agents = world.team(2)
    world.submit(id="a")
    record = decode_record(world.log[-1])
    assert [type(event) for event in record.events[-2:]] == [ae.TokenPassed, e.TaskAssigned]
    state = SwarmState()
    for body in world.log[:-1]:
        fold(state, decode_record(body))
    record.events.pop()
    fold(state, record)
    following = next_event(state)
    assert isinstance(following, e.TaskAssigned) and following.agent == agents[0]


@pytest.mark.acceptance("swarm-topology")
def test_in_a_sequential_swarm_the_tasks_of_a_phase_go_through_the_stages() -> None:
    world = Shaped(SEQUENTIAL)
    for each in ("tester", "coder", "coder", "researcher"):
        world.team(1, type=each)
    kinds = ("tester", "coder", "researcher", "coder")
    root, (parts,) = world.plan(
        [{"agent_type": kind, "id": f"p{n}"} for n, kind in enumerate(kinds)]
    )
    assert world.last(e.PlanSubmitted).stages == {"phase0": (1, 2, 1)}
    assert parts == ["p0", "p1", "p2", "p3"]
    assert [p for p in parts if world.status(p) is TaskStatus.ASSIGNED] == ["p2"]
    world.complete("p2")
    assert [p for p in parts if world.status(p) is TaskStatus.ASSIGNED] == ["p1", "p3"]
    world.complete("p1")
    assert world.status("p0") is TaskStatus.PENDING
    world.complete("p3")
    world.complete("p0")
    assert world.status(root) is TaskStatus.COMPLETED
    assert world.audit() == [] and read_trace(world.log).faults == ()


def test_the_same_plan_in_a_hierarchy_has_no_stages_and_all_of_it_begins_at_once() -> None:
    world = Shaped()
    for each in ("tester", "coder", "researcher"):
        world.team(1, type=each)
    _, (parts,) = world.plan([{"agent_type": each} for each in ("tester", "coder", "researcher")])
    assert world.last(e.PlanSubmitted).stages == {}
    assert {world.status(part) for part in parts} == {TaskStatus.ASSIGNED}


def test_what_names_no_type_is_done_in_the_first_stage_that_is_able() -> None:
    world = Shaped(SEQUENTIAL)
    world.team(1, "python", type="coder")
    world.team(1, "python", "docs", type="tester")
    _, (parts,) = world.plan(
        [{"capabilities": ("docs",)}, {"capabilities": ("python",)}, {"agent_type": "coder"}]
    )
    assert world.last(e.PlanSubmitted).stages == {"phase0": (2, 1)}
    assert world.status(parts[0]) is TaskStatus.PENDING


def test_a_stage_whose_tasks_failed_is_over_and_one_by_one_holds_within_a_stage() -> None:
    world = Shaped(SEQUENTIAL)
    world.team(3, type="coder")
    world.team(1, type="tester")
    kinds = ("tester", "coder", "coder")
    _, (parts,) = world.plan(
        [{"agent_type": kind} for kind in kinds], sequential=(0,), threshold_bp=10_000
    )
    tester, one, two = parts
    assert world.status(one) is TaskStatus.ASSIGNED and world.status(two) is TaskStatus.PENDING
    give_up(world, one)
    assert world.status(two) is TaskStatus.ASSIGNED and world.status(tester) is TaskStatus.PENDING
    world.complete(two)
    assert world.status(tester) is TaskStatus.ASSIGNED


# Strategies --------------------------------------------------------------------------------------


def seasoned(world: Shaped, agent: str, count: int, task_type: str = "task") -> None:
    """It has so many tasks of a type behind it."""
    for _ in range(count):
        world.complete(world.submit(agent=agent, type=task_type))


def test_in_a_balanced_swarm_the_least_loaded_comes_first_whatever_its_record() -> None:
    for strategy, first in ((Strategy.BALANCED, 0), (Strategy.CENTRALIZED, 1)):
        world = Shaped(strategy=strategy)
        agents = world.team(2, tasks_max=4)
        for _ in range(3):
            give_up(world, world.submit(agent=agents[0]))
        world.submit(agent=agents[1], id="held")
        assert holders(world, world.submit()) == [agents[first]], strategy


def test_load_levels_fall_in_eighths_and_never_leave_the_range() -> None:
    assert [load_level(held, 1) for held in (0, 1, 2, 60)] == [15, 7, 0, 0]
    assert [load_level(held, 4) for held in range(9)] == [15, 13, 11, 9, 7, 5, 3, 1, 0]


def test_in_a_specialized_swarm_the_best_record_for_the_type_among_the_narrowest_wins() -> None:
    world = Shaped(strategy=Strategy.SPECIALIZED)
    bad, good = world.team(2, "python")
    broad = world.team(1, "python", "docs")[0]
    seasoned(world, broad, 3, "lint")
    seasoned(world, good, 1, "lint")
    give_up(world, world.submit(agent=bad, type="lint"))
    give_up(world, world.submit(agent=good, type="other"))
    give_up(world, world.submit(agent=good, type="other"))
    assert holders(world, world.submit(type="lint", capabilities=("python",))) == [good]
    assert holders(world, world.submit(type="other", capabilities=("python",))) == [bad]
    assert holders(world, world.submit(type="lint", capabilities=("python",))) == [broad]


@pytest.mark.acceptance("swarm-topology")
def test_in_a_distributed_swarm_all_bids_are_written_and_the_best_one_wins() -> None:
    world = Shaped(strategy=Strategy.DISTRIBUTED)
    bad, good = world.team(2, "python")
    give_up(world, world.submit(agent=bad, capabilities=("python",)))
    task = world.submit(capabilities=("python",))
    placed = world.last(ae.BidsPlaced)
    assert (placed.task, placed.agent, placed.able) == (task, good, 2)
    assert holders(world, task) == [good]
    worth = {bid.agent: (bid.total_bp, bid.past_bp) for bid in placed.bids}
    assert worth == {bad: (9_100, 1_600), good: (9_500, 2_000)}
    assert read_trace(world.log).faults == ()


def test_sixteen_at_most_bid() -> None:
    world = Shaped(strategy=Strategy.DISTRIBUTED)
    agents = world.team(20)
    given = [world.state.tasks[world.submit()].agent for _ in range(20)]
    assert sorted(map(str, given)) == sorted(agents)
    assert (len(world.of(ae.BidsPlaced)[0].bids), world.of(ae.BidsPlaced)[0].able) == (16, 20)


def test_of_equal_bidders_the_one_wins_whose_turn_it_is() -> None:
    world = Shaped(strategy=Strategy.DISTRIBUTED)
    agents = world.team(3)
    for _ in range(6):
        world.complete(world.submit())
    winners = [event.agent for event in world.of(ae.BidsPlaced)]
    assert sorted(winners[:3]) == sorted(agents) and winners[3:] == winners[:3]


def test_an_adaptive_strategy_has_bids_where_several_could_do_it_and_like_tasks_took_long() -> None:
    world = Shaped(strategy=Strategy.ADAPTIVE)
    agents = world.team(2)
    world.complete(world.submit())
    assert world.of(ae.BidsPlaced) == []
    record = world.state.records.of_type(agents[0], "task")
    assert record.completed == 1
    record.mean_us = 2_000_000
    world.submit()
    placed = world.of(ae.BidsPlaced)
    assert [(event.able, event.likely_us) for event in placed] == [(2, 2_000_000)]
    world.submit()
    assert len(world.of(ae.BidsPlaced)) == 1


# Delegation --------------------------------------------------------------------------------------


@pytest.mark.acceptance("swarm-topology")
def test_an_agent_delegates_to_whom_it_may_speak_and_a_refusal_is_on_record() -> None:
    world = Shaped(STAR)
    centre, one, two = world.team(3, tasks_max=2)
    task = world.submit(agent=one)
    world.delegate(task, agent=two)
    assert world.answer.code == "not_allowed"
    assert "In a star agents speak with the centre only" in (world.answer.message or "")
    assert world.last(e.CommandRefused).code == "not_allowed"
    sub = world.delegate(task, agent=centre)
    assert world.answer.code is None and holders(world, sub) == [centre]
    world.delegate(task)
    assert world.answer.code is None
    trace = read_trace(world.log)
    assert trace.faults == () and trace.count("refused delegations") == 1


def test_a_seat_may_be_named_along_the_lines_and_no_other() -> None:
    world = Shaped()
    manager = world.team(1, type="coordinator", tasks_max=9)[0]
    lead, member, other, stranger = world.team(4, tasks_max=9)
    for name, first, second in (("one", lead, member), ("two", other, stranger)):
        team = TeamSpec(name=name, lead=first, members=(second,))
        world.send(tc.FormTeam(now_ms=world.now_ms, team=team))
    tasks = {agent: world.submit(agent=agent) for agent in (manager, lead, member)}
    for agent, word, code in (
        (manager, lead_word("one"), None),
        (lead, team_word("one"), None),
        (lead, team_word("two"), "not_allowed"),
        (member, lead_word("one"), None),
        (member, lead_word("two"), "not_allowed"),
    ):
        world.delegate(tasks[agent], capabilities=(word,))
        assert world.answer.code == code, (agent, word)
