"""Who can never go on: held against a model that tries everything that could happen."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from visionflow.engine.waitgraph import Need, Place, ring, stuck

NAMES = "abcdefg"


def of(graph: dict[str, Need]) -> Callable[[str], Need | None]:
    return graph.get


def needing(*names: str) -> Need:
    return Need(names)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Need]:
    """Some of the names, each with what it needs; the others go on by themselves."""
    some = st.lists(st.sampled_from(NAMES), max_size=3).map(tuple)
    place = st.builds(Place, st.integers(1, 2), some)
    places = st.none() | st.lists(place, min_size=1, max_size=2).map(tuple)
    need = st.builds(Need, some, places)
    return draw(st.dictionaries(st.sampled_from(NAMES), need, max_size=len(NAMES)))


def never_ends(graph: dict[str, Need]) -> set[str]:
    """The brute-force model: let end whatever can, in rounds, until nothing more can. A node ends
    when all that it needs has ended, and a place of it has few enough left."""
    left = set(graph)
    while True:
        able = {
            name
            for name in left
            if not left.intersection(graph[name].all_of)
            and (
                graph[name].places is None
                or any(
                    len([t for t in place.taken if t in left]) < place.room
                    for place in graph[name].places or ()
                )
            )
        }
        if not able:
            return left
        left -= able


@given(graphs())
def test_the_stuck_ones_are_those_that_never_end_whatever_else_does(graph: dict[str, Need]) -> None:
    assert set(stuck(of(graph), list(graph))) == never_ends(graph)


@given(graphs(), st.sampled_from(NAMES))
def test_from_one_start_only_what_it_is_held_up_by_is_looked_at(
    graph: dict[str, Need], start: str
) -> None:
    found = stuck(of(graph), [start])
    assert set(found) <= never_ends(graph)
    assert (start in found) == (start in never_ends(graph))


@given(graphs())
def test_a_ring_is_of_stuck_ones_each_held_up_by_the_next(graph: dict[str, Need]) -> None:
    found = stuck(of(graph), list(graph))
    for start in found:
        nodes = ring(found, start)
        assert len(nodes) == len(set(nodes)) > 0
        for name, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            assert following in found and following in list(found[name].holders())


def test_two_that_wait_for_each_other_are_a_ring_and_a_third_waits_for_it() -> None:
    graph = {"a": needing("b"), "b": needing("a"), "c": needing("a")}
    found = stuck(of(graph), ["c"])
    assert set(found) == {"a", "b", "c"}
    assert set(ring(found, "c")) == {"a", "b"}


def test_a_ring_of_three_is_found() -> None:
    graph = {"a": needing("b"), "b": needing("c"), "c": needing("a")}
    assert ring(stuck(of(graph), ["a"]), "a") == ["a", "b", "c"]


def test_one_free_place_is_enough() -> None:
    busy = Place(1, ("a",))
    assert stuck(of({"a": needing("b"), "b": Need(places=(busy, Place(2, ("a",))))}), ["a"]) == {}
    assert set(stuck(of({"a": needing("b"), "b": Need(places=(busy, busy))}), ["a"])) == {"a", "b"}
