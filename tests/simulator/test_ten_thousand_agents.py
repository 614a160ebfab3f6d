"""Many agents of which some fail all the time: tasks flow, and restarts stay within bounds."""

import pytest

from visionflow.testing.simulator import StormFigures, StormOrder, run_storm

ORDER = StormOrder(seed=3, agents=500, tasks=2_500)


@pytest.fixture(scope="module")
def storm() -> StormFigures:
    """Simulated once."""
    return run_storm(ORDER)


def test_a_storm_shows_no_fault(storm: StormFigures) -> None:
    assert storm.faults == (), ORDER.again


@pytest.mark.acceptance("recover")
def test_every_task_completes_although_two_of_a_hundred_attempts_fail(storm: StormFigures) -> None:
    assert (storm.completed, storm.other_ends) == (ORDER.tasks, 0)
    failed = storm.failed_attempts
    assert failed["error"] + failed.get("crash", 0) >= ORDER.tasks // 100
    assert failed["killed"] > 0
    assert storm.attempts == ORDER.tasks + sum(failed.values())


@pytest.mark.acceptance("recover")
def test_workers_that_die_whenever_they_come_up_are_given_up_and_no_others(
    storm: StormFigures,
) -> None:
    assert storm.doomed > 0
    assert storm.given_up == storm.doomed
    assert storm.own_deaths == 4 * storm.doomed
    assert storm.restarts_most == 3


def test_tasks_flow_in_every_second_of_a_storm(storm: StormFigures) -> None:
    assert storm.flow_least > 0
    assert storm.flow_median >= ORDER.tasks // 60 // 2


def test_a_storm_is_the_same_each_time() -> None:
    small = StormOrder(seed=4, agents=60, tasks=200)
    assert run_storm(small) == run_storm(small)
