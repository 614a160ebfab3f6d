"""Bids: the guide's weights in basis points, each part told, and nobody starves for being new."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from visionflow.domain.mesh import AuctionBid
from visionflow.domain.messages import PROTOCOL
from visionflow.engine.mesh.bidding import adds_up, best, bid_of, free_share_bp, ranked

COUNT = st.integers(0, 1_000)


def bid(agent: str = "a", **over: object) -> AuctionBid:
    given = {
        "required": ("code",),
        "offered": ("code", "python"),
        "open_tasks": 0,
        "tasks_max": 1,
        "completed": 0,
        "failed": 0,
        "free_bp": 10_000,
        **over,
    }
    return bid_of(agent, **given)  # type: ignore[arg-type]


def test_the_parts_weigh_40_30_20_and_10() -> None:
    assert bid() == AuctionBid("a", 10_000, 4_000, 3_000, 2_000, 1_000)


def test_half_of_each_gives_half_of_its_part() -> None:
    half = bid(
        required=("code", "go"), open_tasks=1, tasks_max=2, completed=0, failed=4, free_bp=5_000
    )
    assert half == AuctionBid("a", 5_000, 2_000, 1_500, 1_000, 500)


def test_who_holds_more_than_it_works_on_at_once_gets_nothing_for_load() -> None:
    assert bid(open_tasks=3, tasks_max=2).load_bp == 0


def test_a_new_agent_is_not_judged_by_being_new_and_loses_to_no_record_but_a_clean_one() -> None:
    new, clean, worse = bid(), bid(completed=100), bid(completed=50, failed=50)
    assert new.past_bp == clean.past_bp == 2_000
    assert worse.past_bp < new.past_bp


def test_what_nobody_measures_counts_as_half() -> None:
    assert bid(free_bp=None).resources_bp == 500


def test_a_task_without_required_capabilities_is_bid_for_like_any_other() -> None:
    assert bid(required=()).capability_bp == 4_000


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True),
    COUNT,
    st.integers(1, 100),
    COUNT,
    COUNT,
    st.none() | st.integers(-5, 20_000),
)
def test_every_bid_adds_up(
    required: list[str],
    offered: list[str],
    open_tasks: int,
    tasks_max: int,
    completed: int,
    failed: int,
    free_bp: int | None,
) -> None:
    made = bid_of(
        "a",
        required=required,
        offered=offered,
        open_tasks=open_tasks,
        tasks_max=tasks_max,
        completed=completed,
        failed=failed,
        free_bp=free_bp,
    )
    assert adds_up(made)
    assert 0 <= made.total_bp <= 10_000


def test_a_bid_that_claims_more_than_its_parts_does_not_add_up() -> None:
    assert not adds_up(AuctionBid("a", 9_000, 4_000, 3_000, 0, 0))
    assert not adds_up(AuctionBid("a", 12_000, 4_000, 3_000, 4_000, 1_000))
    assert not adds_up(AuctionBid("a", 3_000, 4_000, -1_000, 0, 0))


def test_the_best_is_the_same_in_whatever_order_bids_came() -> None:
    bids = [AuctionBid("c", 7_000), AuctionBid("b", 9_000), AuctionBid("a", 8_000)]
    for order in itertools.permutations(bids):
        assert [each.agent for each in ranked("task/1", order)] == ["b", "a", "c"]
        assert best("task/1", order) == bids[1]
    assert best("task/1", ()) is None


def test_who_is_first_among_equals_is_agreed_on_and_goes_round_by_auction() -> None:
    bids = [AuctionBid(agent, 9_000) for agent in "abc"]
    won: Counter[str] = Counter()
    for number in range(300):
        names = {tuple(ranked(f"task_{number}/1", order)) for order in itertools.permutations(bids)}
        assert len(names) == 1
        won[names.pop()[0].agent] += 1
    assert set(won) == {"a", "b", "c"} and min(won.values()) >= 70


def test_free_memory_is_told_in_tenths_and_is_unknown_without_both_figures() -> None:
    assert [free_share_bp(held, 1_000) for held in (0, 30, 60, 500, 1_000, 2_000)] == [
        10_000, 10_000, 9_000, 5_000, 0, 0,
    ]  # fmt: skip
    assert free_share_bp(None, 1_000) is free_share_bp(30, None) is free_share_bp(30, 0) is None


def test_workers_that_order_equal_bids_otherwise_speak_another_version_of_the_messages() -> None:
    # Peers accept only the award that they would make: whoever changes this order raises PROTOCOL.
    order = [each.agent for each in ranked("task_1.1", map(bid, "abcdef"))]
    assert (PROTOCOL, "".join(order)) == (3, "fdaebc")
