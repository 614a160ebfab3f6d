"""Who is judged when a worker dies: the tasks that were open in it, else the worker itself."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.limits import CRASHES_PER_TASK_MAX, RESTARTS_MAX, Limits
from visionflow.domain.tasks import FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.effects import Deliver, dispatch, outstanding


def deaths(world: World, task: str, begun: bool) -> int:
    """Lose the worker under a task until that has ended; how often it took."""
    count = 0
    while world.state.tasks[task].status not in (TaskStatus.FAILED, TaskStatus.DEAD_LETTER):
        world.now_ms += 8_000
        world.settle()
        if begun:
            attempt = world.state.tasks[task].attempt
            world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=attempt))
        world.lose("w1")
        count += 1
        assert count < 50
    return count


def test_tasks_that_end_their_worker_cost_no_other_task_its_agent() -> None:
    world = World(limits=Limits(workers_max=1, circuit_failures=100))
    agent = world.team(1)[0]
    for _ in range(RESTARTS_MAX + 1):
        assert deaths(world, world.submit(), begun=True) == CRASHES_PER_TASK_MAX
    assert world.state.workers["w1"].status is not WorkerStatus.FAILED
    world.now_ms += 8_000
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert all(lost.busy for lost in world.of(e.WorkerLost))
    assert world.replay().workers["w1"].deaths == world.state.workers["w1"].deaths


def test_a_worker_that_dies_without_work_is_judged_itself_also_after_such_deaths() -> None:
    world = World(limits=Limits(workers_max=1))
    world.team(1)
    deaths(world, world.submit(), begun=True)
    for _ in range(RESTARTS_MAX + 1):
        assert world.state.workers["w1"].status is not WorkerStatus.FAILED
        world.now_ms += 8_000
        world.settle()
        world.lose("w1")
    assert not world.last(e.WorkerLost).busy
    assert world.state.workers["w1"].status is WorkerStatus.FAILED


def test_an_attempt_after_one_that_went_with_its_worker_is_suspect() -> None:
    world = World(limits=Limits(workers_max=1))
    world.team(1)
    task = world.submit()
    assert not dispatch(world.state, world.state.tasks[task]).suspect
    world.lose("w1")
    world.settle()
    assert [x for x in outstanding(world.state) if isinstance(x, Deliver)] != []
    assert dispatch(world.state, world.state.tasks[task]).suspect


# Several in one process ----------------------------------------------------------------------


def begin(world: World, *tasks: str) -> None:
    for task in tasks:
        attempt = world.state.tasks[task].attempt
        world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=attempt))


def die_under(world: World, *tasks: str, kind: FailureKind = FailureKind.CRASH) -> None:
    """The process of the first of these tasks dies while they run, and all is built again."""
    begin(world, *tasks)
    holder = world.state.tasks[tasks[0]].agent
    assert holder is not None
    world.lose(world.state.agents[holder].worker, kind)
    world.now_ms += 8_000
    world.settle()


def beside() -> tuple[World, list[str], str, str]:
    """A world, its two agents in one process, and a task for each."""
    world = World(limits=Limits(workers_max=1))
    agents = world.team(2)
    return world, agents, world.submit(agent=agents[0]), world.submit(agent=agents[1])


def test_of_two_that_worked_in_a_process_that_died_neither_is_taken_to_have_ended_it() -> None:
    world, agents, bad, good = beside()
    die_under(world, bad, good)
    ends = world.of(e.AttemptFailed)
    assert [each.kind for each in ends] == [FailureKind.KILLED] * 2
    told = f"agents {agents[0]}, {agents[1]} worked in it, and whose doing it was is not known"
    assert all(told in each.reason for each in ends)
    assert not world.state.supervised.circuits
    assert {agent.worker for agent in world.state.agents.values()} == {"w1"}, "it may be chance"


def test_agents_whose_process_dies_again_under_them_part_and_then_one_is_known() -> None:
    world, agents, bad, good = beside()
    die_under(world, bad, good)
    die_under(world, bad, good)
    places = [world.state.agents[name].worker for name in agents]
    assert len({*places, "w1"}) == 3, places
    assert all(world.state.agents[name].status is not AgentStatus.FAILED for name in agents)
    begin(world, good)
    for _ in range(CRASHES_PER_TASK_MAX):
        assert world.status(bad) is TaskStatus.ASSIGNED
        die_under(world, bad)
    assert world.status(bad) is TaskStatus.DEAD_LETTER
    world.complete(good)
    assert world.status(good) is TaskStatus.COMPLETED
    assert list(world.state.supervised.circuits) == [f"agent:{agents[0]}"]
    assert world.audit() == []
    assert world.replay().digest() == world.state.digest()


@pytest.mark.parametrize("kind", [FailureKind.KILLED, FailureKind.NETWORK])
def test_agents_whose_process_is_killed_a_third_time_under_them_part(kind: FailureKind) -> None:
    world, agents, bad, good = beside()
    for _ in range(2):
        die_under(world, bad, good, kind=kind)
        assert {agent.worker for agent in world.state.agents.values()} == {"w1"}
    die_under(world, bad, good, kind=kind)
    places = [world.state.agents[name].worker for name in agents]
    assert len({*places, "w1"}) == 3, places
    begin(world, good)
    die_under(world, bad, kind=kind)
    assert world.status(good) is TaskStatus.RUNNING, "the other one goes on undisturbed"
    world.complete(good)
    assert world.status(good) is TaskStatus.COMPLETED
    assert world.audit() == []
    assert world.replay().digest() == world.state.digest()


def test_an_orchestrator_that_ends_again_and_again_parts_nobody() -> None:
    world, _, bad, good = beside()
    for _ in range(4):
        begin(world, bad, good)
        world.send(c.Recover(now_ms=world.now_ms))
        world.now_ms += 8_000
        world.settle()
    assert world.state.tasks[good].kills == 4
    assert {agent.worker for agent in world.state.agents.values()} == {"w1"}


def test_who_waited_in_a_process_that_another_ended_is_told_so_and_stays_where_it_is() -> None:
    world, agents, bad, waiting = beside()
    for _ in range(CRASHES_PER_TASK_MAX):
        die_under(world, bad)
    assert world.status(bad) is TaskStatus.DEAD_LETTER
    assert world.status(waiting) is TaskStatus.ASSIGNED
    (first, *_) = [each for each in world.of(e.AttemptFailed) if each.task == waiting]
    assert first.kind is FailureKind.KILLED
    assert first.reason.endswith("nobody had heard yet that the attempt began")
    assert world.state.agents[agents[1]].worker == "w1"


# One that blocks them all ----------------------------------------------------------------------


def test_of_several_in_a_process_that_one_blocked_beyond_its_limit_only_that_one_is_late() -> None:
    world = World(limits=Limits(workers_max=1))
    agents = world.team(2, tasks_max=2)
    late = world.submit(agent=agents[0], timeout_ms=2_000)
    beside, other = (world.submit(agent=name, timeout_ms=300_000) for name in agents)
    begin(world, late, beside, other)
    world.now_ms += 6_000
    world.lose("w1", FailureKind.TIMEOUT)
    kinds = {each.task: each.kind for each in world.of(e.AttemptFailed)}
    assert kinds == {
        late: FailureKind.TIMEOUT,
        beside: FailureKind.KILLED,
        other: FailureKind.KILLED,
    }
    assert world.state.supervised.timeouts == {late: 3_000}
    assert list(world.state.supervised.circuits) == [f"agent:{agents[0]}"]
    assert world.state.agents[agents[1]].failed == 0
    told = {each.task: each.reason for each in world.of(e.AttemptFailed)}
    assert "its own time was not over" in told[other]
    assert "its own time was not over" not in told[late]
    assert world.audit() == []


def test_a_start_that_blocks_a_process_is_nobodys_timeout_who_worked_in_it() -> None:
    world, _, one, two = beside()
    begin(world, one, two)
    world.now_ms += 6_000
    world.lose("w1", FailureKind.TIMEOUT)
    assert {each.kind for each in world.of(e.AttemptFailed)} == {FailureKind.KILLED}
    assert not world.state.supervised.circuits and not world.state.supervised.timeouts


def test_who_blocks_a_process_under_others_again_gets_one_of_its_own_and_they_stay() -> None:
    world = World(limits=Limits(workers_max=1, circuit_failures=100))
    bad, good = world.team(2)
    long = world.submit(agent=good, timeout_ms=300_000)
    for _ in range(2):
        assert world.state.agents[bad].worker == "w1"
        late = world.submit(agent=bad, timeout_ms=2_000, retry=RetryPolicy(attempts_max=1))
        begin(world, late, long)
        world.now_ms += 6_000
        world.lose("w1", FailureKind.TIMEOUT)
        assert world.status(late) is TaskStatus.FAILED
        world.now_ms += 8_000
        world.settle()
    assert world.state.agents[bad].worker != "w1" and world.state.agents[good].worker == "w1"
    begin(world, long)
    world.complete(long)
    assert world.state.tasks[long].attempt == 3
    assert world.audit() == []


def test_a_newcomer_whose_start_blocks_the_process_under_work_is_built_elsewhere() -> None:
    world = World(limits=Limits(workers_max=1))
    (good,) = world.team(1)
    long = world.submit(agent=good, timeout_ms=300_000)
    (other,) = [world.submit(agent=good, timeout_ms=300_000)]
    begin(world, long)
    new = world.spawn("python")
    world.now_ms += 6_000
    world.lose("w1", FailureKind.TIMEOUT)
    assert world.state.agents[new].worker != "w1", "nothing that ran in it was late"
    assert world.state.agents[good].worker == "w1"
    assert world.status(other) is TaskStatus.QUEUED
    assert world.audit() == []
