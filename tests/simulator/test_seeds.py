"""A thousand seeds show no fault, and between them they show the whole of the machine's life."""

import os
import tomllib
from pathlib import Path

import pytest

from visionflow.testing.simulator import Report, SeedResult, results, run_seed, simulate, told

SEEDS = 1_000
FOUND = Path(__file__).with_name("seeds.toml")
RARE = frozenset(
    {
        "task blocked -> cancelled",
        "task blocked -> failed",
        "task cancelled -> queued",
        "agent error -> terminating",
        "agent failed -> terminating",
        "agent initialising -> terminating",
        "agent created -> terminating",
        "agent recovering -> failed",
        "agent recovering -> terminating",
    }
)
"""Legal, and not asked of every thousand seeds."""


def expect_clean(result: SeedResult) -> None:
    """Fail with what was wrong and how to run it again."""
    if result.faults:
        pytest.fail("\n".join(told(result)), pytrace=False)


@pytest.fixture(scope="session")
def report() -> Report:
    """What a thousand seeds showed."""
    return simulate(range(SEEDS), jobs=os.cpu_count() or 1)


def test_a_thousand_seeds_show_no_fault(report: Report) -> None:
    assert report.seeds == SEEDS
    assert not report.failures, "\n".join(report.lines())


def test_every_change_of_status_is_met(report: Report) -> None:
    from visionflow.testing.checkers import AGENT_TABLE, TASK_TABLE

    legal = {
        f"{kind} {before} -> {after}"
        for kind, table in (("task", TASK_TABLE), ("agent", AGENT_TABLE))
        for before, events in table.items()
        for after in events.values()
        if after != before
    }
    met = {name for name in report.transitions if "(new)" not in name}
    assert met <= legal
    assert legal - met <= RARE


def test_every_fault_of_the_machine_is_met_often(report: Report) -> None:
    assert len(report.injected) == 25
    assert min(report.injected.values()) >= SEEDS // 10, report.injected


def test_what_only_faults_bring_about_is_met(report: Report) -> None:
    for what in (
        "answers repeated",
        "failed appends",
        "frames sent again",
        "late_result_refused",
        "mailbox full",
        "recovered",
    ):
        assert report.counts.get(what, 0) > 10, what


def test_attempts_that_are_throttled_are_met_often(report: Report) -> None:
    assert report.counts["throttled attempts"] > SEEDS


@pytest.mark.acceptance("scale")
def test_attempts_that_are_given_back_and_batches_are_met_often(report: Report) -> None:
    assert report.counts["attempts given back"] > SEEDS // 20
    assert report.counts["attempts in batches"] > SEEDS // 2


@pytest.mark.acceptance("scale")
def test_numbers_of_agents_are_decided_on_in_many_seeds(report: Report) -> None:
    assert report.counts["scale_decided"] > SEEDS // 20


@pytest.mark.acceptance("effects")
def test_effects_on_the_world_outside_are_met_often_and_doubts_are_resolved(
    report: Report,
) -> None:
    assert report.counts["effects done"] > 10 * SEEDS
    assert report.counts["effect_doubted"] > SEEDS // 10
    assert report.counts["effects resolved by a person"] > SEEDS // 10
    assert report.counts["effects carried out"] > report.counts["effects done"]
    assert report.counts["effects refused to stale attempts"] > 0


def found_seeds() -> list[dict[str, object]]:
    """The seeds that found a fault, newest last."""
    return tomllib.loads(FOUND.read_text(encoding="utf-8"))["seed"]


@pytest.mark.parametrize("found", found_seeds(), ids=lambda found: str(found["number"]))
def test_a_seed_that_once_found_a_fault_is_clean(found: dict[str, int]) -> None:
    expect_clean(run_seed(found["number"], found["agents"], found["tasks"]))


@pytest.mark.parametrize(("agents", "tasks"), [(1, 20), (2, 40), (12, 200), (30, 60)])
def test_swarms_of_other_sizes_are_clean(agents: int, tasks: int) -> None:
    for result in results(range(8), agents, tasks):
        expect_clean(result)


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_with_a_thousand_agents_is_clean(seed: int) -> None:
    expect_clean(run_seed(seed, 1_000, 300))
