"""How fast a tool may be started: never above its limit, and always on its way up again."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.agents.command.governor import (
    SLOTS_MAX,
    Busy,
    Governor,
    Pace,
    Slot,
    busy,
    paced,
    quickened,
    slowed,
)
from visionflow.domain.limits import THROTTLE_MS_MAX

pytestmark = pytest.mark.acceptance("governor")
NOW = 1_800_000_000_000


def test_it_halves_once_for_all_goes_that_were_under_way() -> None:
    pace = slowed(Pace(), NOW, wait_ms=5_000, at_once=8, known=0)
    assert (pace.limit, pace.until_ms) == (4, NOW + 5_000)
    pace = slowed(pace, NOW + 100, wait_ms=9_000, at_once=8, known=0)
    assert (pace.limit, pace.until_ms) == (4, NOW + 9_100)
    pace = slowed(pace, NOW + 200, wait_ms=0, at_once=4, known=1)
    assert (pace.limit, pace.until_ms) == (2, NOW + 9_100)


def test_it_never_goes_below_one_and_never_above_the_most() -> None:
    pace = Pace()
    for number in range(20):
        pace = slowed(pace, NOW, wait_ms=1, at_once=64, known=number)
    assert pace.limit == 1
    for _ in range(SLOTS_MAX + 5):
        pace = quickened(pace)
    assert pace.limit == SLOTS_MAX


def test_nothing_starts_before_its_time_and_then_one_may() -> None:
    pace = slowed(Pace(), NOW, wait_ms=5_000, at_once=1, known=0)
    assert busy(pace, 0, NOW + 4_999) == Busy(0, 1, NOW + 5_000)
    assert busy(pace, 0, NOW + 5_000) is None
    assert busy(pace, 1, NOW + 5_000) == Busy(1, 1, None)


def test_a_clock_that_goes_backwards_makes_no_wait_longer_than_it_was() -> None:
    pace = slowed(Pace(), NOW, wait_ms=5_000, at_once=1, known=0)
    back = NOW - 86_400_000
    assert paced(pace, back).until_ms == back + 5_000


@given(
    pace=st.builds(
        Pace, st.integers(-5, 500), st.integers(-(10**15), 10**15),
        st.integers(-(10**15), 10**15), st.integers(-5, 5),
    ),
    now=st.integers(0, 10**14),
)  # fmt: skip
def test_whatever_a_file_says_the_wait_is_bounded(pace: Pace, now: int) -> None:
    found = paced(pace, now)
    assert 1 <= found.limit <= SLOTS_MAX
    assert found.until_ms <= max(now, found.set_at_ms) + THROTTLE_MS_MAX
    assert found.set_at_ms <= now


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("throttle"), st.integers(0, 60_000)),
        st.tuples(st.just("clock"), st.integers(-200_000, 200_000)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_never_more_than_the_limit_at_once_and_it_always_recovers(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    now = [NOW]
    governor = Governor(
        tmp_path_factory.mktemp("governor"), "claude", most=6, now_ms=lambda: now[0]
    )
    held: list[Slot] = []
    try:
        for what, value in steps:
            before = governor.pace
            if what == "take":
                found = governor.take()
                if isinstance(found, Slot):
                    assert len(held) < before.limit
                    assert now[0] >= before.until_ms
                    held.append(found)
                else:
                    assert found.held == len(held)
                    assert found.until_ms is not None or len(held) >= before.limit
            elif what == "clock":
                now[0] += value
            elif held:
                slot = held.pop(value % len(held))
                if what == "throttle":
                    after = governor.slow_down(slot, value)
                    assert after.limit <= before.limit
                    assert after.until_ms >= now[0] + value
                else:
                    governor.went_well()
                slot.close()
    finally:
        for slot in held:
            slot.close()
    now[0] += THROTTLE_MS_MAX + 1
    for _ in range(6):
        slot = governor.take()
        assert isinstance(slot, Slot)
        slot.close()
        governor.went_well()
    assert governor.pace.limit == 6


def test_a_process_that_is_killed_frees_its_slot(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from visionflow.agents.command.governor import Governor\n"
        "slot = Governor(Path(sys.argv[1]), 'claude', most=1).take()\n"
        "print(type(slot).__name__, flush=True); time.sleep(600)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "Slot\n"
        governor = Governor(tmp_path, "claude", most=1)
        assert governor.take() == Busy(1, 1, None)
    finally:
        other.kill()
        other.communicate()
    slot = governor.take()
    assert isinstance(slot, Slot)
    slot.close()


def test_tools_do_not_slow_each_other_down(tmp_path: Path) -> None:
    claude, codex = Governor(tmp_path, "claude", most=2), Governor(tmp_path, "codex", most=2)
    slot = claude.take()
    assert isinstance(slot, Slot)
    claude.slow_down(slot, 60_000)
    slot.close()
    assert isinstance(claude.take(), Busy)
    other = codex.take()
    assert isinstance(other, Slot)
    other.close()


def test_who_is_cancelled_while_waiting_takes_no_slot(tmp_path: Path) -> None:
    governor = Governor(tmp_path, "claude", most=1)
    slot = governor.take()
    assert isinstance(slot, Slot)
    seen: list[Busy] = []

    async def cancelled() -> None:
        work = asyncio.ensure_future(governor.slot(seen.append))
        while not seen:
            await asyncio.sleep(0)
        slot.close()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert seen[0] == Busy(1, 1, None)
    again = governor.take()
    assert isinstance(again, Slot)
    again.close()


def test_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    governor = Governor(tmp_path / "governor", "../odd name")
    slot = governor.take()
    assert isinstance(slot, Slot)
    governor.slow_down(slot, 1)
    slot.close()
    places = [each for each in (tmp_path / "governor").rglob("*") if each.is_file()]
    assert places
    assert os.listdir(tmp_path) == ["governor"]
