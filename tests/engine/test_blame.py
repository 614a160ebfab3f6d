"""Who is judged when a worker dies: the tasks that were open in it, else the worker itself."""

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.limits import CRASHES_PER_TASK_MAX, RESTARTS_MAX, Limits
from visionflow.domain.tasks import TaskStatus
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
