"""Which candidate is taken, and why: by what was measured, whatever order it came in."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.agents.candidates.ranking import MEMBERS, RAN, SELECTION, in_order, natural, rank
from visionflow.agents.candidates.values import (
    Accepted,
    Attempted,
    Gated,
    Integrated,
    Judged,
    Landed,
    Ranking,
    Unmerged,
    Usage,
)
from visionflow.agents.evidence import Ballot
from visionflow.agents.findings import Finding

CODING = pytest.mark.acceptance("coding-agents")


def made(number: int, **more: Any) -> Attempted:
    """A candidate that changed something."""
    about: dict[str, Any] = {
        "outcome": "changed", "base": "b", "tip": f"t{number}", "insertions": 4, **more,
    }  # fmt: skip
    return Attempted(f"candidate-{number}", "script", "script", **about)


def verdict(number: int, *, rejects: str | None = None, **more: Any) -> Judged:
    """A judgement of it; `rejects`: the member that does, the others approve."""
    ballots = tuple(
        Ballot(each, "reject" if each == rejects else "approve", each, f"because of {each}")
        for each in MEMBERS
    )
    about: dict[str, Any] = {"gate": Gated("clean"), "ballots": ballots, **more}
    return Judged(f"candidate-{number}", f"t{number}", **about)


def passing(on_base: bool | None) -> Accepted:
    return Accepted("pytest", True, 0, on_base=on_base)


INFO = Finding("ruff", "D100", "info", "no docstring", "a.py", 1)


@CODING
def test_the_only_one_that_nobody_objects_to_wins() -> None:
    found = rank(
        [made(1), made(2, insertions=1), made(3, outcome="violation", reason="moved main")],
        [verdict(1), verdict(2, rejects="tests"), Judged("candidate-3", None, "moved main")],
    )
    assert found.winner == "candidate-1"
    assert found.why == "candidate-1 is the only one of 3 that nobody objects to."
    assert [(each.candidate, each.place, each.good) for each in found.order] == [
        ("candidate-1", 1, True), ("candidate-2", 2, False), ("candidate-3", 3, False),
    ]  # fmt: skip
    assert found.order[1].reasons[0] == "tests: because of tests"
    assert found.order[2].reasons == ("moved main", "4 changed lines")


BETTER: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "a clean gate before one that could not tell": (
        {"insertions": 9}, {}, {}, {"gate": Gated("incomplete", unseen=("no ruff",))},
        "the gate is clean (of candidate-1: the gate could not tell all: no ruff)",
    ),
    "a predicate that proved something before one that did not": (
        {"insertions": 9}, {"accepted": (passing(False),)}, {}, {"accepted": (passing(True),)},
        "1 of 1 predicate passes, 1 failed before (of candidate-1: 1 of 1 predicate passes)",
    ),
    "fewer findings below the threshold": (
        {"insertions": 9}, {}, {}, {"gate": Gated("clean", new=(INFO,))},
        "no new finding (of candidate-1: 1 new finding)",
    ),
    "the smaller change": (
        {"insertions": 3}, {}, {}, {}, "3 changed lines (of candidate-1: 4 changed lines)",
    ),
    "the cheaper one": (
        {"usage": Usage(cost_microdollars=5_000)}, {}, {"usage": Usage(cost_microdollars=9_000)},
        {}, "$0.0050 (of candidate-1: $0.0090)",
    ),
}  # fmt: skip


@CODING
@pytest.mark.parametrize("name", BETTER)
def test_of_two_good_ones_the_better_one_wins_and_the_reason_is_told(name: str) -> None:
    attempt, judgement, other_attempt, other_judgement, apart = BETTER[name]
    found = rank(
        [made(1, **other_attempt), made(2, **attempt)],
        [verdict(1, **other_judgement), verdict(2, **judgement)],
    )
    assert found.winner == "candidate-2"
    assert found.why == f"candidate-2 is the best of 2 good ones: {apart}."
    assert found.tied == ()


@CODING
def test_one_that_changed_the_file_of_a_predicate_comes_after_one_that_did_not() -> None:
    own = verdict(1)
    scope = msgspec.structs.replace(own.ballots[3], facts={"own_predicate_files": 1})
    own = msgspec.structs.replace(own, ballots=(*own.ballots[:3], scope))
    found = rank([made(1, insertions=1), made(2)], [own, verdict(2)])
    assert found.winner == "candidate-2"
    assert found.why.endswith("good ones: candidate-1 changed 1 file that a predicate depends on.")


def with_tests(judged: Judged, ran: int, selection: str) -> Judged:
    tests = msgspec.structs.replace(judged.ballots[0], facts={RAN: ran, SELECTION: selection})
    return msgspec.structs.replace(judged, ballots=(tests, *judged.ballots[1:]))


@CODING
def test_more_tests_count_only_where_all_were_run() -> None:
    attempts = [made(1), made(2, insertions=9)]
    every = [with_tests(verdict(1), 3, "all"), with_tests(verdict(2), 5, "all")]
    reached = [with_tests(verdict(1), 3, "affected"), with_tests(verdict(2), 5, "affected")]
    assert rank(attempts, every).winner == "candidate-2"
    assert rank(attempts, reached).winner == "candidate-1"


@CODING
def test_the_reason_told_is_one_that_really_parted_them() -> None:
    """Tests of the third are not known, so they parted nobody; lines did."""
    attempts = [made(1, insertions=1), made(2), made(3)]
    judged = [
        with_tests(verdict(1), 3, "all"), with_tests(verdict(2), 5, "all"), verdict(3),
    ]  # fmt: skip
    found = rank(attempts, judged)
    assert found.why == (
        "candidate-1 is the best of 3 good ones: 1 changed line (of candidate-2: 4 changed lines)."
    )


@CODING
def test_a_tie_is_told_and_the_first_by_number_is_taken() -> None:
    numbers = (10, 2, 9)
    found = rank([made(each) for each in numbers], [verdict(each) for each in numbers])
    assert (found.winner, found.tied) == ("candidate-2", ("candidate-9", "candidate-10"))
    assert {each.place for each in found.order} == {1}
    assert found.why == (
        "Nothing that was measured tells candidate-2, candidate-9 and candidate-10 apart; "
        "candidate-2 is the first of them."
    )


@CODING
def test_a_cost_that_only_some_reported_decides_nothing() -> None:
    found = rank([made(1), made(2, usage=Usage(cost_microdollars=1))], [verdict(1), verdict(2)])
    assert (found.winner, found.tied) == ("candidate-1", ("candidate-2",))


@CODING
def test_where_none_is_good_enough_nobody_wins_and_the_best_ones_objection_is_told() -> None:
    found = rank(
        [made(1, outcome="timed_out", reason="it ran for 30 min"), made(2)],
        [Judged("candidate-1", None, "it ran for 30 min"), verdict(2, rejects="accept")],
    )
    assert found.winner is None
    assert found.order[0].candidate == "candidate-2"
    assert found.why == (
        "None of 2 is good enough. The best of them, candidate-2: accept: because of accept."
    )


@CODING
def test_one_that_nobody_judged_is_not_taken() -> None:
    found = rank([made(1)], [])
    assert (found.winner, found.why) == (
        None, "candidate-1 is not good enough: it was not judged.",
    )  # fmt: skip
    assert rank([], []).winner is None


@CODING
def test_candidates_that_made_the_same_files_are_named() -> None:
    found = rank(
        [made(1), made(2), made(3)], [verdict(1), verdict(2), verdict(3)],
        trees={"candidate-1": "x", "candidate-2": "y", "candidate-3": "x"},
    )  # fmt: skip
    assert found.same == (("candidate-1", "candidate-3"),)


@CODING
def test_work_split_over_agents_has_one_candidate_and_names_what_did_not_land() -> None:
    lost = Unmerged("web", "conflict", "app.py")
    first = Integrated("b", "c", (Landed("api", "c"),), (lost, Unmerged("cli", "conflict", "x")))
    second = Integrated("c", "d", (Landed("cli", "d"),), (lost,))
    judged = Judged("result", "d", gate=Gated("clean"))
    for merges in ((first, second), (second, first)):
        found = rank([made(1)], [judged], merges)
        assert (found.winner, found.unmerged) == ("result", (lost,))
        assert in_order(merges) == (first, second)


@CODING
def test_what_was_merged_and_not_judged_is_not_taken() -> None:
    found = rank([made(1)], [], [Integrated("b", "c", (Landed("candidate-1", "c"),))])
    assert found.winner is None
    assert found.why == "result is not good enough: it was not judged."


def test_a_merge_in_which_nothing_landed_keeps_its_place() -> None:
    empty, some = Integrated("b", "b"), Integrated("b", "c", (Landed("api", "c"),))
    again = Integrated("c", "c")
    assert in_order((again, some, empty)) == (empty, some, again)
    assert in_order((empty,)) == (empty,)
    assert in_order(()) == ()


# Any candidates ------------------------------------------------------------------------------

attempts = st.builds(
    lambda number, outcome, lines, cost: made(
        number, outcome=outcome, insertions=lines, usage=Usage(cost_microdollars=cost)
    ),
    st.integers(1, 30),
    st.sampled_from(["changed", "changed", "changed", "violation", "failed"]),
    st.integers(0, 2),
    st.none() | st.integers(0, 2),
)
gates = st.sampled_from(["clean", "incomplete", "not_run", "failed"])
judgements = st.builds(
    lambda rejects, gate, new, accepted, ran: with_tests(
        verdict(0, rejects=rejects, gate=Gated(gate, new=(INFO,) * new), accepted=tuple(accepted)),
        ran,
        "all",
    ),
    st.none() | st.sampled_from(MEMBERS),
    gates,
    st.integers(0, 1),
    st.lists(st.builds(passing, st.none() | st.booleans()), max_size=2),
    st.integers(0, 1),
)
contests = st.lists(
    st.tuples(attempts, st.none() | judgements), max_size=7, unique_by=lambda each: each[0].task
)


def ranked(contest: list[tuple[Attempted, Judged | None]]) -> Ranking:
    judged = [
        msgspec.structs.replace(one, candidate=each.task)
        for each, one in contest
        if one is not None
    ]
    return rank([each for each, _ in contest], judged)


@CODING
@given(contests, st.randoms(use_true_random=False))
def test_the_order_in_which_they_came_changes_nothing(
    contest: list[tuple[Attempted, Judged | None]], random: Any
) -> None:
    mixed = list(contest)
    random.shuffle(mixed)
    assert ranked(mixed) == ranked(contest)


@CODING
@given(contests)
def test_everybody_has_one_place_the_winner_is_good_and_no_bad_one_stands_before_it(
    contest: list[tuple[Attempted, Judged | None]],
) -> None:
    found = ranked(contest)
    good = {
        each.task for each, one in contest
        if each.outcome == "changed" and one is not None and one.good
    }  # fmt: skip
    assert sorted(each.candidate for each in found.order) == sorted(e.task for e, _ in contest)
    assert {each.candidate for each in found.order if each.good} == good
    flags = [each.good for each in found.order]
    assert flags == sorted(flags, reverse=True)
    places = [each.place for each in found.order]
    assert places == sorted(places) and places[:1] in ([], [1])
    assert (found.winner is None) == (not good)
    if found.winner is not None:
        first = [each.candidate for each in found.order if each.place == 1]
        assert found.winner == min(first, key=natural)
        assert found.tied == tuple(each for each in first if each != found.winner)


@CODING
@given(contests, st.integers(0, 6))
def test_a_further_copy_of_a_candidate_shares_its_place(
    contest: list[tuple[Attempted, Judged | None]], index: int
) -> None:
    if not contest:
        return
    attempt, judgement = contest[index % len(contest)]
    copy = (msgspec.structs.replace(attempt, task="candidate-99"), judgement)
    places = {each.candidate: each.place for each in ranked([*contest, copy]).order}
    assert places["candidate-99"] == places[attempt.task]
