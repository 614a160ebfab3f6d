"""Plans: phases, dependencies, thresholds, and what happens to the rest when a part fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.tasks import Backoff, FailureKind, Payload, RetryPolicy, TaskSpec, TaskStatus
from visionflow.engine.effects import dispatch

ONCE = RetryPolicy(backoff=Backoff.NONE)
QUICK = RetryPolicy(backoff=Backoff.LINEAR, attempts_max=3, base_ms=1_000, jitter_bp=0)


def parts(count: int, **fields: object) -> list[dict[str, object]]:
    return [dict(fields) for _ in range(count)]


def statuses(world: World, names: list[str]) -> list[str]:
    return [world.status(name).value for name in names]


@pytest.mark.acceptance("task-parallel")
def test_the_parts_of_a_parallel_phase_run_at_the_same_time() -> None:
    world = World()
    world.team(8)
    _, (phase,) = world.plan(parts(8))
    assert world.running() == phase


@pytest.mark.acceptance("task-parallel")
def test_a_phase_starts_when_the_one_before_has_ended_and_not_earlier() -> None:
    world = World()
    world.team(4)
    root, (first, second) = world.plan(parts(2), parts(2))
    assert world.status(root) is TaskStatus.ORCHESTRATING
    world.complete(first[0])
    assert statuses(world, second) == ["pending", "pending"]
    world.complete(first[1])
    assert statuses(world, second) == ["assigned", "assigned"]
    for name in second:
        world.complete(name)
    assert world.status(root) is TaskStatus.COMPLETED


@pytest.mark.acceptance("task-parallel")
def test_in_a_sequential_phase_one_part_runs_after_the_other() -> None:
    world = World()
    world.team(4)
    root, (only,) = world.plan(parts(4), sequential=(0,))
    for name in only:
        assert world.running() == [name]
        world.complete(name)
    assert world.status(root) is TaskStatus.COMPLETED


def test_a_sequential_phase_opens_after_a_parallel_one_with_its_first_part_only() -> None:
    world = World()
    world.team(4)
    _, (first, second) = world.plan(parts(2), parts(3), sequential=(1,))
    for name in first:
        world.complete(name)
    assert world.running() == [second[0]]


def test_a_part_that_waits_for_its_retry_holds_its_sequential_phase() -> None:
    world = World()
    world.team(2)
    _, (only,) = world.plan(parts(2, retry=QUICK), sequential=(0,))
    world.fail(only[0])
    world.tick(999)
    assert statuses(world, only) == ["pending", "pending"]
    world.tick(1)
    assert world.running() == [only[0]]
    world.complete(only[0])
    assert world.running() == [only[1]]


def test_a_part_that_waits_for_its_retry_holds_the_next_phase() -> None:
    world = World()
    world.team(4)
    _, (first, second) = world.plan(parts(2, retry=QUICK), parts(1))
    world.fail(first[0])
    world.complete(first[1])
    assert world.status(second[0]) is TaskStatus.PENDING
    world.tick(1_000)
    world.complete(first[0])
    assert world.status(second[0]) is TaskStatus.ASSIGNED


@pytest.mark.acceptance("task-partial")
def test_one_of_eight_parts_may_fail_at_a_threshold_of_a_fifth_and_is_named() -> None:
    world = World()
    world.team(8)
    root, (phase,) = world.plan(parts(8, retry=ONCE), threshold_bp=2_000)
    world.fail(phase[3])
    for name in phase:
        if name != phase[3]:
            world.complete(name)
    assert world.status(root) is TaskStatus.COMPLETED
    done = world.last(e.TaskCompleted)
    assert done.task == root and done.failed_parts == (phase[3],)
    assert statuses(world, phase).count("completed") == 7


@pytest.mark.acceptance("task-partial")
def test_two_of_eight_exceed_a_threshold_of_a_fifth_and_the_rest_is_cancelled() -> None:
    world = World()
    world.team(4)
    root, (phase, later) = world.plan(parts(8, retry=ONCE), parts(2), threshold_bp=2_000)
    world.complete(phase[0])
    world.fail(phase[1])
    assert world.status(root) is TaskStatus.ORCHESTRATING
    world.fail(phase[2])
    assert world.status(root) is TaskStatus.FAILED
    assert world.state.tasks[root].reason == (
        "phase phase0: 2 of 8 failed, and 20 % may; 7 that had not ended are cancelled"
    )
    why = "its plan failed: phase phase0: 2 of 8 failed, and 20 % may"
    assert {world.state.tasks[name].reason for name in later} == {why}
    running = [name for name in phase if world.status(name) is TaskStatus.ASSIGNED]
    assert all(world.state.tasks[name].cancelling for name in running) and running
    for name in running:
        world.fail(name)
    ended = statuses(world, phase)
    assert (ended.count("completed"), ended.count("failed"), ended.count("cancelled")) == (1, 2, 5)
    assert statuses(world, later) == ["cancelled", "cancelled"]


def test_a_plan_of_which_nothing_came_has_failed_however_many_may_fail() -> None:
    world = World()
    world.team(2)
    root, (first, second) = world.plan(
        parts(1, retry=ONCE), parts(1, retry=ONCE), threshold_bp=10_000
    )
    world.fail(first[0])
    assert world.status(root) is TaskStatus.ORCHESTRATING
    world.fail(second[0])
    assert world.status(root) is TaskStatus.FAILED
    assert world.state.tasks[root].reason == "none of its 2 parts completed"


def test_exactly_the_threshold_is_not_above_it() -> None:
    world = World()
    world.team(4)
    root, (phase,) = world.plan(parts(4, retry=ONCE), threshold_bp=2_500)
    world.fail(phase[0])
    assert world.status(root) is TaskStatus.ORCHESTRATING
    world.fail(phase[1])
    assert world.status(root) is TaskStatus.FAILED


@pytest.mark.acceptance("task-partial")
def test_without_a_threshold_the_first_failed_part_fails_the_plan() -> None:
    world = World()
    world.team(2)
    root, (phase,) = world.plan(parts(3, retry=ONCE))
    world.fail(phase[0])
    assert world.status(root) is TaskStatus.FAILED


def test_the_next_phase_gets_the_results_of_the_one_before_less_what_failed() -> None:
    world = World()
    world.team(3)
    _, (first, second) = world.plan(parts(3, retry=ONCE), parts(1), threshold_bp=5_000)
    world.complete(first[0], result=b"\x05")
    world.fail(first[1])
    world.complete(first[2], result=b"\x06")
    message = dispatch(world.state, world.state.tasks[second[0]])
    assert message.dependencies == (
        (first[0], Payload(inline=b"\x05")),
        (first[2], Payload(inline=b"\x06")),
    )


def test_a_part_may_depend_on_an_earlier_part_and_on_a_task_outside() -> None:
    world = World()
    world.team(4)
    outside = world.submit()
    root, (phase,) = world.plan(
        [{"id": "p1"}, {"id": "p2", "depends_on": ("p1", outside)}], sequential=()
    )
    world.complete("p1")
    assert world.status("p2") is TaskStatus.PENDING
    world.complete(outside)
    assert world.status("p2") is TaskStatus.ASSIGNED
    world.complete("p2")
    assert (world.status(root), phase) == (TaskStatus.COMPLETED, ["p1", "p2"])


def test_a_part_of_a_later_phase_waits_for_it_though_its_dependency_is_there_early() -> None:
    world = World()
    world.team(4)
    outside = world.submit()
    world.plan([{"id": "a"}], [{"id": "b", "depends_on": (outside,)}])
    world.complete(outside)
    assert world.status("b") is TaskStatus.PENDING
    world.complete("a")
    assert world.status("b") is TaskStatus.ASSIGNED


def test_a_later_part_that_fails_by_its_dependency_counts_and_the_plan_settles() -> None:
    world = World()
    world.team(4)
    outside = world.submit(retry=ONCE)
    root, _ = world.plan(
        [{"id": "a"}], [{"id": "b", "depends_on": (outside,)}, {"id": "d"}], threshold_bp=5_000
    )
    world.fail(outside)
    assert world.status("b") is TaskStatus.FAILED
    world.complete("a")
    assert world.status("d") is TaskStatus.ASSIGNED
    world.complete("d")
    assert world.last(e.TaskCompleted).failed_parts == ("b",)
    assert world.status(root) is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    "root",
    [{"depends_on": ("other",)}, {"parent": "other"}],
)
def test_a_root_that_waits_for_others_is_refused_rather_than_started_early(
    root: dict[str, object],
) -> None:
    world = World()
    world.submit(id="other")
    name, _ = world.plan(parts(1), **root)
    assert world.answer.code == "usage" and name not in world.state.tasks


def test_a_part_that_waits_for_its_own_plan_is_refused_because_both_would_wait_for_ever() -> None:
    world = World()
    world.plan([{"depends_on": ("root",)}], id="root")
    assert world.answer.code == "unknown_task" and "root" not in world.state.tasks


@pytest.mark.parametrize("phases", [[], [[]], [[{}], []]])
def test_a_plan_without_a_task_in_every_phase_is_refused(
    phases: list[list[dict[str, object]]],
) -> None:
    world = World()
    world.plan(*phases)
    assert world.answer.code == "usage" and not world.state.tasks


def test_a_part_is_accepted_only_with_its_plan() -> None:
    world = World()
    root, _ = world.plan(parts(1))
    spec = TaskSpec(id="stowaway", parent=root, phase="phase0")
    assert world.send(c.SubmitTask(now_ms=world.now_ms, spec=spec)).code == "usage"


def test_a_refused_plan_leaves_nothing_behind() -> None:
    world = World()
    world.plan([{"id": "same"}, {"id": "same"}])
    assert world.answer.code == "duplicate_id"
    assert not world.state.tasks and not world.of(e.TaskSubmitted)


def test_a_crash_of_the_worker_under_all_parts_repeats_them_and_the_plan_completes() -> None:
    world = World()
    world.team(3)
    root, (first, second) = world.plan(parts(3), parts(1))
    world.send(c.Recover(now_ms=world.now_ms))
    world.settle()
    for name in (*first, *second):
        assert world.state.tasks[name].attempt >= 1
        world.complete(name)
    assert world.status(root) is TaskStatus.COMPLETED


@given(st.data())
def test_phases_never_overlap_and_every_plan_settles(data: st.DataObject) -> None:
    """Whatever the order of ends and retries; each record is checked by the auditor too."""
    world = World()
    world.team(data.draw(st.integers(1, 3)), tasks_max=2)
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    sequential = tuple(n for n in range(len(shape)) if data.draw(st.booleans()))
    threshold = data.draw(st.sampled_from((0, 2_500, 5_000, 10_000)))
    root, phases = world.plan(
        *(parts(count, retry=QUICK) for count in shape),
        sequential=sequential,
        threshold_bp=threshold,
    )
    for _ in range(500):
        if not world.state.live:
            break
        running = world.running()
        if not running:
            world.tick(10_000)
            continue
        where = {number for number, names in enumerate(phases) if set(names) & set(running)}
        if world.status(root) is TaskStatus.ORCHESTRATING:
            assert len(where) == 1
            if next(iter(where)) in sequential:
                assert len(running) == 1
        name = data.draw(st.sampled_from(running))
        if data.draw(st.integers(0, 3)):
            world.complete(name)
        else:
            world.fail(name, data.draw(st.sampled_from(list(FailureKind))))
        assert world.audit() == []
    assert world.status(root) in (TaskStatus.COMPLETED, TaskStatus.FAILED)
    assert world.state.live == 0


def test_a_phase_that_uses_others_gets_what_they_have_and_does_not_fail_with_them() -> None:
    world = World()
    world.team(4)
    root, (_, second, _) = world.plan(
        [{"id": "good", "retry": ONCE}, {"id": "bad", "retry": ONCE}],
        parts(1),
        [{"id": "last"}],
        uses={2: ("phase0",)},
        threshold_bp=10_000,
    )
    world.complete("good", result=b"1")
    world.fail("bad")
    world.complete(second[0], result=b"2")
    assert world.status("last") is TaskStatus.ASSIGNED
    given = dict(dispatch(world.state, world.state.tasks["last"]).dependencies)
    assert given == {"good": Payload(inline=b"1"), second[0]: Payload(inline=b"2")}
    world.complete("last")
    assert world.status(root) is TaskStatus.COMPLETED


def test_a_phase_can_use_only_earlier_phases() -> None:
    for used in ("phase1", "phase2", "nothing"):
        world = World()
        world.plan(parts(1), parts(1), parts(1), uses={1: (used,)})
        assert world.answer.code == "unknown_id"
