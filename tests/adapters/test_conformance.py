"""The suites find faults: each planted one fails a case that is about it."""

import asyncio
import itertools
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from visionflow.adapters.attached import AttachedProcess
from visionflow.adapters.chain import chained
from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost, OsProcess
from visionflow.adapters.memory import MemoryBlobs, MemoryLog, Records, _Pending
from visionflow.domain.errors import VisionFlowError
from visionflow.ports.blobs import Blobs
from visionflow.ports.host import Exit, Host, ProcessState
from visionflow.ports.log import Entry, Head, Log
from visionflow.testing.conformance import (
    BLOB_CASES,
    CLOCK_CASES,
    LOG_CASES,
    PROCESS_CASES,
    BlobSubject,
    HostSubject,
    LogSubject,
    faults,
    run_all,
)
from visionflow.testing.conformance import case as suite_case


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that shows as silence is not waited for in full."""
    monkeypatch.setattr(suite_case, "WAIT_S_MAX", 1.0)


class AcknowledgesBeforeCommit(MemoryLog):
    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        waiting = [pending for pending in self._pending if pending.stream == stream]
        tail = self.records.head(stream)
        real = super().append(stream, expect, body)
        real.add_done_callback(lambda future: future.exception())
        if expect != tail.seq + len(waiting):
            return real
        for pending in waiting:
            tail = Head(tail.seq + 1, chained(tail.hash, tail.seq + 1, pending.body))
        early: Future[Head] = asyncio.get_running_loop().create_future()
        early.set_result(Head(expect + 1, chained(tail.hash, expect + 1, body)))
        return early


class CommitsAfterItSaidSo(MemoryLog):
    def commit(self) -> None:
        if self._pending and not self._closed:
            asyncio.get_running_loop().call_later(0.01, super().commit)
        else:
            super().commit()

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        real = super().append(stream, expect, body)
        self._pending.sort(key=lambda pending: -pending.expect)
        return real


class ForgetsNowAndThen(MemoryLog):
    def _store(self, pending: _Pending) -> Head | VisionFlowError:
        head = super()._store(pending)
        if isinstance(head, Head) and head.seq % 7 == 0:
            self.records.streams[pending.stream].pop()
        return head


class TakesEverything(MemoryLog):
    def _store(self, pending: _Pending) -> Head | VisionFlowError:
        return super()._store(pending._replace(expect=self.records.head(pending.stream).seq))


class FailsItsNeighbours(MemoryLog):
    def commit(self) -> None:
        wrong = [p for p in self._pending if p.expect > self.records.head(p.stream).seq + 5]
        if wrong:
            stream = wrong[0].stream
            self._pending = [p._replace(stream=stream, expect=-1) for p in self._pending]
        super().commit()


class DoesNotCheckTheChain(MemoryLog):
    def _read(self, stream: str, after: int) -> Iterator[Entry]:
        yield from self.records.streams.get(stream, [])[after:]


class ChainsNothing(MemoryLog):
    def _store(self, pending: _Pending) -> Head | VisionFlowError:
        head = super()._store(pending)
        if isinstance(head, Head):
            entries = self.records.streams[pending.stream]
            entries[-1] = entries[-1]._replace(hash=bytes(32))
            return Head(head.seq, bytes(32))
        return head


class FollowsOnlyWhatIsNew(MemoryLog):
    def follow(self, stream: str, after: int = 0) -> AsyncIterator[Entry]:
        return super().follow(stream, max(after, self.records.head(stream).seq))


class FollowsTwice(MemoryLog):
    async def _follow(self, stream: str, after: int) -> AsyncIterator[Entry]:
        async for entry in super()._follow(stream, after):
            yield entry
            if entry.seq % 50 == 0:
                yield entry


class ShowsWhatWaits(MemoryLog):
    """Applies an append at once, and takes it back when it did not fit."""

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        entries = self.records.streams.setdefault(stream, [])
        seq = len(entries) + 1
        before = entries[-1].hash if entries else bytes(32)
        entry = Entry(seq, body, chained(before, seq, body))
        if expect != len(entries):
            entries.append(entry)
            for wake in tuple(self.records.waiting):
                wake()
            loop = asyncio.get_running_loop()
            loop.call_later(0.005, entries.remove, entry)
            entries = entries[:-1]
        return super().append(stream, expect, body)


class GoesOnWhenClosed(MemoryLog):
    def _check_open(self) -> None:
        return


class HoldsNoLargeBodies(MemoryLog):
    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        return super().append(stream, expect, body[:1_000_000])


class NamesInAnyOrder(MemoryLog):
    def streams(self) -> tuple[str, ...]:
        return tuple(self.records.streams)


class LosesItsRecords(MemoryLog):
    def __init__(self, records: Records) -> None:
        super().__init__(Records())


LOG_FAULTS: list[tuple[Callable[[Records], Log], str]] = [
    (AcknowledgesBeforeCommit, "acknowledged_means_stored"),
    (CommitsAfterItSaidSo, "appends_of_a_stream_take_effect_in_call_order"),
    (ForgetsNowAndThen, "appended_records_are_read_in_order"),
    (TakesEverything, "an_append_at_the_wrong_place_is_a_conflict"),
    (TakesEverything, "two_writers_cannot_both_win"),
    (FailsItsNeighbours, "a_conflict_does_not_touch_its_neighbours"),
    (DoesNotCheckTheChain, "a_changed_record_is_found"),
    (DoesNotCheckTheChain, "a_missing_record_is_found"),
    (ChainsNothing, "a_hash_covers_all_before_it"),
    (FollowsOnlyWhatIsNew, "a_follower_gets_each_record_once"),
    (FollowsTwice, "a_follower_gets_each_record_once"),
    (ShowsWhatWaits, "a_follower_never_sees_what_was_refused"),
    (GoesOnWhenClosed, "close_finishes_what_is_under_way"),
    (HoldsNoLargeBodies, "large_bodies_are_whole"),
    (NamesInAnyOrder, "streams_are_apart_and_named"),
    (LosesItsRecords, "records_outlive_the_log"),
]


def log_subject(make: Callable[[Records], Log]) -> LogSubject:
    records = Records()

    def tamper(stream: str, seq: int, body: bytes) -> None:
        entries = records.streams[stream]
        entries[seq - 1] = entries[seq - 1]._replace(body=body)

    def drop(stream: str, seq: int) -> None:
        del records.streams[stream][seq - 1]

    return LogSubject(open=lambda: make(records), tamper=tamper, drop=drop)


@pytest.mark.parametrize(("planted", "case"), LOG_FAULTS)
def test_a_faulty_log_fails_the_case_about_it(planted: Callable[[Records], Log], case: str) -> None:
    cases = [each for each in LOG_CASES if getattr(each, "__name__", "") == case]
    outcomes = asyncio.run(run_all(cases, lambda: log_subject(planted)))
    assert set(faults(outcomes)) == {case}


def test_a_sound_log_passes_and_the_outcomes_say_what_did_not_apply() -> None:
    whole = asyncio.run(run_all(LOG_CASES, lambda: log_subject(MemoryLog)))
    assert faults(whole) == {}
    assert all(outcome.applies for outcome in whole)
    bare = LogSubject(open=MemoryLog, durable=False, shared=False)
    outcomes = asyncio.run(run_all(LOG_CASES, lambda: bare))
    assert faults(outcomes) == {}
    assert {outcome.case for outcome in outcomes if not outcome.applies} == {
        "two_writers_cannot_both_win",
        "acknowledged_means_stored",
        "records_outlive_the_log",
        "a_follower_sees_another_writers_records",
        "a_changed_record_is_found",
        "a_missing_record_is_found",
    }


class NamesByCount(MemoryBlobs):
    numbers = itertools.count()

    def put(self, content: bytes) -> str:
        name = f"{next(self.numbers):064x}"
        self.contents[name] = content
        return name


class BelievesItsDisk(FileBlobs):
    def get(self, name: str) -> bytes:
        return self._path(name).read_bytes()


class KeepsWhatIsThere(FileBlobs):
    def _holds(self, path: Path, name: str) -> bool:
        return path.exists()


class FollowsAnyName(FileBlobs):
    def has(self, name: str) -> bool:
        return (self._root / name.replace("\0", "")).exists() or super().has(name)


@pytest.mark.parametrize(
    ("planted", "case"),
    [
        (lambda root: NamesByCount(), "content_comes_back_under_its_hash"),
        (lambda root: MemoryBlobs(), "storing_twice_is_harmless"),
        (BelievesItsDisk, "changed_content_is_refused_and_mended"),
        (KeepsWhatIsThere, "changed_content_is_refused_and_mended"),
        (FollowsAnyName, "an_unknown_name_is_missing"),
    ],
)
def test_faulty_blobs_fail_the_case_about_it(
    planted: Callable[[Path], Blobs], case: str, tmp_path: Path
) -> None:
    def tamper(name: str, content: bytes) -> None:
        (tmp_path / name[:2] / name[2:]).write_bytes(content)

    subject = BlobSubject(open=lambda: planted(tmp_path), tamper=tamper)
    cases = [each for each in BLOB_CASES if getattr(each, "__name__", "") == case]
    assert set(faults(asyncio.run(run_all(cases, lambda: subject)))) == {case}


class ClockGoesBack(OsHost):
    def now_ms(self) -> int:
        return -super().now_ms()


class SmallEntropy(OsHost):
    def entropy(self) -> int:
        return super().entropy() >> 1


class TimersAllCome(OsHost):
    def call_later(self, delay_ms: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        super().call_later(delay_ms, call)
        return super().call_later(delay_ms, lambda: None)


class KillsAnyPid(OsHost):
    def end_leftover(self, pid: int, started: str) -> bool:
        return super().end_leftover(pid, started.lstrip("0"))


class AttachesToAnyPid(OsHost):
    def attach(self, pid: int, started: str) -> AttachedProcess | None:
        return super().attach(pid, started.lstrip("0"))


class LeavesNobody(OsHost):
    def spawn(self, *words: Any, **more: Any) -> OsProcess:
        child = super().spawn(*words, **more)
        child.leave = child.kill  # type: ignore[method-assign]
        return child


class LooksAtAnyPid(OsHost):
    def process_state(self, pid: int, started: str) -> ProcessState:
        return super().process_state(pid, started.lstrip("0"))


class KillsOnlyTheChild(OsHost):
    def spawn(self, *words: Any, **more: Any) -> OsProcess:
        child = super().spawn(*words, **more)
        child._kill_group = child._child.kill  # type: ignore[method-assign]
        child._mark = "nobody's"
        return child


class TellsNoSignal(OsHost):
    def spawn(self, *words: Any, **more: Any) -> OsProcess:
        child = super().spawn(*words, **more)
        real = child.on_exit
        child.on_exit = lambda call: real(  # type: ignore[method-assign]
            lambda found: call(Exit(found.code if found.code is not None else -1, None))
        )
        return child


@pytest.mark.parametrize(
    ("planted", "case"),
    [
        (ClockGoesBack, "time_never_goes_back"),
        (SmallEntropy, "entropy_is_64_bits_without_pattern"),
        (TimersAllCome, "timers_come_in_order_or_not_at_all"),
        (KillsAnyPid, "a_stranger_with_the_same_pid_is_left_alone"),
        (AttachesToAnyPid, "a_process_of_before_is_watched_and_ended"),
        (LeavesNobody, "a_process_of_before_is_watched_and_ended"),
        (LooksAtAnyPid, "the_state_of_a_process_is_told"),
        (KillsOnlyTheChild, "what_a_child_started_ends_with_it"),
        (TellsNoSignal, "an_exit_is_told_once_with_its_code"),
    ],
)
def test_a_faulty_host_fails_the_case_about_it(planted: Callable[[], Host], case: str) -> None:
    cases = [each for each in CLOCK_CASES + PROCESS_CASES if each.__name__ == case]
    assert set(faults(asyncio.run(run_all(cases, lambda: HostSubject(open=planted))))) == {case}
