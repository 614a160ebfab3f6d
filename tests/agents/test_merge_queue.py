"""The merge queue as a model: which tasks are taken, and how often the predicate is asked."""

import asyncio
import math
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.agents.candidates.values import Sides
from visionflow.agents.merging.queue import Queued, integrate

Fails = Callable[[tuple[str, ...]], bool]


class Model:
    """Commits are the tasks they hold, in order; `apart`: pairs that cannot be side by side."""

    def __init__(self, apart: frozenset[frozenset[str]], fails: Fails) -> None:
        self.apart = apart
        self.fails = fails
        self.asked: list[tuple[str, ...]] = []

    async def merge(self, onto: str, task: str) -> str | tuple[Sides, ...]:
        others = [each for each in onto.split() if frozenset((each, task)) in self.apart]
        if others:
            return tuple(Sides(each, "ours", "theirs", None, "content") for each in others)
        return f"{onto} {task}".strip()

    async def holds(self, commit: str) -> str | None:
        held = tuple(commit.split())
        self.asked.append(held)
        return "a test fails" if self.fails(held) else None

    def run(self, tasks: list[str]) -> Queued:
        return asyncio.run(integrate("", tasks, self.merge, self.holds))


TASKS = st.integers(0, 12).map(lambda count: [f"t{number}" for number in range(count)])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], Model]:
    """Tasks with conflicts between some, and a predicate that any set of groups breaks: one alone
    (a culprit), or several only together."""
    tasks = draw(TASKS)
    if not tasks:
        return tasks, Model(frozenset(), lambda held: False)
    one = st.sampled_from(tasks)
    pairs = draw(st.sets(st.tuples(one, one).map(frozenset), max_size=8))
    groups = draw(st.sets(st.frozensets(one, min_size=1, max_size=3), max_size=5))
    return tasks, Model(frozenset(pairs), lambda held: any(group <= set(held) for group in groups))


@settings(max_examples=500)
@given(cases())
def test_each_task_is_taken_or_refused_and_what_was_taken_holds(
    case: tuple[list[str], Model],
) -> None:
    tasks, model = case
    found = model.run(tasks)
    taken = [each.task for each in found.landed]
    refused = [each.task for each in found.unmerged]
    assert sorted(taken + refused) == sorted(tasks)
    assert taken == [task for task in tasks if task in taken]
    assert found.tip.split() == taken
    assert not taken or tuple(taken) in model.asked
    assert not model.fails(tuple(taken)) or not taken


@settings(max_examples=500)
@given(cases())
def test_nothing_is_refused_that_could_be_taken_in_the_end(case: tuple[list[str], Model]) -> None:
    """A refused one is at odds with one before it, or breaks what was taken before it."""
    tasks, model = case
    found = model.run(tasks)
    taken = [each.task for each in found.landed]
    for each in found.unmerged:
        before = [task for task in taken if tasks.index(task) < tasks.index(each.task)]
        at_odds = [task for task in taken if frozenset((task, each.task)) in model.apart]
        if each.reason == "conflict":
            assert at_odds
            assert {side.path for side in each.conflicts} <= set(at_odds)
        else:
            assert model.fails((*before, each.task)) or at_odds


@settings(max_examples=300)
@given(st.integers(1, 64), st.data())
def test_the_predicate_is_asked_few_times(count: int, data: st.DataObject) -> None:
    tasks = [f"t{number}" for number in range(count)]
    culprits = data.draw(st.sets(st.sampled_from(tasks), max_size=6))
    model = Model(frozenset(), lambda held: bool(culprits & set(held)))
    found = model.run(tasks)
    assert {each.task for each in found.unmerged} == culprits
    assert all(each.reason == "predicate" for each in found.unmerged)
    assert len(model.asked) <= 1 + 2 * len(culprits) * math.ceil(math.log2(max(count, 2)))
    assert len(model.asked) == len(set(model.asked)) == len(found.batches)


def test_one_batch_is_asked_about_once_where_it_holds() -> None:
    model = Model(frozenset(), lambda held: False)
    found = model.run(["a", "b", "c"])
    assert found.batches == ((("a", "b", "c"), True),)


def test_the_later_of_two_at_odds_is_refused_with_what_it_is_about() -> None:
    model = Model(frozenset({frozenset(("a", "c"))}), lambda held: False)
    found = model.run(["a", "b", "c"])
    assert [each.task for each in found.landed] == ["a", "b"]
    assert [(each.task, each.reason) for each in found.unmerged] == [("c", "conflict")]
    assert [side.path for side in found.unmerged[0].conflicts] == ["a"]


def test_what_was_at_odds_with_a_culprit_only_is_taken_when_the_culprit_is_out() -> None:
    model = Model(frozenset({frozenset(("bad", "good"))}), lambda held: "bad" in held)
    found = model.run(["bad", "good"])
    assert [each.task for each in found.landed] == ["good"]
    assert [(each.task, each.reason) for each in found.unmerged] == [("bad", "predicate")]


def test_two_that_fail_only_together_lose_the_later_one() -> None:
    model = Model(frozenset(), lambda held: {"a", "d"} <= set(held))
    found = model.run(["a", "b", "c", "d"])
    assert [each.task for each in found.landed] == ["a", "b", "c"]


def test_without_a_predicate_only_conflicts_are_refused() -> None:
    model = Model(frozenset({frozenset(("a", "b"))}), lambda held: True)
    found = asyncio.run(integrate("", ["a", "b", "c"], model.merge, None))
    assert [each.task for each in found.landed] == ["a", "c"]
    assert found.batches == ()
