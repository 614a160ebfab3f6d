"""Who gets a task: capabilities, specialists, scores, turns, pins and types."""

from collections import Counter

import pytest

from tests.engine.world import World
from visionflow.domain import events as e
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.matching import Matching, offers
from visionflow.engine.scoring import level_of, score_bp, slots


def holder(world: World, task: str) -> str | None:
    return world.state.tasks[task].agent


@pytest.mark.acceptance("task-match")
def test_a_task_goes_to_the_agent_with_all_its_capabilities() -> None:
    world = World()
    world.team(1, "python")
    able = world.team(1, "python", "security")[0]
    task = world.submit(capabilities=("python", "security"))
    assert holder(world, task) == able


@pytest.mark.acceptance("task-match")
def test_among_equals_in_score_the_specialist_comes_before_the_one_who_can_more() -> None:
    world = World()
    broad = world.team(1, "python", "review", "security")[0]
    narrow = world.team(1, "python")[0]
    middle = world.team(1, "python", "review")[0]
    tasks = [world.submit(capabilities=("python",)) for _ in range(3)]
    assert [holder(world, task) for task in tasks] == [narrow, middle, broad]


@pytest.mark.acceptance("task-match")
def test_equal_agents_share_the_work_evenly() -> None:
    world = World()
    agents = world.team(4, "python")
    for _ in range(40):
        world.complete(world.submit(capabilities=("python",)))
    shares = Counter(event.agent for event in world.of(e.TaskAssigned))
    assert shares == dict.fromkeys(agents, 10)


@pytest.mark.acceptance("task-match")
def test_a_task_that_nobody_can_do_stays_queued_and_matching_tells_why() -> None:
    world = World()
    world.team(2, "python")
    task = world.submit(capabilities=("cobol",))
    matching = world.state.matching
    assert world.status(task) is TaskStatus.QUEUED
    assert not matching.able((("cobol",), None, None))
    assert matching.able((("python",), None, None))
    world.team(1, "cobol")
    assert world.status(task) is TaskStatus.ASSIGNED


def test_a_task_that_nobody_can_do_does_not_hold_up_one_behind_it() -> None:
    world = World()
    world.team(1, "python")
    world.submit(id="stuck", capabilities=("cobol",), priority=0)
    world.submit(id="fine", capabilities=("python",), priority=30)
    assert world.status("fine") is TaskStatus.ASSIGNED


def test_a_task_that_found_all_able_agents_busy_is_looked_at_again_when_one_is_free() -> None:
    world = World()
    world.team(1, "python")
    world.submit(id="first", capabilities=("python",))
    world.team(1, "review")
    world.submit(id="second", capabilities=("python",))
    assert world.status("second") is TaskStatus.QUEUED
    world.complete("first")
    assert world.status("second") is TaskStatus.ASSIGNED


def test_busy_agents_are_able_and_have_no_room() -> None:
    world = World()
    agent = world.team(1, "python")[0]
    world.submit(capabilities=("python",))
    waits = world.submit(capabilities=("python",))
    assert world.status(waits) is TaskStatus.QUEUED
    assert world.state.matching.able((("python",), None, None))
    assert world.state.matching.room(agent) == -1


@pytest.mark.acceptance("task-match")
def test_the_score_of_the_match_is_written_in_the_assignment() -> None:
    world = World()
    agent = world.team(1, "python", tasks_max=2)[0]
    world.submit(capabilities=("python",))
    assert world.last(e.TaskAssigned).score_bp == 10_000
    world.submit(capabilities=("python",))
    assert world.last(e.TaskAssigned) == e.TaskAssigned(
        task=world.last(e.TaskAssigned).task, attempt=1, agent=agent, score_bp=9_000
    )


@pytest.mark.acceptance("task-match")
@pytest.mark.parametrize(
    ("completed", "failed", "mean_us", "held", "tasks_max", "score"),
    [
        (0, 0, 0, 0, 1, 4_000 + 3_000 + 2_000 + 1_000),
        (0, 4, 0, 0, 1, 4_000 + 1_500 + 2_000 + 1_000),
        (0, 0, 0, 1, 2, 4_000 + 3_000 + 1_000 + 1_000),
        (0, 0, 0, 4, 2, 4_000 + 3_000 + 0 + 1_000),
        (9, 0, 150_000_000, 0, 1, 4_000 + 3_000 + 2_000 + 500),
        (9, 0, 900_000_000, 0, 1, 4_000 + 3_000 + 2_000 + 0),
        (0, 10**6, 900_000_000, 5, 1, 4_000),
    ],
)
def test_a_score_is_40_for_capabilities_30_for_success_20_for_room_10_for_speed(
    completed: int, failed: int, mean_us: int, held: int, tasks_max: int, score: int
) -> None:
    assert score_bp(completed, failed, mean_us, held, tasks_max) == score


def test_levels_cover_the_whole_range_of_scores_and_no_more() -> None:
    assert (level_of(4_000), level_of(10_000)) == (0, 15)
    levels = [level_of(score) for score in range(4_000, 10_001)]
    assert levels == sorted(levels) and set(levels) == set(range(16))


def test_an_agent_that_failed_before_comes_after_one_that_did_not() -> None:
    world = World()
    first, second = world.team(2, "python")
    for _ in range(2):
        task = world.submit(capabilities=("python",), agent=first)
        world.fail(task)
        world.tick(100_000)
        world.complete(task)
    world.complete(world.submit(capabilities=("python",), agent=second))
    world.complete(world.submit(capabilities=("python",)))
    assert world.last(e.TaskAssigned).agent == second


def test_work_ahead_is_given_only_to_agents_with_a_record_of_short_tasks() -> None:
    assert slots(7, 100, 1) == 1
    assert slots(8, 20_000, 1) == 1
    assert slots(8, 5_000, 1) == 1 + 4
    assert slots(8, 0, 1) == 1 + 64


@pytest.mark.acceptance("task-match")
def test_a_task_for_one_agent_waits_for_that_agent() -> None:
    world = World()
    chosen, other = world.team(2, "python")
    world.submit(id="busy", agent=chosen)
    world.submit(id="pinned", agent=chosen)
    assert world.status("pinned") is TaskStatus.QUEUED
    assert (world.state.matching.room(other) or -1) >= 0
    world.complete("busy")
    assert holder(world, "pinned") == chosen


def test_a_pinned_task_whose_agent_lacks_a_capability_is_never_given_to_it() -> None:
    world = World()
    agent = world.team(1, "python")[0]
    task = world.submit(agent=agent, capabilities=("security",))
    assert world.status(task) is TaskStatus.QUEUED
    assert not world.state.matching.able((("security",), None, agent))
    assert not world.state.matching.able(((), None, "agent_nowhere"))


def test_a_task_for_a_type_of_agent_goes_to_that_type_only() -> None:
    world = World()
    world.team(1, "python", type="coder")
    task = world.submit(agent_type="tester", capabilities=("python",))
    assert world.status(task) is TaskStatus.QUEUED
    tester = world.team(1, "python", type="tester")[0]
    assert holder(world, task) == tester


def test_a_capability_named_like_a_type_is_not_the_type() -> None:
    assert offers(("tester",), "coder") != offers((), "tester")
    assert not frozenset(("type:tester",)) <= offers(("tester",), "coder")


def test_a_thousand_agents_of_one_class_take_turns_and_bits_stay_few() -> None:
    matching = Matching()
    for number in range(1_000):
        matching.join(f"a{number}", offers(("python",), "coder"))
        matching.place(f"a{number}", 15)
    seen: list[str] = []
    for number in range(2_000):
        matching.enqueue(f"t{number}", (("python",), None, None), number)
        found = matching.best()
        assert found is not None and found[0] == f"t{number}"
        matching.dequeue(found[0])
        matching.place(found[1], 15)
        seen.append(found[1])
    assert seen == [f"a{number}" for number in range(1_000)] * 2


def test_more_kinds_of_request_than_are_kept_for_reuse_are_all_served() -> None:
    matching = Matching()
    count = 6_000
    for number in range(count):
        matching.enqueue(f"t{number}", ((f"c{number}",), None, None), number)
    everything = offers(tuple(f"c{number}" for number in range(count)), "coder")
    matching.join("a", everything)
    matching.place("a", 15)
    for number in range(count):
        assert matching.best() == (f"t{number}", "a")
        matching.dequeue(f"t{number}")
    assert matching.best() is None and len(matching) == 0
