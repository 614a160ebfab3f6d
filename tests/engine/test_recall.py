"""What was given out and has not begun is asked back; nobody ever holds it beside another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.test_properties import SETTINGS
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.limits import BATCH_MAX
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.balancing import (
    NO_SPECIALIST,
    NOBODY,
    STEAL_WAIT_MS,
    evened,
    specialised,
    steals,
)
from visionflow.engine.effects import Deliver, Recall, dispatch, outstanding
from visionflow.engine.scoring import RECORD_TASKS_MIN, slots
from visionflow.engine.state import Answer

ONCE = RetryPolicy(Backoff.NONE)


def recall(world: World, task: str, attempt: int | None = None) -> Answer:
    number = world.state.tasks[task].attempt if attempt is None else attempt
    return world.send(
        sc.RecallAttempt(now_ms=world.now_ms, task=task, attempt=number, reason="others are idle")
    )


def learn(world: World, agent: str, *types: str) -> None:
    """Its worker says what it takes several of."""
    worker = world.state.workers[world.state.agents[agent].worker]
    world.send(
        sc.ReportBatches(
            now_ms=world.now_ms,
            agent=agent,
            worker=worker.id,
            incarnation=worker.incarnation,
            types=types,
        )
    )


def experienced(world: World, agent: str, duration_us: int = 1_000) -> None:
    """It has done so many short tasks that it is given more ahead."""
    for _ in range(RECORD_TASKS_MIN):
        task = world.submit(agent=agent)
        world.send(
            c.ReportResult(now_ms=world.now_ms, task=task, attempt=1, duration_us=duration_us)
        )


@pytest.mark.acceptance("scale")
def test_what_comes_back_is_given_to_whoever_has_room_and_counts_as_nothing() -> None:
    world = World()
    (first,) = world.team(1)
    task = world.submit(retry=ONCE)
    assert recall(world, task).code is None
    assert world.state.supervised.recalling == {task: 1}
    (second,) = world.team(1)
    world.fail(task, FailureKind.RECALLED)
    found = world.state.tasks[task]
    assert (found.status, found.attempt, found.agent) == (TaskStatus.ASSIGNED, 2, second)
    assert (found.failures, found.crashes, found.kills) == (0, 0, 0)
    assert world.state.counters.attempts_failed == 0
    assert world.state.agents[first].failed == 0
    assert world.state.supervised.recalling == {}
    world.complete(task, attempt=1)
    assert world.last(e.LateResultRefused).attempt == 1, "the attempt that came back is fenced"


def test_one_that_has_begun_stays_where_it_is_and_the_recall_is_forgotten() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    recall(world, task)
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    assert world.status(task) is TaskStatus.RUNNING
    assert world.state.supervised.recalling == {}
    assert recall(world, task).code == "already_begun"


def test_only_what_waits_in_a_worker_can_be_asked_back_and_twice_is_once() -> None:
    world = World()
    world.team(1)
    task, queued = world.submit(), world.submit()
    assert recall(world, task, attempt=2).code == "stale_attempt"
    assert recall(world, queued, attempt=0).code == "stale_attempt"
    assert recall(world, task).code is None
    before = len(world.events())
    assert recall(world, task).code is None
    assert len(world.events()) == before
    world.complete(task)
    assert recall(world, task, attempt=1).code == "stale_attempt"


def test_one_that_comes_back_unasked_counts_against_its_task_so_that_it_ends() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    for _ in range(16):
        assert world.status(task) is TaskStatus.ASSIGNED
        world.fail(task, FailureKind.RECALLED)
    assert world.status(task) is TaskStatus.DEAD_LETTER
    assert "gave it back unasked" in (world.state.tasks[task].reason or "")


def test_its_recall_is_outstanding_in_the_place_of_its_delivery_until_it_is_answered() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    worker = world.state.workers["w1"]
    assert Deliver("w1", worker.incarnation, task, 1) in list(outstanding(world.state))
    recall(world, task)
    asked = Recall("w1", worker.incarnation, task, 1)
    assert [x for x in outstanding(world.replay()) if isinstance(x, Deliver | Recall)] == [asked]
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    assert asked not in list(outstanding(world.state))


@pytest.mark.acceptance("scale")
def test_the_tail_of_an_agent_is_asked_back_once_it_waited_and_another_has_nothing_to_do() -> None:
    world = World()
    busy, idle = world.team(2)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=idle))
    world.settle()
    experienced(world, busy)
    tasks = [world.submit() for _ in range(6)]
    assert list(world.state.agents[busy].open) == tasks
    (other,) = world.team(1)
    world.tick(STEAL_WAIT_MS - 1)
    assert world.of(s.AttemptRecalling) == [], "it has not waited long enough"
    world.tick(1)
    (asked,) = world.of(s.AttemptRecalling)
    assert asked.task == tasks[-1], "the end of the line is asked back, and no more than fits"
    world.fail(asked.task, FailureKind.RECALLED)
    assert world.state.tasks[asked.task].agent == other


def test_nothing_is_asked_back_for_an_agent_to_which_it_would_not_go() -> None:
    world = World()
    (busy,) = world.team(1, "python")
    experienced(world, busy)
    for _ in range(6):
        world.submit(capabilities=("python",))
    world.team(1, "review")
    world.tick(STEAL_WAIT_MS)
    assert world.of(s.AttemptRecalling) == [], "it could not do it"
    (poor,) = world.team(1, "python", tasks_max=1)
    for _ in range(5):
        for _ in range(4):  # One more in a row would open its circuit.
            world.fail(world.submit(agent=poor, retry=ONCE))
        world.complete(world.submit(agent=poor))
    assert world.state.agents[poor].failed == 20
    world.tick(STEAL_WAIT_MS)
    assert world.of(s.AttemptRecalling) == [], "its holder would be given it again"


def test_what_only_one_agent_may_do_stays_with_it() -> None:
    world = World()
    (busy,) = world.team(1)
    experienced(world, busy)
    for _ in range(4):
        world.submit(agent=busy)
    world.team(1)
    world.tick(STEAL_WAIT_MS)
    assert world.of(s.AttemptRecalling) == []


def test_nothing_is_asked_of_a_worker_that_may_be_gone() -> None:
    world = World()
    (busy,) = world.team(1)
    experienced(world, busy)
    for _ in range(4):
        world.submit()
    world.team(1)
    worker = world.state.workers[world.state.agents[busy].worker]
    who = {"worker": worker.id, "incarnation": worker.incarnation, "evidence": "it is silent"}
    world.send(sc.ReportSuspicion(now_ms=world.now_ms, **who))
    world.tick(STEAL_WAIT_MS)
    assert world.of(s.AttemptRecalling) == []
    world.send(sc.ReportTrust(now_ms=world.now_ms, **who))
    world.tick()
    assert len(world.of(s.AttemptRecalling)) == 1


@SETTINGS
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 5))
def test_no_more_is_asked_back_than_others_could_begin(seed: int, tasks: int, others: int) -> None:
    world = World(seed)
    (busy,) = world.team(1)
    experienced(world, busy, duration_us=100)
    for _ in range(tasks):
        world.submit()
    held = len(world.state.agents[busy].open)
    assert held == min(tasks, slots(RECORD_TASKS_MIN, 100, 1))
    world.team(others, tasks_max=2)
    room = sum(2 - len(world.state.agents[a].open) for a in world.state.agents if a != busy)
    world.now_ms += STEAL_WAIT_MS
    moves = steals(world.state, world.now_ms)
    assert len(moves) == min(room, max(0, held - 1))
    assert len({move.task for move in moves}) == len(moves)
    world.tick()
    for move in moves:
        world.fail(move.task, FailureKind.RECALLED)
    assert all(world.state.tasks[move.task].agent not in (busy, None) for move in moves)
    assert steals(world.state, world.now_ms + STEAL_WAIT_MS) == []


# Batches ---------------------------------------------------------------------------------------


def test_an_agent_that_takes_batches_is_given_five_of_a_type_and_no_more() -> None:
    world = World()
    (agent,) = world.team(1)
    learn(world, agent, "embed")
    tasks = [world.submit(type="embed") for _ in range(BATCH_MAX + 2)]
    assert list(world.state.agents[agent].open) == tasks[:BATCH_MAX]
    assert world.audit() == []


def test_one_of_another_type_ends_what_it_is_given_ahead() -> None:
    world = World()
    (agent,) = world.team(1)
    learn(world, agent, "embed")
    types = ("embed", "embed", "other", "embed")
    tasks = [world.submit(type=kind) for kind in types]
    assert list(world.state.agents[agent].open) == tasks[:3]
    assert world.status(tasks[3]) is TaskStatus.QUEUED


def test_those_who_are_idle_are_given_tasks_before_one_is_given_a_batch() -> None:
    world = World()
    agents = world.team(3)
    for agent in agents:
        learn(world, agent, "embed")
    for _ in range(3):
        world.submit(type="embed")
    assert [len(world.state.agents[agent].open) for agent in agents] == [1, 1, 1]


def test_what_an_agent_batches_is_forgotten_when_it_is_built_anew_or_ends() -> None:
    world = World()
    first, second = world.team(2)
    learn(world, first, "embed")
    learn(world, second, "embed")
    world.update(first, tasks_max=2)
    world.settle()
    assert list(world.state.supervised.batches) == [second]
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=second))
    assert world.state.supervised.batches == {}


def test_a_task_that_failed_or_has_one_attempt_is_to_stand_alone() -> None:
    world = World()
    world.team(2)
    single = world.submit(retry=ONCE)
    plain = world.submit()
    assert dispatch(world.state, world.state.tasks[single]).alone
    assert not dispatch(world.state, world.state.tasks[plain]).alone
    world.fail(plain)
    world.tick(10_000)
    assert dispatch(world.state, world.state.tasks[plain]).alone


# On request ------------------------------------------------------------------------------------


def piled(world: World, agent: str, count: int) -> list[str]:
    """So many tasks that one agent was given, though others could do them by now."""
    experienced(world, agent)
    return [world.submit(capabilities=("python",)) for _ in range(count)]


@pytest.mark.acceptance("scale")
def test_an_even_distribution_moves_from_who_holds_most_until_it_evens_nothing_more() -> None:
    world = World()
    (busy,) = world.team(1, "python")
    tasks = piled(world, busy, 7)
    others = world.team(2, "python", tasks_max=2)
    moves, kept = evened(world.state, 100)
    assert [move.task for move in moves] == [*reversed(tasks)][: len(moves)]
    assert len(moves) == 4, "each of the others may hold two"
    assert {move.taker for move in moves} == set(others)
    assert {each.why for each in kept} == {NOBODY}
    assert len(kept) + len(moves) == 7
    assert len(evened(world.state, 2)[0]) == 2


def test_by_capability_only_a_better_specialist_is_given_what_another_waits_with() -> None:
    world = World()
    (wide,) = world.team(1, "python", "review", "testing")
    tasks = piled(world, wide, 3)
    (same,) = world.team(1, "python", "security", "testing")
    assert specialised(world.state, 100)[0] == []
    (special,) = world.team(1, "python")
    moves, kept = specialised(world.state, 100)
    assert [(move.holder, move.taker) for move in moves] == [(wide, special)]
    assert moves[0].task == tasks[-1]
    assert {each.why for each in kept} == {NO_SPECIALIST}
    assert same not in {move.taker for move in moves}


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 120))
def test_whatever_the_world_each_move_is_of_one_that_waits_to_one_who_may_take_it(
    seed: int, steps: int
) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    state = world.state
    for plan in (evened, specialised):
        moves, kept = plan(state, 1_000)
        named = [each.task for each in (*moves, *kept)]
        assert len(named) == len(set(named)), "a task is named once"
        for move in moves:
            task, taker = state.tasks[move.task], state.agents[move.taker]
            assert (task.agent, task.status) == (move.holder, TaskStatus.ASSIGNED)
            assert move.taker != move.holder
            assert set(task.spec.capabilities) <= set(taker.spec.capabilities)
            assert task.spec.agent is None
            assert (state.matching.room(move.taker) or -1) >= 0 or taker.open == {}
    assert world.audit() == []
