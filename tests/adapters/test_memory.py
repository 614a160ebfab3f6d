"""Log and blobs in memory: the suites of the real ones, and the faults they can be told."""

import asyncio

import pytest

from visionflow.adapters.chain import chained
from visionflow.adapters.memory import FaultyLog, MemoryBlobs, MemoryLog, Records
from visionflow.domain.errors import LogConflict, LogUnavailable
from visionflow.ports.log import Entry
from visionflow.testing.conformance import BLOB_CASES, LOG_CASES, BlobSubject, Case, LogSubject


def subject() -> LogSubject:
    records = Records()

    def tamper(stream: str, seq: int, body: bytes) -> None:
        entries = records.streams[stream]
        entries[seq - 1] = entries[seq - 1]._replace(body=body)

    def drop(stream: str, seq: int) -> None:
        del records.streams[stream][seq - 1]

    return LogSubject(open=lambda: MemoryLog(records), tamper=tamper, drop=drop)


@pytest.mark.parametrize("case", LOG_CASES, ids=lambda case: case.__name__)
def test_it_is_a_log(case: Case[LogSubject]) -> None:
    asyncio.run(case(subject()))


@pytest.mark.parametrize(
    "case",
    # It stores as the other one does, so what is about a damaged store says nothing new.
    [each for each in LOG_CASES if not each.__name__.startswith(("a_changed", "a_missing"))],
    ids=lambda case: case.__name__,
)
def test_one_that_can_fail_is_a_log_until_told(case: Case[LogSubject]) -> None:
    records = Records()
    asyncio.run(case(LogSubject(open=lambda: FaultyLog(records))))


@pytest.mark.parametrize("case", BLOB_CASES, ids=lambda case: case.__name__)
def test_they_are_blobs(case: Case[BlobSubject]) -> None:
    contents: dict[str, bytes] = {}
    asyncio.run(case(BlobSubject(open=lambda: MemoryBlobs(contents), tamper=contents.__setitem__)))


def test_what_is_held_back_is_neither_acknowledged_nor_visible() -> None:
    async def scenario() -> None:
        log = FaultyLog()
        log.hold()
        waiting = [log.append("a", number, b"x") for number in range(2)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert log.in_flight == 2
        assert not any(future.done() for future in waiting)
        assert log.head("a").seq == 0
        log.release()
        assert [head.seq for head in await asyncio.gather(*waiting)] == [1, 2]

    asyncio.run(scenario())


def test_told_to_fail_it_fails_what_is_in_flight_and_all_after() -> None:
    async def scenario() -> None:
        log = FaultyLog()
        await log.append("a", 0, b"kept")
        log.hold()
        waiting = log.append("a", 1, b"lost")
        log.fail("no space")
        log.release()
        for future in (waiting, log.append("a", 1, b"lost")):
            with pytest.raises(LogUnavailable, match="no space"):
                await future
        assert [entry.body for entry in log.read("a")] == [b"kept"]

    asyncio.run(scenario())


def test_a_deposed_owner_meets_a_conflict_and_the_chain_holds() -> None:
    async def scenario() -> None:
        log = FaultyLog()
        first = await log.append("a", 0, b"mine")
        log.depose("a", b"theirs")
        with pytest.raises(LogConflict):
            await log.append("a", 1, b"mine")
        entry = Entry(2, b"theirs", chained(first.hash, 2, b"theirs"))
        assert list(log.read("a", after=1)) == [entry]

    asyncio.run(scenario())


def test_a_slower_disk_is_given_from_outside() -> None:
    async def scenario() -> None:
        commits = []
        log = MemoryLog(commit_later=commits.append)
        future = log.append("a", 0, b"x")
        log.append("a", 1, b"x")
        await asyncio.sleep(0)
        assert len(commits) == 1
        assert not future.done()
        commits[0]()
        assert (await future).seq == 1

    asyncio.run(scenario())
