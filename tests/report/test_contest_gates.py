"""The gates of coding agents: what was looked at of the result that is taken, and nothing else."""

from typing import Any

import msgspec
import pytest

from tests.report.contests import (
    BROKEN,
    CONFLICT,
    ballots,
    contest,
    judged,
    none_good,
    run_of,
    split,
)
from visionflow.agents.candidates.values import Accepted, Contest, Gated, Judged
from visionflow.agents.report.gates import gates_of, verdict
from visionflow.agents.report.gathering import gather
from visionflow.agents.roles.job import storable


def _gates(told: Contest, **other: Any) -> dict[str, bool | None]:
    return gates_of(run_of(told, **other))


def _with(winner: Judged) -> Contest:
    return contest(judged=(winner,))


def test_a_good_winner_passes_all() -> None:
    assert _gates(contest()) == {"winner": True, "accept": True, "tests": True, "findings": True}


def test_where_none_is_good_enough_the_winner_fails_and_of_no_result_anything_is_told() -> None:
    told = _gates(none_good())
    assert told == {"winner": False, "accept": None, "tests": None, "findings": None}
    assert verdict(told) == "failed"


def test_before_the_ranking_nothing_is_told() -> None:
    early = contest(ranking=None)
    assert set(_gates(early).values()) == {None}
    assert set(_gates(early, status="running").values()) == {None}


def test_while_the_run_goes_on_nothing_has_passed_yet() -> None:
    assert set(_gates(contest(), status="running").values()) == {None}


@pytest.mark.parametrize(
    ("passed", "gate"), [((True, True), True), ((True, None), None), ((None, False), False),
                         ((), None)]
)  # fmt: skip
def test_every_predicate_has_to_hold(passed: tuple[bool | None, ...], gate: bool | None) -> None:
    accepted = tuple(Accepted(f"check {n}", each) for n, each in enumerate(passed))
    assert _gates(_with(judged(1, accepted=accepted)))["accept"] is gate


@pytest.mark.parametrize(
    ("gated", "choice", "gate"),
    [
        (Gated("clean", tests=3), "approve", True),
        (Gated("clean", tests=3), None, True),
        (Gated("incomplete", tests=3), "approve", True),
        (Gated("incomplete", tests=3), None, None),
        (Gated("incomplete", tests=3), "abstain", None),
        (Gated("clean", tests=None), "approve", None),
        (Gated("clean", tests=0), "approve", None),
        (Gated("not_run", tests=3), "approve", None),
        (Gated("failed", broken=("t",), tests=3), None, False),
        (Gated("failed", lost=("t",), tests=3), "approve", False),
        (Gated("failed", tests=3), "reject", False),
        (None, "approve", None),
    ],
)
def test_the_tests_gate_needs_tests_that_were_run(
    gated: Gated | None, choice: str | None, gate: bool | None
) -> None:
    cast = () if choice is None else ballots(tests=choice)
    assert _gates(_with(judged(1, gate=gated, ballots=cast)))["tests"] is gate


@pytest.mark.parametrize(
    ("gated", "choice", "gate"),
    [
        (Gated("clean"), "approve", True),
        (Gated("clean"), None, True),
        (Gated("clean"), "abstain", None),
        (Gated("incomplete"), None, None),
        (Gated("failed"), None, None),
        (Gated("failed"), "reject", False),
        (Gated("not_run"), "approve", None),
    ],
)
def test_the_findings_gate_follows_the_ballot_on_them(
    gated: Gated, choice: str | None, gate: bool | None
) -> None:
    cast = () if choice is None else ballots(findings=choice)
    assert _gates(_with(judged(1, gate=gated, ballots=cast)))["findings"] is gate


def test_what_others_than_the_winner_did_fails_no_gate() -> None:
    told = contest(judged=(judged(1), BROKEN))
    assert False not in _gates(told).values()


def test_work_that_is_not_in_the_result_fails_its_gate_and_no_other() -> None:
    assert _gates(split())["landed"] is True
    told = _gates(split(CONFLICT))
    assert [name for name, value in told.items() if value is False] == ["landed"]
    assert _gates(msgspec.structs.replace(split(CONFLICT), ranking=None))["landed"] is None


def test_gates_of_other_playbooks_are_not_told_of_a_contest() -> None:
    assert _gates(contest(), gates=("syntax", "secrets", "patch")) == {
        "syntax": None, "secrets": None, "patch": None,
    }  # fmt: skip


def test_the_results_of_tasks_are_gathered_by_what_they_are() -> None:
    told = split(CONFLICT)
    results: dict[str, object] = {
        f"plan.{each.task}": {"attempted": storable(each), "notes": [], "warnings": []}
        for each in told.attempted
    }
    results["plan.integrate-1"] = {"integrated": storable(told.integrated[0])}
    results["plan.again-names"] = {"integrated": storable(told.integrated[1])}
    results["plan.judge"] = {"judged": storable(told.judged[0])}
    results["plan.rank"] = {"ranking": storable(told.ranking), "change": None}
    found = gather(results)
    assert found.contest == msgspec.structs.replace(told, diffs={})
    assert found.notes == ()


def test_a_result_in_another_form_is_named_and_the_rest_counts() -> None:
    told = contest()
    found = gather({
        "candidate-1": {"attempted": storable(told.attempted[0])},
        "candidate-2": {"attempted": {"task": 7}},
    })  # fmt: skip
    assert found.contest is not None
    assert found.contest.attempted == told.attempted[:1]
    assert "attempted of candidate-2 is not of the form" in found.notes[0]


def test_runs_without_coding_agents_have_no_contest() -> None:
    assert gather({"survey": {"notes": ["nothing"]}}).contest is None
