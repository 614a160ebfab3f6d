"""Tasks that agents have done by the swarm, and waiting for what comes of them."""

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.limits import DELEGATIONS_DEEP_MAX, TERMINAL_TASKS_MAX, Limits
from visionflow.domain.tasks import Payload, RetryPolicy, TaskStatus
from visionflow.engine.decide.deadlocks import is_deadlocked


def test_a_delegated_task_is_a_task_of_the_swarm_and_the_same_again_is_none_more() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    sub = world.delegate(task, type="check")
    assert world.answer.code is None
    assert world.state.supervised.delegated == {sub: task}
    world.delegate(task, id=sub, type="check")
    assert world.answer.code is None
    assert [each.spec.id for each in world.of(e.TaskSubmitted)] == [task, sub]
    other = world.submit()
    world.delegate(other, id=sub)
    assert world.answer.code == "duplicate_id" or world.answer.code == "stale_attempt"


def test_a_second_attempt_finds_what_the_first_delegated_and_a_stale_one_delegates_none() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    sub = world.delegate(task)
    world.fail(task)
    world.delegate(task)
    assert world.answer.code == "stale_attempt"
    world.complete(sub)
    world.tick(20_000)
    world.delegate(task, id=sub)
    assert world.answer.code is None and world.wait(task, sub) is None
    assert len(world.of(e.TaskSubmitted)) == 2


def test_tasks_that_delegate_one_another_end_somewhere_and_ended_ones_do_not_count() -> None:
    world = World()
    world.team(DELEGATIONS_DEEP_MAX + 2)
    first = task = world.submit()
    for number in range(DELEGATIONS_DEEP_MAX):
        task = world.delegate(task, description=str(number))
        assert world.answer.code is None
    world.delegate(task)
    assert world.answer.code == "limit_reached"
    assert f"more than {DELEGATIONS_DEEP_MAX} that delegated one another" in world.answer.message
    world.complete(first)
    world.delegate(task)
    assert world.answer.code is None, "one that has ended waits for nothing"


def test_what_asks_for_the_very_same_as_two_above_it_is_not_delegated_again() -> None:
    world = World()
    world.team(4)
    first = world.submit()
    again = {"type": "x", "input": Payload(inline=b"\x80")}
    one = world.delegate(first, **again)
    two = world.delegate(one, **again)
    assert world.answer.code is None
    world.delegate(two, **again)
    assert world.answer.code == "limit_reached" and "the very same" in world.answer.message
    assert "ask for what another agent offers" in (world.answer.hint or "")
    for other in ({"input": Payload(inline=b"\x81")}, {"type": "y"}, {"description": "else"}):
        world.delegate(two, **{**again, **other})
        assert world.answer.code is None
    world.complete(one)
    world.delegate(two, **again)
    assert world.answer.code is None, "one that has ended asks for nothing any more"


def test_a_wait_stands_in_the_state_until_it_is_given_up_or_its_attempt_ends() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    sub = world.delegate(task)
    assert world.wait(task, sub) is None and world.wait(task, sub) is None
    assert world.state.supervised.waits == {task: {sub: None}}
    world.complete(sub)
    assert world.state.awaiters == {sub: {task: None}}, "its result is kept until it was heard"
    world.end_wait(task, sub)
    assert world.state.supervised.waits == {} and world.state.awaiters == {}
    world.wait(task, sub)
    world.fail(task)
    assert world.state.supervised.waits == {} and world.state.awaiters == {}
    assert world.audit() == []


def test_what_nobody_knows_and_oneself_is_not_waited_for() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    assert world.wait(task, "task_no") == "unknown_task"
    assert world.wait(task, task) == "usage"


def test_results_are_kept_while_the_task_that_delegated_lives_and_leave_then() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    sub = world.delegate(task)
    world.complete(sub)
    for _ in range(2 * TERMINAL_TASKS_MAX + 2):
        world.complete(world.submit())
    assert sub in world.state.tasks and sub not in world.state.finished
    world.complete(task)
    for _ in range(2 * TERMINAL_TASKS_MAX + 2):
        world.complete(world.submit())
    assert sub not in world.state.tasks


def test_a_sub_task_that_only_its_waiting_agent_could_do_is_a_deadlock() -> None:
    world = World()
    world.team(1, "python")
    task = world.submit(capabilities=("python",))
    sub = world.delegate(task, capabilities=("python",))
    assert world.status(sub) is TaskStatus.QUEUED
    world.wait(task, sub)
    found = world.last(s.DeadlockFound)
    assert found.ring == (task, sub) and found.broken == task
    assert f"{sub} is queued for agents that are all taken by tasks that wait" in found.waits
    assert world.status(sub) is TaskStatus.ASSIGNED
    world.complete(sub)
    world.tick(1_000)
    assert world.status(task) is TaskStatus.ASSIGNED
    world.delegate(task, id=sub)
    world.wait(task, sub)
    assert len(world.of(s.DeadlockFound)) == 1


def test_while_another_agent_could_do_it_or_has_a_turn_left_it_is_none() -> None:
    for agents, tasks_max in ((2, 1), (1, 2)):
        world = World()
        world.team(agents, tasks_max=tasks_max)
        task, busy = world.submit(), world.submit()
        sub = world.delegate(task)
        world.wait(task, sub)
        assert world.of(s.DeadlockFound) == [] and world.status(sub) is TaskStatus.QUEUED
        world.complete(busy)
        assert world.status(sub) is TaskStatus.ASSIGNED


def test_all_turns_taken_by_tasks_that_wait_for_queued_ones_are_a_deadlock() -> None:
    world = World()
    world.team(2)
    one, two = world.submit(), world.submit()
    first, second = world.delegate(one), world.delegate(two)
    world.wait(one, first)
    assert world.of(s.DeadlockFound) == []
    world.wait(two, second)
    assert len(world.of(s.DeadlockFound)) == 1
    assert not is_deadlocked(world.state) and world.status(first) is TaskStatus.ASSIGNED


def test_waiting_for_each_others_results_is_a_deadlock() -> None:
    world = World()
    world.team(3)
    one, two, three = world.submit(), world.submit(), world.submit()
    world.wait(one, two)
    world.wait(two, three)
    assert world.of(s.DeadlockFound) == []
    world.wait(three, one)
    assert set(world.last(s.DeadlockFound).ring) == {one, two, three}


def test_a_lock_and_a_result_can_make_a_ring_together() -> None:
    world = World()
    world.team(2)
    one, two = world.submit(), world.submit()
    world.lock(one, "x")
    world.lock(two, "x")
    world.wait(one, two)
    assert set(world.last(s.DeadlockFound).ring) == {one, two}
    assert world.audit() == []


def test_a_ring_through_a_dependency_or_a_plan_is_found() -> None:
    world = World()
    world.team(3)
    one, two = world.submit(), world.submit()
    after = world.submit(depends_on=(two,))
    world.wait(one, after)
    world.wait(two, one)
    found = world.last(s.DeadlockFound)
    assert set(found.ring) == {one, two, after} and found.broken in (one, two)
    root, ((part,), _) = world.plan([{}], [{}])
    world.wait(part, root)
    assert set(world.last(s.DeadlockFound).ring) == {part, root}


def test_a_ring_that_closes_because_an_agent_leaves_is_found_by_looking() -> None:
    world = World()
    stays, leaves = world.team(2)
    task = world.submit(agent=stays)
    other = world.submit(agent=leaves)
    sub = world.delegate(task)
    world.wait(task, sub)
    assert not is_deadlocked(world.state)
    world.send(c.CancelTask(now_ms=world.now_ms, task=other))
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=leaves))
    world.settle()
    assert is_deadlocked(world.state) and world.of(s.DeadlockFound) == []
    world.send(c.Tick(now_ms=world.now_ms, waits=True))
    assert world.last(s.DeadlockFound).broken == task and not is_deadlocked(world.state)


def test_what_is_being_stopped_tried_again_or_blocked_holds_nobody_up_for_ever() -> None:
    world = World()
    world.team(3)
    one, two = world.submit(), world.submit()
    world.wait(one, two)
    world.send(c.CancelTask(now_ms=world.now_ms, task=one))
    world.wait(two, one)
    assert world.of(s.DeadlockFound) == []


def test_an_agent_of_which_a_task_waits_is_given_nothing_ahead() -> None:
    world = World()
    agent = world.team(1)[0]
    for _ in range(20):
        task = world.submit()
        world.send(c.ReportResult(now_ms=world.now_ms, task=task, attempt=1, duration_us=100))
    first, ahead = world.submit(), world.submit()
    assert len(world.state.agents[agent].open) == 2, "short tasks are given out ahead"
    world.complete(ahead)
    other = world.submit(agent="agent_none")
    world.wait(first, other)
    behind = world.submit()
    assert world.status(behind) is TaskStatus.QUEUED
    world.end_wait(first, other)
    assert world.status(behind) is TaskStatus.ASSIGNED


def test_one_that_was_given_out_behind_the_task_that_waits_for_it_is_in_the_ring() -> None:
    world = World()
    world.team(1)
    for _ in range(20):
        task = world.submit()
        world.send(c.ReportResult(now_ms=world.now_ms, task=task, attempt=1, duration_us=100))
    first, behind = world.submit(), world.submit()
    assert world.status(behind) is TaskStatus.ASSIGNED
    world.wait(first, behind)
    found = world.last(s.DeadlockFound)
    assert set(found.ring) == {first, behind} and found.broken == first


def test_an_agent_that_is_held_until_it_is_idle_does_nothing_for_a_task_of_its_own() -> None:
    """It has a turn left, and would take the task only when the one that waits has ended."""
    for change in ("moves", "is rebuilt", "is recycled"):
        world = World()
        agent = world.team(1, tasks_max=3)[0]
        task = world.submit()
        if change == "is recycled":
            worker = world.state.agents[agent].worker
            world.send(
                sc.RecycleWorker(
                    now_ms=world.now_ms, worker=worker, incarnation=1, reason="it is old"
                )
            )
            assert worker in world.state.supervised.recycling
        else:
            world.update(agent, memory_bytes=2**30 if change == "moves" else None, tasks_max=4)
        sub = world.delegate(task)
        assert world.status(sub) is TaskStatus.QUEUED
        world.wait(task, sub)
        assert world.last(s.DeadlockFound).broken == task, change


def test_a_task_that_tries_a_circuit_cannot_wait_for_what_its_agent_alone_could_do() -> None:
    world = World(limits=Limits(circuit_failures=1, circuit_open_ms=500))
    world.team(1, tasks_max=3)
    world.fail(world.submit(retry=RetryPolicy(attempts_max=1)))
    world.tick(500)
    task = world.submit()
    sub = world.delegate(task)
    world.wait(task, sub)
    assert world.last(s.DeadlockFound).broken == task
