"""Tasks and plans that are accepted blocked, and phases of which so many tasks run at once."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.tasks import Phase, TaskSpec, TaskStatus

MODEL = "needs_model"


def parts(count: int) -> list[dict[str, object]]:
    return [{} for _ in range(count)]


def send(world: World, kind: type[c.CancelTask] | type[c.UnblockTask], task: str) -> str | None:
    return world.send(kind(now_ms=world.now_ms, task=task)).code


def test_a_task_that_is_accepted_blocked_is_never_given_out_until_it_is_unblocked() -> None:
    world = World()
    world.team(1)
    spec = TaskSpec(id="t")
    answer = world.send(c.SubmitTask(now_ms=world.now_ms, spec=spec, blocked=MODEL, command="c1"))
    assert answer.subject == "t" and world.state.tasks["t"].reason == MODEL
    assert world.status("t") is TaskStatus.BLOCKED and not world.of(e.TaskAssigned)
    again = world.send(c.SubmitTask(now_ms=world.now_ms, spec=spec, command="c1"))
    assert again.subject == "t"
    assert send(world, c.UnblockTask, "t") is None
    assert world.status("t") is TaskStatus.ASSIGNED


def test_a_task_that_waits_for_others_is_not_accepted_blocked() -> None:
    world = World()
    world.submit(id="a")
    spec = TaskSpec(id="b", depends_on=("a",))
    answer = world.send(c.SubmitTask(now_ms=world.now_ms, spec=spec, blocked=MODEL))
    assert answer.code == "usage" and "b" not in world.state.tasks


def test_a_task_that_was_blocked_when_it_ended_is_queued_again_as_blocked() -> None:
    world = World()
    world.team(1)
    world.send(c.SubmitTask(now_ms=world.now_ms, spec=TaskSpec(id="t"), blocked=MODEL))
    send(world, c.CancelTask, "t")
    retry = c.RetryTask(now_ms=world.now_ms, task="t", blocked=MODEL, command="again")
    assert world.send(retry).code is None and world.send(retry).code is None
    assert world.status("t") is TaskStatus.BLOCKED and world.state.tasks["t"].reason == MODEL
    assert not world.of(e.TaskAssigned)


def test_of_a_blocked_plan_nothing_runs_and_it_goes_on_when_it_is_unblocked() -> None:
    world = World()
    world.team(4)
    root, (first, second) = world.plan(parts(2), parts(1), blocked=MODEL)
    assert world.status(root) is TaskStatus.BLOCKED and world.state.tasks[root].reason == MODEL
    assert {world.status(name) for name in (*first, *second)} == {TaskStatus.PENDING}
    world.tick(10**6)
    assert not world.of(e.TaskAssigned) and world.audit() == []
    assert send(world, c.UnblockTask, root) is None
    assert world.status(root) is TaskStatus.ORCHESTRATING and world.running() == first
    assert world.state.tasks[root].reason is None
    for name in (*first, *second):
        world.complete(name)
    assert world.status(root) is TaskStatus.COMPLETED
    assert send(world, c.UnblockTask, root) == "not_blocked"


def test_a_sequential_plan_goes_on_with_its_first_task_only() -> None:
    world = World()
    world.team(4)
    root, (first,) = world.plan(parts(3), sequential=(0,), blocked=MODEL)
    send(world, c.UnblockTask, root)
    assert world.running() == first[:1]


def test_a_blocked_plan_is_cancelled_with_all_its_parts_and_by_its_deadline() -> None:
    for by_deadline in (False, True):
        world = World()
        world.team(1)
        root, (first, second) = world.plan(
            parts(2), parts(1), blocked=MODEL, deadline_ms=world.now_ms + 1_000
        )
        if by_deadline:
            world.tick(1_000)
        else:
            assert send(world, c.CancelTask, root) is None
        assert {world.status(name) for name in (root, *first, *second)} == {TaskStatus.CANCELLED}
        assert world.state.live == 0 and world.audit() == []


def test_parts_that_end_while_their_plan_is_blocked_open_nothing() -> None:
    world = World()
    world.team(2)
    root, (first, second) = world.plan(parts(2), parts(1), threshold_bp=10_000, blocked=MODEL)
    for name in first:
        send(world, c.CancelTask, name)
    assert world.status(root) is TaskStatus.BLOCKED
    assert world.status(second[0]) is TaskStatus.PENDING
    send(world, c.UnblockTask, root)
    assert world.running() == second
    world.complete(second[0])
    assert world.status(root) is TaskStatus.COMPLETED


def test_a_blocked_plan_whose_parts_have_all_ended_fails_and_says_why() -> None:
    world = World()
    root, (only,) = world.plan(parts(2), threshold_bp=10_000, blocked=MODEL)
    for name in only:
        send(world, c.CancelTask, name)
    assert world.status(root) is TaskStatus.FAILED
    assert world.state.tasks[root].reason == "all its parts ended while it was blocked"


def test_a_part_whose_own_wait_ends_while_its_plan_is_blocked_stays() -> None:
    world = World()
    world.team(2)
    world.submit(id="before")
    root, (only,) = world.plan([{"depends_on": ("before",)}], blocked=MODEL)
    world.complete("before")
    assert world.status(only[0]) is TaskStatus.PENDING and world.audit() == []
    send(world, c.UnblockTask, root)
    assert world.status(only[0]) is TaskStatus.ASSIGNED


def test_a_plan_that_is_under_way_cannot_be_blocked() -> None:
    world = World()
    root, _ = world.plan(parts(1))
    answer = world.send(c.BlockTask(now_ms=world.now_ms, task=root, missing=MODEL))
    assert answer.code == "not_queued"


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_so_many_tasks_of_a_phase_are_under_way_at_once_and_no_more(width: int) -> None:
    world = World()
    world.team(10)
    root, (only,) = world.plan(parts(7), widths={0: width})
    done: list[str] = []
    while len(done) < len(only):
        running = world.running()
        assert running == [n for n in only if n not in done][:width]
        # The last of them, so that turns are not simply taken in order.
        world.complete(running[-1])
        done.append(running[-1])
    assert world.status(root) is TaskStatus.COMPLETED


def test_a_task_that_is_tried_again_keeps_its_turn() -> None:
    world = World()
    world.team(5)
    _, (only,) = world.plan(parts(4), widths={0: 2})
    world.fail(only[0])
    assert world.running() == [only[1]] and world.status(only[0]) is TaskStatus.PENDING
    world.complete(only[1])
    assert world.running() == [only[2]]
    world.tick(5_000)
    assert world.running() == [only[0], only[2]]


def test_a_failed_task_within_the_threshold_gives_its_turn_on() -> None:
    world = World()
    world.team(5)
    _, (only,) = world.plan(parts(4), widths={0: 2}, threshold_bp=5_000)
    send(world, c.CancelTask, only[3])
    send(world, c.CancelTask, only[0])
    world.fail(only[0])
    assert world.status(only[0]) is TaskStatus.CANCELLED
    assert world.running() == [only[1], only[2]]


def test_a_width_holds_for_its_phase_alone() -> None:
    world = World()
    world.team(9)
    _, (first, second) = world.plan(parts(3), parts(3), widths={1: 1})
    assert world.running() == first
    for name in first:
        world.complete(name)
    assert world.running() == second[:1]


def test_a_width_that_means_nothing_is_refused() -> None:
    for phase in (
        Phase("a", (TaskSpec(id="x", parent="r", phase="a"),), width=-1),
        Phase("a", (TaskSpec(id="x", parent="r", phase="a"),), sequential=True, width=2),
    ):
        world = World()
        command = c.SubmitPlan(now_ms=world.now_ms, spec=TaskSpec(id="r"), phases=(phase,))
        assert world.send(command).code == "usage" and not world.state.tasks
