"""The detector: who may be suspected, who is lost, and that nobody else is."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.engine.liveness import (
    PHI_MAX,
    RHYTHM_MIN,
    Detector,
    Opinion,
    Probe,
    Rhythm,
    Standing,
    Watched,
)

SETTINGS = settings(max_examples=300, deadline=None, print_blob=True)
BEAT_MS = 1_000
LOOK_MS = 100
RUNS = Probe("process", True, "process 1 is running")
STOPPED = Probe("process", False, "process 1 is stopped")
BEATS = st.integers(500, 30_000)
SIGNS = st.lists(
    st.tuples(st.integers(0, 600), st.sampled_from(("beat", "pong", "leave", "join", "none"))),
    max_size=60,
)

pytestmark = pytest.mark.acceptance("detect")


class Watch:
    """A detector, one worker, and a clock that goes on by itself."""

    def __init__(self, beat_ms: int = BEAT_MS) -> None:
        self.now_ms = 0
        self.detector = Detector(beat_ms)
        self.worker = Watched(1, 0)
        self.process = RUNS
        self.answers = False

    def look(self) -> Opinion:
        """As the runtime does: ask where it is due, then judge."""
        if self.detector.wants_ping(self.worker, self.now_ms):
            self.worker.ask(self.now_ms)
        elif self.answers and self.worker.asked_ms is not None:
            self.worker.answer(self.now_ms)
        return self.detector.judge(self.worker, self.process, self.now_ms)

    def pass_by(self, ms: int) -> Iterator[Opinion]:
        for _ in range(ms // LOOK_MS):
            self.now_ms += LOOK_MS
            yield self.look()

    def beats(self, count: int, every_ms: int = BEAT_MS) -> None:
        for _ in range(count):
            self.now_ms += every_ms
            self.worker.beat(self.now_ms)

    def sign(self, kind: str) -> None:
        match kind:
            case "beat":
                self.worker.beat(self.now_ms)
            case "pong" if self.worker.connected:
                self.worker.answer(self.now_ms)
            case "leave":
                self.worker.leave()
            case "join":
                self.worker.join(self.now_ms)
            case _:
                pass

    def until_lost(self, ms: int) -> int:
        """How long it takes."""
        began_ms = self.now_ms
        for opinion in self.pass_by(ms):
            if opinion.standing is Standing.LOST:
                return self.now_ms - began_ms
        raise AssertionError(f"it is not lost within {ms} ms")


@SETTINGS
@given(BEATS, SIGNS, st.lists(st.booleans(), min_size=60, max_size=60))
def test_nobody_is_lost_while_a_majority_of_its_probes_is_answered(
    beat_ms: int, signs: list[tuple[int, str]], runs: list[bool]
) -> None:
    watch = Watch(beat_ms)
    for (share, kind), running in zip(signs, runs, strict=False):
        watch.now_ms += beat_ms * share // 200
        watch.sign(kind)
        watch.process = RUNS if running else STOPPED
        opinion = watch.look()
        answered = sum(probe.answered is True for probe in opinion.probes)
        if answered >= 2:
            assert opinion.standing is not Standing.LOST
        if opinion.probes[0].answered is True:
            assert opinion.standing is not Standing.LOST, "a fresh heartbeat outweighs all"


@SETTINGS
@given(BEATS, SIGNS, st.sampled_from((RUNS, STOPPED)), st.booleans())
def test_whoever_is_silent_from_some_time_on_is_lost_within_three_heartbeats(
    beat_ms: int, signs: list[tuple[int, str]], process: Probe, connected: bool
) -> None:
    watch = Watch(beat_ms)
    for share, kind in signs:
        watch.now_ms += beat_ms * share // 200
        watch.sign(kind)
        watch.look()
    watch.sign("join" if connected else "leave")
    watch.process = process
    # Where it was silent before and answered a ping, that answer holds for a heartbeat yet.
    until_ms = max(watch.worker.heard_ms + 3 * beat_ms, watch.now_ms + 2 * beat_ms)
    while watch.look().standing is not Standing.LOST:
        watch.now_ms += max(1, beat_ms // 4)
        assert watch.now_ms <= until_ms


@SETTINGS
@given(SIGNS, st.integers(0, 59), st.integers(1, 10**7))
def test_the_time_in_which_we_stood_still_changes_no_opinion(
    signs: list[tuple[int, str]], place: int, gap_ms: int
) -> None:
    plain, stalled = Watch(), Watch()
    for number, (share, kind) in enumerate(signs):
        for watch in (plain, stalled):
            watch.now_ms += BEAT_MS * share // 200
        if number == place:
            stalled.now_ms += gap_ms
            stalled.worker.skip(gap_ms)
        for watch in (plain, stalled):
            watch.sign(kind)
        one, other = plain.look(), stalled.look()
        # Its rhythm is not learned from such a time, so it may be suspected later, not sooner.
        if "rhythm" not in one.evidence:
            assert other.standing is one.standing
            assert [p.answered for p in other.probes] == [p.answered for p in one.probes]


@SETTINGS
@given(
    st.lists(st.integers(1, 4_000), min_size=RHYTHM_MIN, max_size=64),
    st.integers(0, 2_100),
    st.booleans(),
)
def test_a_learned_rhythm_suspects_and_never_makes_anybody_lost(
    intervals: list[int], silence_ms: int, asked: bool
) -> None:
    watch = Watch()
    for each in intervals:
        watch.beats(1, each)
    if asked:
        watch.worker.ask(watch.now_ms)
    watch.now_ms += silence_ms
    watch.process = STOPPED
    opinion = watch.detector.judge(watch.worker, watch.process, watch.now_ms)
    assert opinion.standing is not Standing.LOST


def test_a_worker_that_beats_like_a_clock_is_suspected_earlier_than_one_of_no_known_rhythm() -> (
    None
):
    times: list[int] = []
    for beats in (0, 20):
        watch = Watch()
        watch.beats(beats)
        heard_ms = watch.now_ms
        suspected = [
            watch.now_ms
            for opinion in watch.pass_by(3 * BEAT_MS)
            if opinion.standing is Standing.SUSPECTED
        ]
        times.append(suspected[0] - heard_ms)
    unknown, steady = times
    assert BEAT_MS < steady < unknown < 2 * BEAT_MS


def test_a_loop_that_computes_for_long_is_not_even_suspected_while_its_thread_beats() -> None:
    watch = Watch()
    for _ in range(20):
        opinions = [opinion.standing for opinion in watch.pass_by(BEAT_MS)]
        watch.worker.beat(watch.now_ms)
        assert set(opinions) == {Standing.TRUSTED}


def test_one_whose_heartbeats_are_missing_while_it_answers_is_suspected_and_not_lost() -> None:
    watch = Watch()
    watch.answers = True
    standings = [opinion.standing for opinion in watch.pass_by(20 * BEAT_MS)]
    assert standings[-1] is Standing.SUSPECTED
    assert Standing.LOST not in standings


def test_what_is_stopped_is_lost_after_two_heartbeats_and_before_the_third() -> None:
    watch = Watch()
    watch.beats(3)
    watch.process = STOPPED
    assert 2 * BEAT_MS < watch.until_lost(5 * BEAT_MS) < 3 * BEAT_MS


def test_a_connection_that_is_gone_is_a_suspicion_at_once_and_one_that_is_back_ends_it() -> None:
    watch = Watch()
    watch.worker.leave()
    gone = watch.look()
    assert (gone.standing, gone.reachable) == (Standing.SUSPECTED, False)
    watch.worker.beat(watch.now_ms)
    assert watch.look().standing is Standing.SUSPECTED, "a heartbeat takes another way"
    watch.worker.join(watch.now_ms)
    assert watch.look().standing is Standing.TRUSTED


def test_however_often_it_has_to_beat_a_worker_has_half_a_second_to_answer_a_ping() -> None:
    watch = Watch(100)
    assert 500 < watch.until_lost(5_000) < 1_000


def test_an_answer_to_an_earlier_doubt_says_nothing_of_this_one() -> None:
    watch = Watch()
    watch.worker.ask(0)
    watch.worker.answer(10)
    assert watch.until_lost(5 * BEAT_MS) < 3 * BEAT_MS


def test_evidence_names_each_probe() -> None:
    watch = Watch()
    watch.process = STOPPED
    *_, last = watch.pass_by(3 * BEAT_MS)
    for word in ("3 of 3 probes", "heartbeat", "ping", "process 1 is stopped"):
        assert word in last.evidence
    assert last.answers == (("heartbeat", False), ("ping", False), ("process", False))


def test_phi_is_the_more_suspicious_the_longer_and_the_steadier() -> None:
    steady, unsteady = Rhythm(), Rhythm()
    for number in range(20):
        steady.intervals.append(BEAT_MS)
        unsteady.intervals.append(BEAT_MS + (400 if number % 2 else -400))
    found = [steady.phi(silence) for silence in range(0, 3_000, 100)]
    assert found == sorted(found, key=float)
    calm, sure = unsteady.phi(1_500), steady.phi(1_500)
    assert calm is not None and sure is not None and calm < PHI_MAX < sure
    assert Rhythm().phi(10**6) is None and Rhythm().mean_ms() is None


def test_one_that_beats_and_takes_up_nothing_is_suspected_until_it_answers_and_never_lost() -> None:
    watch = Watch()
    watch.beats(3)
    watch.worker.unheeded = True
    standings: list[Standing] = []
    for _ in range(20):
        standings += [opinion.standing for opinion in watch.pass_by(BEAT_MS)]
        watch.worker.beat(watch.now_ms)
    assert standings[0] is Standing.TRUSTED
    assert set(standings[10:]) == {Standing.SUSPECTED}
    assert "has not taken up" in watch.look().evidence
    watch.worker.answer(watch.now_ms)
    assert watch.look().standing is Standing.TRUSTED
    assert not watch.detector.is_doubtful(watch.worker, watch.now_ms)


def test_one_that_takes_up_nothing_and_answers_is_not_suspected() -> None:
    watch = Watch()
    watch.answers = True
    for _ in range(20):
        watch.worker.unheeded = True
        assert {each.standing for each in watch.pass_by(BEAT_MS)} == {Standing.TRUSTED}
        watch.worker.beat(watch.now_ms)
