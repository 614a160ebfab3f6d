"""A crash after each durable write of a scenario leads to the end that an undisturbed run has."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.tasks import Phase, RetryPolicy, TaskSpec, TaskStatus

FAILING = "check-2"


def submit(world: World) -> None:
    """A plan of two phases and a task beside it; one part fails twice before it succeeds."""
    parts = {
        name: tuple(
            TaskSpec(
                id=f"{name}-{number}",
                parent="plan",
                phase=name,
                capabilities=("python",),
                retry=RetryPolicy(base_ms=10, jitter_bp=0),
            )
            for number in range(3)
        )
        for name in ("make", "check")
    }
    phases = tuple(Phase(name, tasks) for name, tasks in parts.items())
    plan = TaskSpec(id="plan")
    world.send(
        c.SubmitPlan(now_ms=world.now_ms, spec=plan, phases=phases, command="submit the plan")
    )
    alone = TaskSpec(id="alone", capabilities=("python",))
    world.send(c.SubmitTask(now_ms=world.now_ms, spec=alone, command="submit the task"))


def drive(world: World) -> dict[str, tuple[TaskStatus, bytes | None]]:
    """Let everything happen until nothing is left to do; what became of each task."""
    submit(world)
    for _ in range(200):
        world.tick(100)
        world.settle(2)
        for name, task in list(world.state.tasks.items()):
            if task.status not in (TaskStatus.ASSIGNED, TaskStatus.RUNNING):
                continue
            if name == FAILING and task.failures < 2:
                world.fail(name)
            else:
                world.complete(name, result=name.encode())
        if not world.state.live:
            break
    return {n: (t.status, t.result.inline) for n, t in world.state.tasks.items()}


def begin() -> World:
    world = World()
    world.spawn("python")
    world.spawn("python", "review")
    world.settle()
    return world


@pytest.mark.acceptance("durable")
def test_a_crash_after_any_write_changes_nothing_of_the_end() -> None:
    calm = begin()
    first = len(calm.log)
    expected = drive(calm)
    assert {status for status, _ in expected.values()} == {TaskStatus.COMPLETED}
    assert len(calm.log) - first >= 12
    for writes in range(first, len(calm.log) + 1):
        again = World()
        again.log = calm.log[:writes]
        again.state = calm.replay(writes)
        again.now_ms = again.state.now_ms
        again.names = calm.names
        again.send(c.Recover(now_ms=again.now_ms))
        assert drive(again) == expected, f"killed after write {writes}"
        assert again.audit() == []
        done = [event.task for event in again.events() if isinstance(event, e.TaskCompleted)]
        assert len(done) == len(set(done)) == len(expected)
