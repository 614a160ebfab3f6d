"""What a run of chaos does is decided by its order alone."""

from collections import Counter

import pytest

from visionflow.testing.chaos import Fault, Order, make_plan

MINUTE = Order(seed=5)


def test_the_same_order_gives_the_same_plan() -> None:
    assert make_plan(MINUTE) == make_plan(Order(seed=5))
    assert MINUTE.again == "visionflow chaos --seed 5 --duration 60s --tasks 1000 --agents 8"


def test_another_seed_gives_another_plan() -> None:
    one, other = make_plan(MINUTE), make_plan(Order(seed=6))
    assert one.works != other.works
    assert one.strokes != other.strokes


@pytest.mark.parametrize("minutes", [1, 3])
def test_each_minute_meets_every_kind_of_fault(minutes: int) -> None:
    strokes = make_plan(Order(5, 60.0 * minutes, 1_000 * minutes)).strokes
    for minute in range(minutes):
        assert {each.fault for each in strokes[21 * minute : 21 * minute + 21]} == set(Fault)


def test_faults_come_in_order_while_there_are_tasks_to_come() -> None:
    at = [each.at for each in make_plan(MINUTE).strokes]
    assert at == sorted(at)
    assert 0 < at[0] and at[-1] < MINUTE.tasks


def test_a_worker_that_hangs_does_so_longer_than_anybody_waits_and_one_that_pauses_does_not() -> (
    None
):
    strokes = make_plan(Order(5, 600.0, 10_000)).strokes
    hung = [each.lasts_ms for each in strokes if each.fault is Fault.WORKER_HUNG]
    paused = [each.lasts_ms for each in strokes if each.fault is Fault.WORKER_PAUSED]
    assert min(hung) > 15_000 and max(paused) < 5_000
    assert len(hung) == len(paused) == 20


def test_the_works_of_a_plan_end_in_every_way() -> None:
    works = make_plan(Order(5, 60.0, 3_000)).works
    ways = Counter((work.script.how, work.script.fails) for work in works)
    assert ways["error", 0] > 2_000
    for way in (("error", 1), ("error", 3), ("permanent", 3), ("crash", 1), ("eat", 1)):
        assert ways[way], way
    assert all(work.alone for work in works if work.script.how == "eat")


@pytest.mark.parametrize("tasks", [400, 600, 1_000])
def test_half_of_the_agents_time_is_work_so_that_faults_meet_some(tasks: int) -> None:
    order = Order(5, 60.0, tasks)
    scripts = [work.script for work in make_plan(order).works]
    work_ms = sum(script.ms * max(1, script.steps) for script in scripts)
    assert work_ms / (order.agents * order.duration_s * 1_000) == pytest.approx(0.5, rel=0.02)
    assert min(script.ms for script in scripts) == 0


def test_few_tasks_do_not_last_for_ever() -> None:
    scripts = [work.script for work in make_plan(Order(5, 600.0, 100)).works]
    assert max(script.ms for script in scripts) <= 10_000


def test_nobody_eats_where_nobody_has_a_ceiling() -> None:
    works = make_plan(Order(5, 60.0, 3_000, agents=1)).works
    assert not any(work.alone for work in works)
    assert not any(work.script.how == "eat" and work.script.fails for work in works)
