"""Limits per client, on a clock that the tests move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.domain.errors import RateLimited
from visionflow.interfaces.access.limits import NAMES_MAX, Limits, Rate


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_flood_is_told_when_to_ask_again_and_then_may() -> None:
    clock = Clock()
    rate = Rate(60, 60.0, clock)
    assert [rate.take("a") for _ in range(60)] == [None] * 60
    assert rate.take("a") == 1_000
    clock.s += 0.75
    assert rate.take("a") == 250
    clock.s += 0.25
    assert rate.take("a") is None


def test_one_client_does_not_use_up_what_another_may() -> None:
    rate = Rate(1, 60.0, Clock())
    assert rate.take("a") is None
    assert rate.take("a") is not None
    assert rate.take("b") is None


@given(st.lists(st.floats(0, 30), max_size=80), st.integers(1, 20))
def test_over_any_stretch_no_more_passes_than_a_windows_worth_and_the_rate(
    waits: list[float], count: int
) -> None:
    clock = Clock()
    rate, began = Rate(count, 10.0, clock), clock.s
    passed = 0
    for wait in waits:
        clock.s += wait
        passed += rate.take("a") is None
        assert passed <= count + (clock.s - began) * count / 10.0 + 1e-6


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    clock = Clock()
    rate = Rate(1, 60.0, clock)
    assert rate.take("a") is None
    clock.s -= 1_000
    assert rate.take("a") is not None


def test_what_is_remembered_of_names_is_bounded() -> None:
    rate = Rate(1, 1e9, Clock())
    for number in range(NAMES_MAX + 5):
        rate.take(f"n{number}")
    assert rate.take(f"n{NAMES_MAX + 4}") is not None
    assert len(rate._left) <= NAMES_MAX  # pyright: ignore[reportPrivateUsage]


def test_so_many_calls_at_once_and_no_more() -> None:
    limits = Limits(1_000.0, 2, Clock())
    limits.enter("a")
    limits.enter("a")
    with pytest.raises(RateLimited, match="2 at once") as caught:
        limits.enter("a")
    assert caught.value.retry_after_ms is not None
    limits.enter("b")
    limits.leave("a")
    limits.enter("a")
    limits.leave("a")
    limits.leave("a")
    assert limits.running("a") == 0


def test_a_call_that_was_refused_is_not_counted_as_under_way() -> None:
    limits = Limits(1 / 60.0, 5, Clock())
    limits.enter("a")
    with pytest.raises(RateLimited, match="over a minute"):
        limits.enter("a")
    limits.leave("a")
    assert limits.running("a") == 0
