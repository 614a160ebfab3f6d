"""Alarms: what is due, each once, earliest first; looking changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from visionflow.engine.state import Clocks
from visionflow.engine.timing import Alarm

ENTRIES = st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abcdef")), max_size=60)


@given(ENTRIES, st.integers(-1, 51))
def test_what_is_due_is_exactly_what_was_set_up_to_then(
    entries: list[tuple[int, str]], now_ms: int
) -> None:
    alarm = Alarm()
    for at_ms, name in entries:
        alarm.set(at_ms, name)
    expected = sorted({entry for entry in entries if entry[0] <= now_ms})
    assert alarm.due(now_ms) == expected
    assert alarm.due(now_ms) == expected, "looking changed it"
    assert len(alarm) == len(entries)
    assert alarm.next_ms() == min((at_ms for at_ms, _ in entries), default=None)


@given(ENTRIES, st.sets(st.sampled_from("abcdef")))
def test_trimming_drops_only_what_no_longer_counts(
    entries: list[tuple[int, str]], counted: set[str]
) -> None:
    alarm = Alarm()
    for at_ms, name in entries:
        alarm.set(at_ms, name)
    alarm.trim(lambda _, name: name in counted)
    due = alarm.due(100)
    assert [entry for entry in due if entry[1] in counted] == sorted(
        {entry for entry in entries if entry[1] in counted}
    )
    assert not due or due[0][1] in counted


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from((10, 20)), st.integers(0, 9)),
        max_size=40,
    )
)
def test_clocks_name_each_attempt_that_is_over_its_limit_and_no_other(
    starts: list[tuple[str, int, int]],
) -> None:
    clocks, model, now_ms = Clocks(), dict[str, tuple[int, int]](), 0
    lengths: dict[str, int] = {}
    for name, length_ms, later_ms in starts:
        now_ms += later_ms
        if name in lengths:
            clocks.stop(name, lengths[name])
        lengths[name] = length_ms
        clocks.start(name, length_ms, now_ms)
        model[name] = (now_ms, length_ms)
        due = [n for n, (since, length) in model.items() if now_ms - since >= length + 5]
        assert sorted(clocks.overdue(now_ms, 5)) == sorted(due)
