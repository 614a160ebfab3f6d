"""The log in SQLite: the suite that every log passes, and what only this one can do."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from visionflow.adapters.sqlite import readers, schema
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.errors import LogConflict, LogUnavailable, StoreTooOld
from visionflow.ports.log import GENESIS, Head
from visionflow.testing.conformance import LOG_CASES, Case, LogSubject
from visionflow.testing.syncs import CountingVfs


def subject_in(folder: Path) -> LogSubject:
    path = folder / "new" / "folders" / "log.db"

    def tamper(stream: str, seq: int, body: bytes) -> None:
        change(path, "UPDATE records SET body = ? WHERE stream = ? AND seq = ?", body, stream, seq)

    def drop(stream: str, seq: int) -> None:
        change(path, "DELETE FROM records WHERE stream = ? AND seq = ?", stream, seq)

    return LogSubject(open=lambda: SqliteLog.open(path), tamper=tamper, drop=drop)


def change(path: Path, statement: str, *values: str | int | bytes) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement, values)
    assert connection.changes() == 1
    connection.close()


@pytest.mark.parametrize("case", LOG_CASES, ids=lambda case: case.__name__)
def test_it_is_a_log(case: Case[LogSubject], tmp_path: Path) -> None:
    asyncio.run(case(subject_in(tmp_path)))


async def fill(log: SqliteLog, count: int, start: int = 0, size: int = 100) -> None:
    await asyncio.gather(
        *[log.append("a", start + number, b"%0*d" % (size, number)) for number in range(count)]
    )


def test_a_sqlite_that_loses_data_is_refused() -> None:
    for version in ("3.51.2", "3.46.0", "3.9.99"):
        with pytest.raises(StoreTooOld, match=version):
            schema.check_library(version)
    for version in ("3.51.3", "3.52.0", "4.0.0"):
        schema.check_library(version)
    schema.check_library()


def test_every_commit_is_synced_and_many_appends_share_one(tmp_path: Path) -> None:
    vfs = CountingVfs("test-counting")

    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db", vfs=vfs.name)
        await fill(log, 1)
        before = vfs.syncs
        for number in range(1, 21):
            await log.append("a", number, b"x")
        assert vfs.syncs - before == 20
        before = vfs.syncs
        await fill(log, 1_000, start=21)
        assert 1 <= vfs.syncs - before <= 100
        log.close()

    asyncio.run(scenario())


def test_a_full_disk_fails_all_appends_until_it_is_opened_again(tmp_path: Path) -> None:
    # A limit on the size of files is what an unprivileged test has of a full disk; it must not
    # reach the test runner itself.
    program = """
import asyncio, resource, signal, sys
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.errors import LogUnavailable
async def main():
    log = SqliteLog.open(sys.argv[1])
    await log.append("a", 0, b"fits")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    together = [log.append("a", 1, b"x" * 500_000), log.append("b", 0, b"small")]
    for found in await asyncio.gather(*together, return_exceptions=True):
        assert isinstance(found, LogUnavailable), found
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for found in await asyncio.gather(log.append("a", 1, b"small"), return_exceptions=True):
        assert isinstance(found, LogUnavailable), found
    assert log.head("a").seq == 1 and log.streams() == ("a",)
    log.close()
    log = SqliteLog.open(sys.argv[1])
    await log.append("a", 1, b"again")
    log.close()
asyncio.run(main())
"""
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log.db")], check=True, timeout=60
    )


def test_a_lock_that_is_never_let_go_makes_the_log_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_MS", 20)

    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        other = apsw.Connection(str(tmp_path / "log.db"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="Busy"):
            await log.append("a", 0, b"x")
        other.execute("ROLLBACK")
        other.close()
        with pytest.raises(LogUnavailable):
            await log.append("a", 0, b"x")
        log.close()

    asyncio.run(scenario())


def test_an_append_by_another_process_deposes_this_one(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from visionflow.adapters.sqlite.log import SqliteLog
async def main():
    log = SqliteLog.open(sys.argv[1])
    await log.append("a", 1, b"theirs")
    log.close()
asyncio.run(main())
"""

    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        following = log.follow("a")
        await log.append("a", 0, b"ours")
        assert (await anext(following)).body == b"ours"
        command = [sys.executable, "-c", program, str(tmp_path / "log.db")]
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
        assert (await asyncio.wait_for(anext(following), 20)).body == b"theirs"
        with pytest.raises(LogConflict):
            await log.append("a", 1, b"ours")
        assert [entry.body for entry in log.read("a")] == [b"ours", b"theirs"]
        log.close()

    asyncio.run(scenario())


def test_a_dead_owners_log_can_be_read_without_writing(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "log.db"
        log = SqliteLog.open(path)
        await fill(log, 10)
        # As a crash leaves them: the records are still in the write-ahead file.
        dead = tmp_path / "dead"
        dead.mkdir()
        for name in ("log.db", "log.db-wal"):
            (dead / name).write_bytes((tmp_path / name).read_bytes())
        log.close()
        reader = SqliteLog.open(dead / "log.db", read_only=True)
        assert reader.head("a").seq == len(list(reader.read("a"))) == 10
        with pytest.raises(LogUnavailable, match="read only"):
            await reader.append("a", 10, b"x")
        reader.close()

    asyncio.run(scenario())


def test_what_is_not_a_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.db"
    connection = apsw.Connection(str(stranger))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("not a database at all, but long enough to be taken for one\n" * 20)
    newer = tmp_path / "newer.db"
    SqliteLog.open(newer).close()
    connection = apsw.Connection(str(newer))
    connection.pragma("user_version", schema.FORMAT + 1)
    connection.close()
    before = {path: path.read_bytes() for path in (stranger, text, newer)}
    for path in (stranger, text, newer, tmp_path, tmp_path / "missing" / "log.db"):
        for read_only in (False, True):
            with pytest.raises(LogUnavailable, match=path.name):
                SqliteLog.open(path, create=False, read_only=read_only)
    assert before == {path: path.read_bytes() for path in before}
    assert not (tmp_path / "missing").exists()


def test_the_write_ahead_file_stays_small_under_load(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db", checkpoint_pages=50)
        for start in range(0, 1_000, 20):
            await fill(log, 20, start=start, size=2_000)
        # One commit past the limit is possible, a commit being 20 records of half a page.
        assert os.path.getsize(tmp_path / "log.db-wal") < 4_096 * 200
        log.close()
        assert sorted(os.listdir(tmp_path)) == ["log.db"]

    asyncio.run(scenario())


def test_a_reader_that_stops_half_way_holds_no_transaction(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        await fill(log, readers.PAGE_ROWS * 3)
        reading = log.read("a")
        next(reading)
        checkpoint = apsw.Connection(str(tmp_path / "log.db"))
        checkpoint.set_busy_timeout(0)
        pages, moved = checkpoint.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        assert pages == moved
        checkpoint.close()
        assert len(list(reading)) == readers.PAGE_ROWS * 3 - 1
        log.close()

    asyncio.run(scenario())


def test_reading_needs_no_more_memory_than_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "PAGE_BYTES_MAX", 5_000)

    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        await fill(log, 100, size=2_000)
        page = readers.Readers(log.path, None).page("a", Head(0, GENESIS))
        assert len(page.entries) == 3
        for after in (0, 1, 50, 99, 100, 101):
            assert [entry.seq for entry in log.read("a", after)] == list(range(after + 1, 101))
        log.close()

    asyncio.run(scenario())


def test_any_thread_may_read_while_the_loop_appends(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")

        def read_often() -> bool:
            for _ in range(30):
                seqs = [entry.seq for entry in log.read("a")]
                if seqs != list(range(1, len(seqs) + 1)):
                    return False
            return True

        reading = [asyncio.to_thread(read_often) for _ in range(6)]
        together = asyncio.gather(*reading)
        for start in range(0, 2_000, 100):
            await fill(log, 100, start=start)
        assert await asyncio.wait_for(together, 60) == [True] * 6
        log.close()

    asyncio.run(scenario())


def test_a_cancelled_append_disturbs_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        futures = [log.append("a", number, b"x") for number in range(3)]
        futures[1].cancel()
        await futures[2]
        assert log.head("a").seq == 3
        log.close()

    asyncio.run(scenario())


def test_closing_a_loop_with_appends_under_way_loses_none_of_them(tmp_path: Path) -> None:
    async def begin() -> SqliteLog:
        log = SqliteLog.open(tmp_path / "log.db")
        for number in range(50):
            log.append("a", number, b"x")
        return log

    log = asyncio.run(begin())
    log.close()
    again = SqliteLog.open(tmp_path / "log.db", create=False)
    assert again.head("a").seq == 50
    again.close()


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def scenario() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        await fill(log, 10, start=log.head("a").seq)
        list(log.read("a"))
        log.close()

    asyncio.run(scenario())
    before = open_files()
    for _ in range(5):
        asyncio.run(scenario())
    assert open_files() <= before
