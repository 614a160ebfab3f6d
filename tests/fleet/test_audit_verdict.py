"""An edit, a cut tail and a stream that is gone are each found, in a log as it lies on the disk."""

import asyncio
from pathlib import Path

import apsw
import pytest

from tests.fleet.hands import Place
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.errors import LogCorrupt, UsageError
from visionflow.domain.swarms import SwarmSpec
from visionflow.runtime.audit import AuditVerdict, verify


def make(folder: Path) -> list[str]:
    """A log of a fleet and two swarms; the fleet's heads on the way, in hex."""
    heads: list[str] = []

    async def body() -> None:
        log = SqliteLog.open(folder / "log.db")
        place = Place(folder)
        async with place.opened(log) as fleet:
            for number in range(6):
                await log.append("swarm_a", number, b"a%d" % number)
                await log.append("swarm_b", number, b"b%d" % number)
                await fleet.reserve(SwarmSpec(id=f"swarm_{number}"), "somebody")
                heads.append(fleet.head.hash.hex())
        log.close()

    asyncio.run(asyncio.wait_for(body(), 20))
    return heads


def verdict(folder: Path, head: str | None = None) -> AuditVerdict:
    log = SqliteLog.open(folder / "log.db", read_only=True)
    try:
        return verify(log, head)
    finally:
        log.close()


def change(folder: Path, statement: str) -> None:
    connection = apsw.Connection(str(folder / "log.db"))
    connection.execute(statement)
    connection.close()


def test_a_log_that_nobody_touched_holds_and_every_head_of_it_is_found(tmp_path: Path) -> None:
    heads = make(tmp_path)
    found = verdict(tmp_path)
    assert found.holds and found.asked is None
    assert [(each.stream, each.seq) for each in found.streams] == [
        ("fleet", 7),
        ("swarm_a", 6),
        ("swarm_b", 6),
    ]
    assert found.records == 19 and found.anchored == 12
    assert found.head == found.streams[0].hash
    for behind, head in zip(range(6, 0, -1), heads, strict=True):
        again = verdict(tmp_path, head.upper())
        assert again.holds and again.found is not None
        assert (again.found.stream, again.found.behind) == ("fleet", behind)
    swarm = verdict(tmp_path, found.streams[2].hash).found
    assert swarm is not None and (swarm.stream, swarm.seq, swarm.behind) == ("swarm_b", 6, 0)


def test_a_flipped_byte_is_found_at_its_record(tmp_path: Path) -> None:
    make(tmp_path)
    change(tmp_path, "UPDATE records SET body = x'00' WHERE stream = 'swarm_a' AND seq = 4")
    with pytest.raises(LogCorrupt, match="record 4 of stream 'swarm_a'"):
        verdict(tmp_path)


def test_a_cut_tail_of_the_fleet_is_found_by_a_head_that_was_noted(tmp_path: Path) -> None:
    heads = make(tmp_path)
    change(tmp_path, "DELETE FROM records WHERE stream = 'fleet' AND seq > 4")
    assert verdict(tmp_path).holds
    assert verdict(tmp_path, heads[3]).holds
    cut = verdict(tmp_path, heads[4])
    assert not cut.holds and cut.found is None


def test_a_cut_tail_of_a_swarm_is_found_by_what_the_fleet_noted(tmp_path: Path) -> None:
    make(tmp_path)
    change(tmp_path, "DELETE FROM records WHERE stream = 'swarm_b' AND seq > 5")
    with pytest.raises(LogCorrupt, match=r"record 6 of stream 'swarm_b': it is missing.*ends at 5"):
        verdict(tmp_path)


def test_a_swarm_that_is_gone_altogether_is_found(tmp_path: Path) -> None:
    make(tmp_path)
    change(tmp_path, "DELETE FROM records WHERE stream = 'swarm_b'")
    with pytest.raises(LogCorrupt, match="'swarm_b': the whole stream is missing"):
        verdict(tmp_path)


def test_a_swarm_that_was_written_anew_with_a_sound_chain_is_found(tmp_path: Path) -> None:
    make(tmp_path)
    change(tmp_path, "DELETE FROM records WHERE stream = 'swarm_b'")

    async def forge() -> None:
        log = SqliteLog.open(tmp_path / "log.db")
        for number in range(6):
            await log.append("swarm_b", number, b"forged")
        log.close()

    asyncio.run(asyncio.wait_for(forge(), 20))
    with pytest.raises(LogCorrupt, match="record 6 of stream 'swarm_b': it has another hash"):
        verdict(tmp_path)


def test_what_is_no_head_is_refused_and_an_empty_log_has_none(tmp_path: Path) -> None:
    for text in ("", "abc", "g" * 64, "0" * 65):
        with pytest.raises(UsageError, match="is no head"):
            make_empty(tmp_path, text)
    found = make_empty(tmp_path, None)
    assert found.head is None and found.streams == () and found.holds
    assert not make_empty(tmp_path, "0" * 64).holds


def make_empty(folder: Path, head: str | None) -> AuditVerdict:
    log = SqliteLog.open(folder / "empty.db")
    try:
        return verify(log, head)
    finally:
        log.close()
