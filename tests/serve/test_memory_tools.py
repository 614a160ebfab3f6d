"""Shared memory through its tools: durable, searchable, forgotten when its time is over."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from served import settings_in, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.compose.serve.ports import open_ports
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden, Refused, UsageError

HOUR_MS = 3_600_000


@pytest.mark.acceptance("memory")
def test_what_was_stored_is_there_after_a_restart_byte_for_byte(tmp_path: Path) -> None:
    values: list[Any] = [
        None,
        True,
        0,
        -1.5,
        2**53 + 1,
        "",
        "'; DROP TABLE memory; --\x00\n\u2028 \U0001f680",
        [],
        {"deep": [{"er": [1, [2, [3]]]}], "": "empty key"},
        "x" * 100_000,
    ]

    async def store(opened: OpenServer) -> None:
        tools = Tools(opened)
        for number, value in enumerate(values):
            await tools("memory_store", {"key": f"k{number}", "value": value, "namespace": "n"})
        told = await tools("memory_store", {"key": "k1", "value": False, "namespace": "n"})
        assert (told["namespace"], told["key"], told["expiresAt"]) == ("n", "k1", None)

    async def read(opened: OpenServer) -> None:
        tools = Tools(opened, client="another")
        for number, value in enumerate(values):
            told = await tools("memory_retrieve", {"key": f"k{number}", "namespace": "n"})
            wanted = False if number == 1 else value
            assert (told["found"], told["value"]) == (True, wanted)
            assert told["storedBy"] == "local:tests"
        absent = await tools("memory_retrieve", {"key": "k1"})
        assert (absent["found"], absent["value"], absent["storedAt"]) == (False, None, None)

    with_core(settings_in(tmp_path), store)
    with_core(settings_in(tmp_path), read)


@pytest.mark.acceptance("memory")
def test_a_value_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, host = Tools(opened), opened.core.host
        for name, ttl in (("short", "90m"), ("long", 7_200), ("kept", None)):
            given = {"key": name, "value": name} | ({} if ttl is None else {"ttl": ttl})
            await tools("memory_store", given)
        for ttl in (0, "0s"):
            with pytest.raises(UsageError, match="above 0"):
                await tools("memory_store", {"key": "never", "value": 1, "ttl": ttl})
        real = host.now_ms
        for later_ms, there in (
            (HOUR_MS, ["kept", "long", "short"]),
            (HOUR_MS * 7 // 4, ["kept", "long"]),
            (HOUR_MS * 3, ["kept"]),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(host, "now_ms", lambda later_ms=later_ms: real() + later_ms)
                found = await tools("memory_search", {})
                assert [each["key"] for each in found["entries"]] == there
                short = await tools("memory_retrieve", {"key": "short"})
                assert short["found"] is ("short" in there)

    with_core(settings_in(tmp_path), use)


@pytest.mark.acceptance("memory")
def test_ten_thousand_keys_are_found_by_their_words_and_paged_without_a_gap(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        store = tools.server.fleet.store_memory
        async with asyncio.TaskGroup() as group:
            for number in range(10_000):
                value = {
                    "note": f"finding number {number}",
                    "kind": "odd" if number % 2 else "even",
                }
                group.create_task(store(f"ns{number % 3}", f"key-{number:05}", value))
        found = await tools("memory_search", {"query": "number 777", "namespace": "ns0"})
        assert [each["key"] for each in found["entries"]] == [
            f"key-{number:05}" for number in (777, *range(7770, 7780)) if number % 3 == 0
        ]
        assert found["entries"][0]["value"]["note"] == "finding number 777"
        keys: list[str] = []
        given: dict[str, Any] = {"query": "even", "limit": 1_000}
        while True:
            page = await tools("memory_search", given)
            keys += [each["key"] for each in page["entries"]]
            if page["nextCursor"] is None:
                break
            given = {**given, "cursor": page["nextCursor"]}
        assert sorted(keys) == [f"key-{number:05}" for number in range(0, 10_000, 2)]

    with_core(settings_in(tmp_path), use)


def test_what_is_too_large_for_a_page_is_named_and_can_be_retrieved(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        for number in range(30):
            await tools("memory_store", {"key": f"k{number:02}", "value": "x" * 60_000})
        await tools("memory_store", {"key": "large", "value": "y" * 200_000})
        page = await tools("memory_search", {})
        assert len(page["entries"]) == 31
        left_out = [each["key"] for each in page["entries"] if each["value"] is None]
        assert [f"default/{key}" for key in left_out] == page["leftOut"]
        assert "large" in left_out
        assert 10 < len(left_out) < 20
        told = await tools("memory_retrieve", {"key": "large"})
        assert told["value"] == "y" * 200_000

    with_core(settings_in(tmp_path), use)


def test_a_query_is_words_whatever_it_is_made_of(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        await tools("memory_store", {"key": "a:b", "value": "NEAR the (river) AND bank*"})
        for query, count in (('near "the river"', 1), ("NOT", 0), ('"', 0), ("a:b", 1), ("*)", 0)):
            found = await tools("memory_search", {"query": query})
            assert len(found["entries"]) == count, query
        for cursor in ("x", "9:ab", ":", "1"):
            with pytest.raises(UsageError, match="cursor"):
                await tools("memory_search", {"cursor": cursor})

    with_core(settings_in(tmp_path), use)


def test_a_store_is_on_record_done_once_for_its_key_and_not_for_viewers(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        first = await tools("memory_store", {"key": "k", "value": 1}, key="once")
        await tools("memory_store", {"key": "k", "value": 2})
        again = await tools("memory_store", {"key": "k", "value": 1}, key="once")
        assert again == first
        assert (await tools("memory_retrieve", {"key": "k"}))["value"] == 2
        with pytest.raises(Refused):
            await tools("memory_store", {"key": "big", "value": "x" * 2_000_000})
        rows = await opened.server.fleet.audit()
        told = {(row.tool, row.subject, row.code is None) for row in rows}
        assert ("memory_store", "default/k", True) in told
        assert ("memory_store", "default/big", False) in told
        agent = Tools(opened, role=Role.AGENT)
        assert (await agent("memory_store", {"key": "mine", "value": 3}))["key"] == "mine"
        viewer = Tools(opened, role=Role.VIEWER)
        with pytest.raises(Forbidden):
            await viewer("memory_store", {"key": "k", "value": 3})

    with_core(settings_in(tmp_path), use)


def test_a_store_and_its_place_in_the_audit_are_one_record(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, fleet = Tools(opened), opened.server.fleet
        before = fleet.head.seq
        await tools("memory_store", {"key": "k", "value": 1, "namespace": "n"}, key="once")
        assert fleet.head.seq == before + 1
        await tools("memory_store", {"key": "k", "value": 1, "namespace": "n"}, key="once")
        assert fleet.head.seq == before + 1, "a retry changes nothing"
        (row,) = [each for each in await fleet.audit() if each.tool == "memory_store"]
        assert (row.by, row.role, row.subject, row.code) == ("local:tests", "admin", "n/k", None)
        assert row.seq == before + 1
        assert row.face
        assert row.call is not None and row.call.startswith("local:tests/memory_store/")

    with_core(settings_in(tmp_path), use)


def test_values_sent_one_after_the_other_without_waiting_share_commits_and_keep_their_order(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        fleet = opened.server.fleet
        ports = await open_ports(opened)
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(ports.endpoints["tcp"].rpartition(":")[2])
            )
            before = fleet.head.seq
            for number in range(200):
                writer.write(line(number, "memory_store", key=f"k{number % 3}", value=number))
            writer.write(line(200, "memory_retrieve", key="k1"))
            writer.write(line(201, "memory_search", query="k2"))
            answers = {}
            for _ in range(202):
                told = json.loads(await asyncio.wait_for(reader.readline(), 30))
                answers[told["id"]] = told["result"]
            assert answers[200]["value"] == 199, "what it sent before, it sees"
            assert [each["value"] for each in answers[201]["entries"]] == [197]
            assert fleet.head.seq - before < 150
            rows = [row for row in await fleet.audit(limit=1_000) if row.tool == "memory_store"]
            assert [row.subject for row in rows] == [f"default/k{n % 3}" for n in range(200)]
            writer.close()
            await writer.wait_closed()
        finally:
            await ports.close()

    with_core(settings_in(tmp_path), use)


def line(number: int, tool: str, **arguments: Any) -> bytes:
    """A call as a line."""
    params = {"name": tool, "arguments": arguments}
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    return json.dumps(message).encode() + b"\n"
