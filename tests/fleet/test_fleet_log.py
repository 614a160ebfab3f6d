"""The fleet's log at work: told is durable, once is once, and a restart knows all of it."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.hands import Place
from visionflow.adapters.memory import FaultyLog
from visionflow.domain.errors import (
    LogUnavailable,
    NotPersistable,
    Refused,
    UnknownSwarm,
    VisionFlowError,
)
from visionflow.domain.fleet import STREAM
from visionflow.domain.limits import INLINE_BYTES_MAX, MEMORY_VALUE_BYTES_MAX
from visionflow.domain.swarms import SwarmSpec, Topology
from visionflow.runtime.fleet_refusals import KINDS_MAX


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(coroutine, 20)

    asyncio.run(bounded())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_was_told_is_there_after_the_next_start(tmp_path: Path) -> None:
    place = Place(tmp_path)
    specs = [SwarmSpec(id="swarm_b", topology=Topology.RING), SwarmSpec(id="swarm_a")]

    async def first() -> None:
        async with place.opened() as fleet:
            for spec in specs:
                assert await fleet.reserve(spec, "somebody", f"make {spec.id}") == spec.id
            await fleet.reserve(SwarmSpec(id="swarm_c"), "somebody")
            await fleet.end("swarm_c", "not needed", "somebody")
            await fleet.store_memory("ns", "key", {"a": [1, "two", None]}, by="somebody")

    async def second() -> None:
        async with place.opened() as fleet:
            assert fleet.promised() == specs
            row = await fleet.memory("ns", "key")
            assert row is not None and row.value == {"a": [1, "two", None]}
            assert row.by == "somebody" and row.stored_ms == place.host.now_ms()
            with pytest.raises(Refused, match="over already: not needed"):
                await fleet.end("swarm_c", "again", "somebody")
            assert await fleet.reserve(SwarmSpec(id="other"), "x", "make swarm_a") == "swarm_a"

    run(first())
    run(second())


def test_nobody_is_told_before_the_disk_has_it(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        log = FaultyLog()
        async with place.opened(log) as fleet:
            log.hold()
            asked = asyncio.ensure_future(fleet.reserve(SwarmSpec(id="s"), "x", None))
            settled = asyncio.ensure_future(fleet.settled())
            await turns()
            assert "s" in fleet.state.swarms and not fleet.is_settled
            settled = asyncio.ensure_future(fleet.settled())
            await turns()
            assert not asked.done() and not settled.done() and fleet.head.seq == 0
            log.release()
            assert await asked == "s"
            await settled
            assert fleet.is_settled and fleet.head.seq == 1

    run(body())


def test_a_disk_that_fails_ends_it_and_everybody_who_waits_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        log = FaultyLog()
        async with place.opened(log) as fleet:
            log.hold()
            asked = asyncio.ensure_future(fleet.store_memory("n", "k", 1))
            await turns()
            log.fail()
            log.release()
            with pytest.raises(LogUnavailable):
                await asked
            with pytest.raises(LogUnavailable):
                await fleet.reserve(SwarmSpec(id="s"), "x")
            with pytest.raises(LogUnavailable):
                await fleet.settled()
            fleet.offer_access(by="x", face="tcp", code="unauthenticated")

    run(body())


def test_a_value_expires_at_its_time_whether_a_tick_has_come_or_not(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        async with place.opened() as fleet:
            kept = await fleet.store_memory("n", "short", 1, ttl_ms=1_000)
            assert kept.expires_ms == place.host.now_ms() + 1_000
            await fleet.store_memory("n", "long", 2)
            place.host.time_ms += 999
            assert await fleet.memory("n", "short") is not None
            place.host.time_ms += 1
            assert await fleet.memory("n", "short") is None
            assert [row.key for row in await fleet.search_memory("n")] == ["long"]
            place.host.advance(1_000)
            await fleet.quiet()
            assert list(fleet.state.memory) == [("n", "long")]
            assert await fleet.memory("n", "short") is None

    run(body())


def test_a_call_retried_with_its_key_stores_once(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        async with place.opened() as fleet:
            first = await fleet.store_memory("n", "k", "one", 5_000, command="c")
            await fleet.store_memory("n", "k", "two")
            place.host.time_ms += 100
            assert await fleet.store_memory("n", "k", "one", 5_000, command="c") == first
            row = await fleet.memory("n", "k")
            assert row is not None and row.value == "two"

    run(body())


def test_a_large_value_goes_by_blob_and_lists_leave_it_out(tmp_path: Path) -> None:
    place, large = Place(tmp_path), "word " * INLINE_BYTES_MAX

    async def body() -> None:
        async with place.opened() as fleet:
            await fleet.store_memory("n", "large", large)
            await fleet.store_memory("n", "nothing", None)
            row = await fleet.memory("n", "large")
            assert row is not None and row.value == large and not row.is_large
            rows = await fleet.search_memory(None)
            assert [(row.key, row.value, row.is_large) for row in rows] == [
                ("large", None, True),
                ("nothing", None, False),
            ]
            assert row.size_bytes == rows[0].size_bytes > len(large)

    run(body())


def test_what_cannot_be_kept_is_refused_and_the_log_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        async with place.opened() as fleet:
            for value in (object(), 2**70, "\ud800", {"a": ["\ud800"]}):
                with pytest.raises(NotPersistable):
                    await fleet.store_memory("n", "k", value)
            for namespace, key in (("\ud800", "k"), ("n", "\ud800"), ("", "k"), ("n", "a\x00b")):
                with pytest.raises(Refused):
                    await fleet.store_memory(namespace, key, 1)
            with pytest.raises(Refused, match=f"{MEMORY_VALUE_BYTES_MAX} are the most"):
                await fleet.store_memory("n", "k", b"x" * MEMORY_VALUE_BYTES_MAX)
            with pytest.raises(Refused):
                await fleet.memory("n", "\ud800")
            with pytest.raises(Refused):
                await fleet.store_memory("n", "k", 1, command="\ud800")
            with pytest.raises(VisionFlowError, match="goal"):
                await fleet.reserve(SwarmSpec(id="s", goal=3), "x")  # type: ignore[arg-type]
            with pytest.raises(VisionFlowError):
                await fleet.reserve(SwarmSpec(id="s", goal="\ud800"), "x")
            with pytest.raises(UnknownSwarm):
                await fleet.end("s", "\ud800", "\ud800")
            await fleet.record_call(by="\ud800", role="r", face="f", tool="t\ud800")
            assert await fleet.search_memory(None, "\ud800") == []
            await fleet.store_memory("n", "k", "fine")
            assert [row.by for row in await fleet.audit()] == ["\\ud800"]

    run(body())


def test_views_may_be_deleted_damaged_or_of_another_log(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def write(folder: Place, count: int) -> None:
        async with folder.opened() as fleet:
            for number in range(count):
                await fleet.store_memory("n", f"k{number}", number)
            await fleet.record_call(by="a", role="r", face="f", tool="t")
            assert len(await fleet.search_memory("n")) == count

    async def read(count: int) -> None:
        async with place.opened() as fleet:
            rows = await fleet.search_memory("n")
            assert [row.value for row in rows] == list(range(count))
            assert len(await fleet.audit()) == 1

    run(write(place, 5))
    place.views_path.unlink()
    run(read(5))
    place.views_path.write_bytes(b"no database" * 100)
    run(read(5))
    longer = tmp_path / "other"
    longer.mkdir()
    other = Place(longer)
    run(write(other, 9))
    other.views_path.replace(place.views_path)
    run(read(5))


def test_a_flood_of_refusals_is_one_record_a_second_and_every_one_is_counted(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)

    async def refuse(count: int) -> None:
        async with place.opened() as fleet:
            for _ in range(3):
                for _ in range(count):
                    await fleet.record_call(
                        by="eve", role="viewer", face="tcp", tool="swarm_init", code="forbidden"
                    )
                    fleet.offer_access(by="eve", face="http", code="unauthenticated")
                place.host.advance(1_000)
            await fleet.record_call(by="eve", role="viewer", face="tcp", tool="swarm_init")

    async def read(count: int) -> None:
        async with place.opened() as fleet:
            rows = await fleet.audit()
            for kind in ("call", "access"):
                told = [row for row in rows if row.kind == kind and row.code is not None]
                assert sum(row.count for row in told) == 3 * count
                assert len(told) <= 4
            assert [row.count for row in rows if row.code is None] == [1]

    run(refuse(500))
    run(read(500))


def test_a_flood_of_different_refusals_is_bounded_too(tmp_path: Path) -> None:
    place, many = Place(tmp_path), 20 * KINDS_MAX

    async def body() -> None:
        async with place.opened() as fleet:
            for number in range(many):
                fleet.offer_call(by="eve", role="v", face="tcp", tool=f"t{number}", code="unknown")
            place.host.advance(1_000)
            await fleet.quiet()
            rows = await fleet.audit(limit=1_000)
            assert len(rows) == KINDS_MAX + 1
            assert sum(row.count for row in rows) == many
            assert rows[-1].by == "*" and f"more than {KINDS_MAX}" in rows[-1].message

    run(body())


def test_what_was_counted_is_recorded_before_it_closes(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        async with place.opened() as fleet:
            for _ in range(4):
                fleet.offer_access(by="eve", face="http", code="unauthenticated")
        async with place.opened() as fleet:
            assert [row.count for row in await fleet.audit()] == [1, 3]

    run(body())


def test_the_audit_is_read_by_pages_from_either_end_and_by_whom(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        async with place.opened() as fleet:
            for number in range(25):
                await fleet.record_call(
                    by=f"caller{number % 2}",
                    role="operator",
                    face="tcp",
                    tool="agent_spawn",
                    subject=f"agent_{number}",
                    swarm="s",
                    call=f"c{number}",
                )
                place.host.time_ms += 10
            for newest_first in (False, True):
                seen: list[str | None] = []
                after: tuple[int, int] | None = None
                while page := await fleet.audit(after, 4, newest_first=newest_first):
                    seen.extend(row.subject for row in page)
                    after = (page[-1].seq, page[-1].place)
                wanted = [f"agent_{number}" for number in range(25)]
                assert seen == (wanted[::-1] if newest_first else wanted)
            late = await fleet.audit(since_ms=place.host.now_ms() - 50)
            assert [row.subject for row in late] == wanted[-5:]
            assert len(await fleet.audit(by="caller1")) == 12

    run(body())


def test_the_ends_of_other_streams_are_noted_when_they_have_moved(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        log = FaultyLog()
        async with place.opened(log) as fleet:
            for _ in range(3):
                seq = log.head("swarm_1").seq
                await log.append("swarm_1", seq, b"x")
                for _ in range(3):
                    place.host.advance(60_000)
                    await fleet.anchored()
                assert fleet.head.seq == seq + 1
        assert log.head(STREAM).seq == 3

    run(body())


def test_ten_thousand_keys_are_paged_in_order_each_once(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def body() -> None:
        async with place.opened() as fleet:
            await asyncio.gather(
                *(
                    fleet.store_memory(f"n{number % 3}", f"key {number:05}", f"even{number % 2}")
                    for number in range(10_000)
                )
            )
            seen: list[tuple[str, str]] = []
            after: tuple[str, str] | None = None
            while page := await fleet.search_memory(None, "even1", 700, after):
                after = (page[-1].namespace, page[-1].key)
                seen.extend((row.namespace, row.key) for row in page)
            wanted = sorted((f"n{n % 3}", f"key {n:05}") for n in range(1, 10_000, 2))
            assert seen == wanted

    run(body())
