"""The guide's `CircuitBreaker`, used by itself."""

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow import CircuitBreaker, CircuitOpenError, TryLater
from visionflow.domain.errors import UsageError

AGENT = "agent_1757967065850_dv2zg7"


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def works() -> str:
    return "done"


async def breaks() -> str:
    raise ConnectionError("no")


async def failing(breaker: CircuitBreaker, times: int, name: str = AGENT) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await breaker.call(name, breaks)


@pytest.mark.acceptance("circuit")
def test_five_failures_open_it_a_minute_later_one_call_may_try_and_its_success_closes_it() -> None:
    async def use() -> None:
        clock = Clock()
        breaker = CircuitBreaker(failure_threshold=5, timeout=60, clock=clock)
        assert breaker.state[AGENT] == "closed" and breaker.failures[AGENT] == 0
        await failing(breaker, 4)
        assert await breaker.call(AGENT, works) == "done"
        await failing(breaker, 5)
        assert breaker.state[AGENT] == "open" and breaker.failures[AGENT] == 5
        with pytest.raises(CircuitOpenError, match=r"Circuit open for agent .* Retry after 60"):
            await breaker.call(AGENT, works)
        assert await breaker.call("another", works) == "done"
        clock.now += 59.9
        with pytest.raises(CircuitOpenError) as refused:
            await breaker.call(AGENT, works)
        assert (refused.value.wait_ms, refused.value.circuit) == (100, AGENT)
        clock.now += 0.2
        assert breaker.state[AGENT] == "half_open"
        assert await breaker.call(AGENT, works) == "done"
        assert breaker.state[AGENT] == "closed" and breaker.failures[AGENT] == 0

    asyncio.run(use())


def test_a_try_that_fails_opens_it_again_for_as_long() -> None:
    async def use() -> None:
        clock = Clock()
        breaker = CircuitBreaker(2, 10, clock=clock)
        await failing(breaker, 2)
        clock.now += 10
        await failing(breaker, 1)
        assert breaker.state[AGENT] == "open" and breaker.failures[AGENT] == 3
        clock.now += 9.5
        with pytest.raises(CircuitOpenError):
            await breaker.call(AGENT, works)

    asyncio.run(use())


def test_while_one_tries_the_others_are_turned_away() -> None:
    async def use() -> None:
        clock, gate = Clock(), asyncio.Event()
        breaker = CircuitBreaker(1, 10, clock=clock)
        await failing(breaker, 1)
        clock.now += 10

        async def slow() -> str:
            await gate.wait()
            return "slow"

        trying = asyncio.ensure_future(breaker.call(AGENT, slow))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(CircuitOpenError):
                await breaker.call(AGENT, works)
        gate.set()
        assert await trying == "slow"
        assert await breaker.call(AGENT, works) == "done"

    asyncio.run(use())


@pytest.mark.parametrize("how", ["cancelled", "patience"])
def test_a_try_that_tells_nothing_is_followed_by_another(how: str) -> None:
    async def use() -> None:
        clock = Clock()
        breaker = CircuitBreaker(1, 10, clock=clock)
        await failing(breaker, 1)
        clock.now += 10

        async def asked() -> None:
            raise TryLater("429", wait_ms=1)

        if how == "patience":
            with pytest.raises(TryLater):
                await breaker.call(AGENT, asked)
        else:
            trying = asyncio.ensure_future(breaker.call(AGENT, asyncio.Event().wait))
            await asyncio.sleep(0)
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
        assert await breaker.call(AGENT, works) == "done"

    asyncio.run(use())


def test_threads_use_it_too_and_of_many_at_once_one_tries() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10, clock=clock)

    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        breaker.call_sync(AGENT, fail)
    clock.now += 10
    entered, gate = list[int](), threading.Event()
    refused = list[int]()

    def slow(number: int) -> None:
        entered.append(number)
        gate.wait(60)

    def one(number: int) -> None:
        try:
            breaker.call_sync(AGENT, lambda: slow(number))
        except CircuitOpenError:
            refused.append(number)
            if len(refused) == 7:
                gate.set()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(entered) == 1 and len(refused) == 7


def test_it_can_be_closed_by_hand_and_told_of_calls_made_without_it() -> None:
    breaker = CircuitBreaker(2, 10)
    for _ in range(2):
        breaker.tell(AGENT, False)
    with pytest.raises(CircuitOpenError):
        breaker.call_sync(AGENT, lambda: None)
    breaker.reset(AGENT)
    assert breaker.call_sync(AGENT, lambda: 7) == 7


@pytest.mark.parametrize("operation", [works, lambda: works()])
def test_what_has_to_be_awaited_is_refused_without_a_loop_and_counts_neither_way(
    operation: Callable[[], Any],
) -> None:
    breaker = CircuitBreaker(2, 10)
    breaker.tell(AGENT, False)
    with pytest.raises(UsageError, match="something to await") as refused:
        breaker.call_sync(AGENT, operation)
    assert "await breaker.call" in (refused.value.hint or "")
    assert breaker.failures[AGENT] == 1


@pytest.mark.parametrize(
    ("threshold", "timeout"),
    [(0, 60), (5, 0), (-1, 1), (5, math.inf), (5, math.nan), ("x", 60), (1.5, 60), (5, "60")],
)
def test_one_that_could_not_work_is_refused(threshold: Any, timeout: Any) -> None:
    with pytest.raises(UsageError, match="never"):
        CircuitBreaker(threshold, timeout)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=40))
def test_it_lets_through_what_the_guides_own_would_and_nothing_while_open(
    calls: list[tuple[bool, float]],
) -> None:
    """The guide's class, in its own words, one call after the other."""
    clock = Clock()
    breaker = CircuitBreaker(3, 10, clock=clock)
    failures, state, last = 0, "closed", 0
    for succeeds, later in calls:
        clock.now += later
        now = int(clock.now * 1_000)
        if state == "open" and now - last >= 10_000:
            state = "half_open"
        called = state != "open"
        try:
            breaker.call_sync(AGENT, (lambda: None) if succeeds else (lambda: 1 / 0))
        except ZeroDivisionError:
            assert called
        except CircuitOpenError:
            assert not called
        else:
            assert called
        if called and succeeds:
            state, failures = "closed", 0
        elif called:
            failures, last = failures + 1, now
            if failures >= 3:
                state = "open"
        assert breaker.failures[AGENT] == failures
