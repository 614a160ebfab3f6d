"""Circuits: five failures in a row open one, a minute later one call may try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS, Limits
from visionflow.domain.supervision import CircuitStatus
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskStatus
from visionflow.domain.votes import CAST_BALLOT
from visionflow.engine.circuits import Policy, asked, failed, fold, succeeded, undecided, wait_ms
from visionflow.engine.supervised import CircuitState
from visionflow.runtime.ticker import is_due

ONCE = RetryPolicy(backoff=Backoff.NONE)
ACME = "provider:acme"


def failing(world: World, times: int, kind: FailureKind = FailureKind.ERROR) -> None:
    """So many tasks one after the other of which nothing comes."""
    for _ in range(times):
        world.fail(world.submit(retry=ONCE), kind)


def circuit(world: World, agent: str) -> CircuitState | None:
    return world.state.supervised.circuits.get(f"agent:{agent}")


def test_five_failures_in_a_row_open_the_circuit_of_an_agent_and_its_tasks_go_to_another() -> None:
    world = World()
    bad, good = world.team(2)
    for _ in range(CIRCUIT_FAILURES):
        assert circuit(world, bad) is None or circuit(world, bad).status is CircuitStatus.CLOSED
        world.fail(world.submit(retry=ONCE, agent=bad))
    opened = world.last(s.CircuitOpened)
    assert opened.circuit == f"agent:{bad}" and opened.failures == CIRCUIT_FAILURES
    assert opened.until_ms == world.now_ms + CIRCUIT_OPEN_MS and opened.reason == "it broke"
    tasks = [world.submit() for _ in range(3)]
    for task in tasks:
        assert world.state.tasks[task].agent in (good, None)
    world.complete(tasks[0])
    assert world.state.tasks[tasks[1]].agent == good
    assert world.audit() == []


def test_a_batch_that_failed_as_a_whole_is_one_failure_of_its_agent() -> None:
    world = World()
    agent = world.team(1, tasks_max=CIRCUIT_FAILURES)[0]
    tasks = [world.submit(retry=ONCE) for _ in range(CIRCUIT_FAILURES)]
    for number, task in enumerate(tasks):
        world.send(
            c.ReportFailure(
                now_ms=world.now_ms,
                task=task,
                attempt=1,
                kind=FailureKind.ERROR,
                reason="In a batch of 5: it broke",
                shared=number > 0,
            )
        )
    assert {world.status(task) for task in tasks} == {TaskStatus.FAILED}
    found = circuit(world, agent)
    assert found is not None and found.failures == 1
    assert found.status is CircuitStatus.CLOSED


def test_tasks_of_an_agent_alone_wait_for_its_circuit_and_one_of_them_tries_it() -> None:
    world = World()
    agent = world.team(1, tasks_max=3)[0]
    failing(world, CIRCUIT_FAILURES)
    tasks = [world.submit(retry=ONCE) for _ in range(3)]
    assert {world.status(task) for task in tasks} == {TaskStatus.QUEUED}
    world.now_ms += CIRCUIT_OPEN_MS - 1
    assert not is_due(world.state, world.now_ms)
    world.tick()
    assert world.of(s.CircuitHalfOpened) == []
    assert is_due(world.state, world.now_ms + 1)
    world.tick(1)
    assert [world.status(task) for task in tasks] == [
        TaskStatus.ASSIGNED,
        TaskStatus.QUEUED,
        TaskStatus.QUEUED,
    ]
    world.complete(tasks[0])
    assert world.last(s.CircuitClosed).circuit == f"agent:{agent}"
    assert circuit(world, agent) is None
    assert {world.status(task) for task in tasks[1:]} == {TaskStatus.ASSIGNED}


def test_a_probe_that_fails_opens_the_circuit_again_and_for_as_long() -> None:
    world = World()
    agent = world.team(1)[0]
    failing(world, CIRCUIT_FAILURES)
    first, second = world.submit(retry=ONCE), world.submit(retry=ONCE)
    world.tick(CIRCUIT_OPEN_MS)
    world.fail(first)
    assert [each.failures for each in world.of(s.CircuitOpened)] == [5, 6]
    assert world.last(s.CircuitOpened).until_ms == world.now_ms + CIRCUIT_OPEN_MS
    assert world.status(second) is TaskStatus.QUEUED and circuit(world, agent) is not None


def test_a_probe_that_says_nothing_of_the_agent_is_followed_by_another() -> None:
    world = World()
    world.team(1)
    failing(world, CIRCUIT_FAILURES)
    first, second = world.submit(), world.submit()
    world.tick(CIRCUIT_OPEN_MS)
    world.fail(first, FailureKind.THROTTLED, wait_ms=1_000)
    assert world.status(second) is TaskStatus.ASSIGNED
    assert world.of(s.CircuitOpened)[1:] == [] and world.of(s.CircuitClosed) == []


def test_a_success_in_between_counts_anew() -> None:
    world = World()
    agent = world.team(1)[0]
    for _ in range(3):
        failing(world, CIRCUIT_FAILURES - 1)
        world.complete(world.submit())
        assert circuit(world, agent) is None
    assert world.of(s.CircuitOpened) == []


@pytest.mark.parametrize(
    "kind",
    [FailureKind.PERMANENT, FailureKind.KILLED, FailureKind.THROTTLED, FailureKind.AGENT_GONE],
)
def test_what_is_not_the_agents_fault_does_not_count(kind: FailureKind) -> None:
    world = World()
    agent = world.team(1)[0]
    failing(world, CIRCUIT_FAILURES, kind)
    assert circuit(world, agent) is None


def test_deadlines_that_pass_because_tasks_waited_too_long_are_not_the_agents_fault() -> None:
    world = World()
    agent = world.team(1)[0]
    for _ in range(3 * CIRCUIT_FAILURES):
        long = world.submit()
        late = world.submit(deadline_ms=world.now_ms + 10_000)
        world.tick(9_000)
        world.complete(long)
        assert world.state.tasks[late].agent == agent
        world.tick(1_000)
        assert world.status(late) is TaskStatus.FAILED
        assert world.state.tasks[late].reason == "its deadline passed"
        assert world.last(e.AttemptFailed).excused
    assert circuit(world, agent) is None
    assert world.state.agents[agent].failed == 0
    assert world.audit() == []


def test_who_has_most_of_a_tasks_time_and_misses_its_deadline_is_to_blame() -> None:
    world = World()
    agent = world.team(1)[0]
    for _ in range(CIRCUIT_FAILURES):
        long = world.submit()
        late = world.submit(deadline_ms=world.now_ms + 10_000)
        world.tick(5_000)
        world.complete(long)
        world.tick(5_000)
        assert world.status(late) is TaskStatus.FAILED
        assert not world.last(e.AttemptFailed).excused
        world.tick(1)
    assert world.state.agents[agent].failed == CIRCUIT_FAILURES


def test_a_failure_of_what_an_agent_called_through_its_circuit_is_not_the_agents() -> None:
    world = World()
    agent = world.team(1)[0]
    for _ in range(CIRCUIT_FAILURES):
        task = world.submit(retry=ONCE)
        world.send(
            c.ReportFailure(
                now_ms=world.now_ms,
                task=task,
                attempt=1,
                kind=FailureKind.ERROR,
                reason="503",
                circuit=ACME,
            )
        )
        assert world.status(task) is TaskStatus.FAILED
    assert circuit(world, agent) is None


def test_a_cancelled_attempt_and_a_death_with_several_count_as_none_and_as_one() -> None:
    world = World()
    agent = world.team(1, tasks_max=4)[0]
    task = world.submit()
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    world.fail(task)
    assert circuit(world, agent) is None
    for task in [world.submit() for _ in range(4)]:
        world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    world.lose(world.state.agents[agent].worker)
    found = circuit(world, agent)
    assert found is not None and found.failures == 1


def test_the_circuit_of_an_agent_goes_with_it() -> None:
    world = World()
    agent = world.team(1)[0]
    failing(world, CIRCUIT_FAILURES)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    world.settle()
    assert agent not in world.state.agents and world.state.supervised.circuits == {}


def test_a_swarm_may_have_other_limits() -> None:
    world = World(limits=Limits(circuit_failures=2, circuit_open_ms=500))
    world.team(1)
    failing(world, 2)
    assert world.last(s.CircuitOpened).until_ms == world.now_ms + 500


def test_somebody_may_close_a_circuit_and_only_one_that_has_counted() -> None:
    world = World()
    agent = world.team(1)[0]
    failing(world, CIRCUIT_FAILURES)
    task = world.submit()
    reset = sc.ResetCircuit(now_ms=world.now_ms, command="mine", circuit=f"agent:{agent}")
    assert world.send(reset).code is None
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.send(reset).code is None and len(world.of(s.CircuitClosed)) == 1
    again = sc.ResetCircuit(now_ms=world.now_ms, circuit=f"agent:{agent}")
    assert world.send(again).code == "unknown_id"


# What agents call ------------------------------------------------------------------------------


def outcome(world: World, succeeded: bool | None, name: str = ACME) -> str | None:
    command = sc.ReportOutcome(now_ms=world.now_ms, circuit=name, succeeded=succeeded, reason="503")
    return world.send(command).code


def try_it(world: World, name: str = ACME) -> str | None:
    return world.send(sc.TryCircuit(now_ms=world.now_ms, circuit=name)).code


def test_five_failures_of_a_provider_open_its_circuit_for_all_and_one_call_may_try_later() -> None:
    world = World()
    for _ in range(CIRCUIT_FAILURES):
        assert try_it(world) is None
        outcome(world, False)
    assert try_it(world) == "circuit_open"
    assert "after 5 failures in a row: 503" in world.last(e.CommandRefused).message
    assert try_it(world, "provider:other") is None
    world.tick(CIRCUIT_OPEN_MS)
    assert try_it(world) is None
    assert try_it(world) == "circuit_open"
    outcome(world, True)
    assert try_it(world) is None and world.state.supervised.circuits == {}


def test_a_probe_that_never_tells_how_it_went_is_followed_by_another_in_time() -> None:
    world = World()
    for _ in range(CIRCUIT_FAILURES):
        outcome(world, False)
    world.tick(CIRCUIT_OPEN_MS)
    assert try_it(world) is None and try_it(world) == "circuit_open"
    world.now_ms += CIRCUIT_OPEN_MS
    assert try_it(world) is None and try_it(world) == "circuit_open"
    outcome(world, None)
    assert try_it(world) is None


def test_calls_that_go_well_write_nothing_to_the_log() -> None:
    world = World()
    records = len(world.log)
    for _ in range(3):
        assert try_it(world) is None
        outcome(world, True)
    assert len(world.log) == records


@pytest.mark.parametrize("name", ["agent:agent_1", "acme", "provider:" + "x" * 200])
def test_a_worker_speaks_for_no_agents_circuit_and_for_none_without_a_kind(name: str) -> None:
    world = World()
    assert try_it(world, name) == "usage" and outcome(world, False, name) == "usage"
    assert outcome(world, True, name) is None
    assert world.state.supervised.circuits == {}


# The machine -----------------------------------------------------------------------------------

CALLS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(("ok", "bad", "lost"))))


@given(CALLS)
def test_whatever_comes_no_call_goes_while_open_and_one_at_most_while_half_open(
    calls: list[tuple[int, str]],
) -> None:
    """Held against a model in its own words: a count, a time, and whether one is trying."""
    policy = Policy(3, 50)
    circuits: dict[str, CircuitState] = {}
    now_ms, count, open_until, trying_since = 1_000, 0, None, None
    for wait, how in calls:
        now_ms += wait
        waits = wait_ms(circuits.get("x"), now_ms, policy)
        if open_until is not None and now_ms < open_until:
            assert waits == open_until - now_ms
            continue
        if trying_since is not None and now_ms < trying_since + 50:
            assert waits == trying_since + 50 - now_ms
            continue
        assert waits is None
        for event in asked("x", circuits.get("x")):
            fold(circuits, event, now_ms)
        if open_until is not None:
            trying_since = now_ms
        known = circuits.get("x")
        if how == "lost":
            continue
        events = succeeded("x", known) if how == "ok" else failed("x", known, now_ms, "no", policy)
        for event in events:
            fold(circuits, event, now_ms)
        count = 0 if how == "ok" else count + 1
        trying_since = None
        if how == "ok":
            open_until = None
        elif open_until is not None or count >= 3:
            open_until = now_ms + 50
        assert ("x" in circuits) == (count > 0)


def test_a_call_that_tells_nothing_gives_the_one_try_back() -> None:
    policy = Policy(1, 50)
    circuits: dict[str, CircuitState] = {}
    for event in failed("x", None, 0, "no", policy):
        fold(circuits, event, 0)
    for event in asked("x", circuits["x"]):
        fold(circuits, event, 60)
    assert wait_ms(circuits["x"], 60, policy) == 50
    for event in undecided("x", circuits["x"]):
        fold(circuits, event, 61)
    assert wait_ms(circuits["x"], 61, policy) is None


def test_ballots_neither_open_the_circuit_of_an_agent_nor_close_it() -> None:
    world = World()
    agent, _ = world.team(2)
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(retry=ONCE, agent=agent, type=CAST_BALLOT))
    assert circuit(world, agent) is None, "who has no opinion may be good at its work"
    world.fail(world.submit(retry=ONCE, agent=agent))
    world.complete(world.submit(agent=agent, type=CAST_BALLOT))
    found = circuit(world, agent)
    assert found is not None and found.failures == 1
