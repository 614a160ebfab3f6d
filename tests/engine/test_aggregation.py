"""What several results come to: by vote, by weight, merged, the best, the first."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.domain.errors import UsageError
from visionflow.engine.aggregation import (
    Aggregate,
    Equality,
    Group,
    Method,
    Outcome,
    Rule,
    Said,
    aggregate,
    normalised,
    same,
)
from visionflow.interfaces.aggregating import aggregate_results

VOTE = Rule(Method.MAJORITY_VOTE)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


def of(*values: Any) -> list[Said]:
    """Parts that say this, called a, b, c."""
    return [
        Said("abcdefgh"[place], value, agent=f"agent{place}", ended_ms=100 - place)
        for place, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "outcome", "value"),
    [
        (["x"], Outcome.AGREED, "x"),
        (["x", "y", "x"], Outcome.AGREED, "x"),
        (["x", "y"], Outcome.NOTHING_IN_COMMON, None),
        (["x", "y", "z"], Outcome.NOTHING_IN_COMMON, None),
        (["x", "x", "y", "y"], Outcome.TIE, None),
        (["x", "x", "y", "z"], Outcome.NO_MAJORITY, None),
        ([1, 1.0, True], Outcome.NOTHING_IN_COMMON, None),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}, 3], Outcome.AGREED, {"a": 1, "b": 2}),
        ([None, None, 1], Outcome.AGREED, None),
    ],
)
def test_a_majority_is_more_than_half_and_all_else_is_told_for_what_it_is(
    values: list[Any], outcome: Outcome, value: Any
) -> None:
    found = aggregate(VOTE, of(*values))
    assert (found.outcome, found.value) == (outcome, value)
    assert found.said == dict(zip("abcd", values, strict=False))


def test_dissent_is_kept_with_what_it_said() -> None:
    found = aggregate(VOTE, of("x", "y", "x"))
    assert found.dissent == ("b",)
    assert found.groups == (Group("x", ("a", "c"), 2.0), Group("y", ("b",), 1.0))


def test_normalised_texts_and_numbers_are_the_same_and_the_first_is_shown() -> None:
    rule = Rule(Method.MAJORITY_VOTE, Equality.NORMALISED)
    found = aggregate(rule, of({"Verdict": " Not  OK "}, {"verdict": "not ok"}, {"verdict": "ok"}))
    assert (found.outcome, found.value) == (Outcome.AGREED, {"Verdict": " Not  OK "})
    assert aggregate(rule, of(1, 1.0)).outcome is Outcome.AGREED
    assert aggregate(rule, of(1, True)).outcome is Outcome.NOTHING_IN_COMMON


def test_by_key_only_that_is_compared_and_who_lacks_it_is_silent() -> None:
    rule = Rule(Method.MAJORITY_VOTE, Equality.KEY, "v.is")
    found = aggregate(rule, of({"v": {"is": 1}, "x": 1}, {"v": {"is": 1}, "x": 2}, {"v": 3}, 4))
    assert (found.outcome, found.value) == (Outcome.NO_MAJORITY, None), "silence is no consent"
    assert found.silent == ("c", "d") and found.groups == (Group(1, ("a", "b"), 2.0),)
    found = aggregate(rule, of({"v": {"is": 1}, "x": 1}, {"v": {"is": 1}, "x": 2}, 4))
    assert (found.outcome, found.value) == (Outcome.AGREED, {"v": {"is": 1}, "x": 1})
    assert aggregate(rule, of({"v": {"is": 1}}, 2)).outcome is Outcome.NO_MAJORITY
    assert aggregate(rule, of(1, 2)).outcome is Outcome.NO_RESULT
    weighted = Rule(Method.WEIGHTED, Equality.KEY, "v", weights={"d": 5.0})
    assert aggregate(weighted, of({"v": 1}, {"v": 1}, {"v": 1}, 4)).outcome is Outcome.NO_MAJORITY


def test_weights_that_name_nobody_are_told() -> None:
    rule = Rule(Method.WEIGHTED, weights={"a": 2.0, "agent1": 1.0, "zzz": 5.0})
    assert aggregate(rule, of("x", "y")).unused == ("zzz",)


@pytest.mark.parametrize(
    ("results", "by", "words"),
    [
        ([1, 2], "merge", "no map"),
        ({"a": 2**70, "b": 1}, "majority_vote", "cannot be compared"),
        ({"a": object()}, "majority_vote", "cannot be compared"),
        ({"a": 1}, {"method": "weighted", "weights": {"zzz": 5}}, "'zzz', which is no part"),
    ],
)
def test_results_that_say_nothing_are_refused(results: Any, by: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        aggregate_results(results, by=by)


def test_weights_by_part_or_agent_decide_and_who_has_none_weighs_one() -> None:
    rule = Rule(Method.WEIGHTED, weights={"a": 3, "agent1": 0})
    found = aggregate(rule, of("x", "y", "y"))
    assert (found.outcome, found.value) == (Outcome.AGREED, "x")
    assert [group.weight for group in found.groups] == [3.0, 1.0]
    assert aggregate(Rule(Method.WEIGHTED, weights={"a": 2}), of("x", "y", "y")).outcome is (
        Outcome.TIE
    )


def test_a_merge_unites_and_names_every_place_at_which_two_differ() -> None:
    found = aggregate(
        Rule(Method.MERGE), of({"a": 1, "l": [1, 2], "m": {"x": 1}}, {"b": 2, "l": [2, 3]},
                               {"a": 1, "m": {"x": 2, "y": 3}})
    )  # fmt: skip
    assert found.outcome is Outcome.CONFLICTING
    assert found.value == {"a": 1, "l": [1, 2, 3], "m": {"y": 3}, "b": 2}
    (conflict,) = found.conflicts
    assert conflict.path == "m.x"
    assert [(group.value, group.parts) for group in conflict.said] == [(1, ("a",)), (2, ("c",))]
    assert aggregate(Rule(Method.MERGE), of(1, 2)).outcome is Outcome.NOTHING_IN_COMMON
    assert aggregate(Rule(Method.MERGE), of([1], [2])).value == [1, 2]


def test_the_best_has_the_highest_score_and_two_of_them_are_a_tie() -> None:
    rule = Rule(Method.BEST, score="q")
    found = aggregate(rule, of({"q": 0.5}, {"q": 0.9}, {"q": None}, {"q": True}))
    assert (found.outcome, found.value, found.dissent) == (
        Outcome.CHOSEN,
        {"q": 0.9},
        ("a", "c", "d"),
    )
    assert found.scores == {"a": 0.5, "b": 0.9, "c": None, "d": None}
    assert aggregate(rule, of({"q": 1, "x": 1}, {"q": 1, "x": 2})).outcome is Outcome.TIE
    assert aggregate(rule, of({"q": 1}, {"q": 1})).outcome is Outcome.CHOSEN
    assert aggregate(rule, of({}, 3)).outcome is Outcome.NO_SCORE


def test_the_first_success_is_the_one_that_was_there_first_whatever_its_place() -> None:
    found = aggregate(Rule(Method.FIRST_SUCCESS), of("x", "y", "x"))
    assert (found.value, found.dissent) == ("x", ("b",))


def test_what_failed_says_nothing_and_is_told_with_its_reason() -> None:
    parts = [*of("x"), Said("z", completed=False, reason="it broke")]
    found = aggregate(VOTE, parts)
    assert (found.outcome, found.failed) == (Outcome.AGREED, {"z": "it broke"})
    assert aggregate(VOTE, parts[1:]).outcome is Outcome.NO_RESULT


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(Method.MERGE, Equality.NORMALISED), "compares nothing"),
        (Rule(Method.MAJORITY_VOTE, Equality.KEY), "which key"),
        (Rule(Method.MAJORITY_VOTE, key="x"), "which key"),
        (Rule(Method.BEST), "where the number stands"),
        (Rule(Method.WEIGHTED), "what whom weighs"),
        (Rule(Method.WEIGHTED, weights={"a": -1.0}), "0 or more"),
        (Rule(Method.WEIGHTED, weights={"a": 0.0}), "All weights are 0"),
        (Rule(Method.WEIGHTED, weights={"a": 1e308, "b": 1e308}), "at most 1e"),
        (Rule(Method.WEIGHTED, weights={"a": float("nan")}), "0 or more"),
    ],
)
def test_a_rule_that_says_too_little_or_too_much_is_refused(rule: Rule, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        aggregate(rule, of("x"))


def _decided(found: Aggregate) -> tuple[Any, ...]:
    parts = {tuple(sorted(group.parts)) for group in found.groups}
    return (found.outcome, parts, sorted(found.dissent), len(found.conflicts))


@given(st.lists(VALUES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_same_results_in_any_order_decide_the_same(
    values: list[Any], chance: random.Random
) -> None:
    parts = of(*values)
    mixed = parts[:]
    chance.shuffle(mixed)
    for rule in (VOTE, Rule(Method.MAJORITY_VOTE, Equality.NORMALISED), Rule(Method.MERGE)):
        assert _decided(aggregate(rule, parts)) == _decided(aggregate(rule, mixed))


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_a_vote_is_agreed_just_when_more_than_half_say_the_same(values: list[Any]) -> None:
    most = max(sum(same(one, other) for other in values) for one in values)
    agreed = aggregate(VOTE, of(*values)).outcome is Outcome.AGREED
    assert agreed == (2 * most > len(values))


@given(VALUES)
def test_what_is_normalised_stays_as_it_is(value: Any) -> None:
    assert same(normalised(normalised(value)), normalised(value))
