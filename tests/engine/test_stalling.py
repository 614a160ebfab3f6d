"""Whether an attempt makes progress, by what it tells and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.engine.stalling import SAME_MAX, STUCK_MS_MIN, Course, patience_ms

pytestmark = pytest.mark.acceptance("detect")


@given(st.integers(0, 10**10), st.integers(0, 10**9))
def test_patience_is_twice_the_estimate_and_never_a_mere_moment(mean_us: int, else_ms: int) -> None:
    found = patience_ms(mean_us, else_ms)
    assert found >= STUCK_MS_MIN
    if found > STUCK_MS_MIN:
        assert found == 2 * mean_us // 1_000
    assert patience_ms(None, else_ms) == else_ms


@given(st.lists(st.tuples(st.integers(0, 999), st.booleans()), max_size=50))
def test_whoever_keeps_telling_news_within_its_patience_is_never_stuck(
    told: list[tuple[int, bool]],
) -> None:
    course, now_ms = Course(1, 0), 0
    for number, (after_ms, is_step) in enumerate(told):
        now_ms += after_ms
        if is_step:
            course.move(now_ms)
        else:
            assert course.tell(None, f"line {number}", now_ms)
        assert course.stuck(1_000, now_ms) is None


def test_silence_beyond_its_patience_is_stuck_and_the_evidence_says_since_when() -> None:
    course = Course(1, 100)
    course.tell(0.5, "half of it", 200)
    assert course.stuck(1_000, 1_200) is None
    evidence = course.stuck(1_000, 1_201)
    assert evidence is not None
    assert "1001 ms" in evidence and "half of it" in evidence


@pytest.mark.parametrize("loop", [["$ pytest"], ["$ pytest", "it fails"]])
def test_the_same_calls_over_and_over_are_no_progress_however_quick_they_come(
    loop: list[str],
) -> None:
    course = Course(1, 0)
    for turn in range(SAME_MAX):
        assert course.stuck(10**9, turn) is None
        course.tell(None, loop[turn % len(loop)], turn)
    evidence = course.stuck(10**9, SAME_MAX)
    assert evidence is not None and "the same 20 times" in evidence
    assert course.tell(None, "something else", SAME_MAX)
    assert course.stuck(10**9, SAME_MAX) is None


def test_the_same_words_with_another_share_are_progress() -> None:
    course = Course(1, 0)
    for turn in range(3 * SAME_MAX):
        assert course.tell(turn / 100, "testing", turn)
    assert course.stuck(10**9, 3 * SAME_MAX) is None


def test_a_finished_step_forgives_what_was_told_before() -> None:
    course = Course(1, 0)
    for turn in range(SAME_MAX):
        course.tell(None, "again", turn)
    course.move(SAME_MAX)
    assert course.stuck(10**9, SAME_MAX) is None


def test_time_in_which_all_stood_still_does_not_count() -> None:
    course = Course(1, 0)
    course.skip(5_000)
    assert course.stuck(1_000, 5_900) is None
