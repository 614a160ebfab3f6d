"""Answers that a client's line cannot hold: made to fit, and the rest read in pieces."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wire.wire_rig import Client, bounded, called, connected, served
from visionflow.domain.errors import UnknownId
from visionflow.interfaces.client.connection import Address, LineConnection
from visionflow.interfaces.wire.cutting import Leftovers, fitting
from visionflow.interfaces.wire.dialect import encoded, laid_flat

GUIDE = 65_536
"""asyncio's limit of a line: the guide's client dies of a longer one."""


async def read(client: Client, uri: str) -> tuple[Any, int]:
    """What stands behind a reference, and in how many pieces it came."""
    text, pieces = "", 0
    params: dict[str, Any] = {"uri": uri}
    while True:
        message = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params}
        result = (await client.ask(message))["result"]
        text += result["contents"][0]["text"]
        pieces += 1
        if "nextCursor" not in result:
            return json.loads(text), pieces
        params["cursor"] = result["nextCursor"]


def test_of_a_long_answer_the_text_block_becomes_a_reference_first() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig, GUIDE) as client:
            result = (await client.call("echo", size=25_000))["result"]
            assert len(result["text"]) == 25_000
            assert result["structuredContent"] == {"text": "x" * 25_000, "number": 0}
            (told,) = json.loads(result["content"][0]["text"])["truncated"]
            assert told["path"] == "content"
            whole, _ = await read(client, told["reference"])
            assert whole == {"text": "x" * 25_000, "number": 0}

    bounded(run())


def test_then_the_largest_value_does_and_what_is_small_stays() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig, GUIDE) as client:
            result = (await client.call("listing", text="ü" * 30, size=4_000))["result"]
            assert result["status"] == "fine"
            (told,) = result["truncated"]
            assert told["path"] == "items" and told["reference"] == result["items"]
            assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
            items, pieces = await read(client, result["items"])
            assert items == ["ü" * 30 + str(n) for n in range(4_000)]
            assert pieces > 5 and told["bytes"] > 65_536
            assert (await client.call("echo", text="a"))["result"]["text"] == "a"

    bounded(run())


def test_a_client_that_reads_longer_lines_says_so_and_gets_them() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig, 2**22) as client:
            params = {"_meta": {"visionflow/lineBytesMax": 2**22}}
            await client.ask({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
            result = (await client.call("echo", size=300_000))["result"]
            assert len(result["text"]) == 300_000 and "truncated" not in result
            params = {"_meta": {"visionflow/lineBytesMax": 10}}
            await client.ask({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
            assert (await client.call("echo", text="a"))["result"]["text"] == "a"

    bounded(run())


def test_our_own_client_gets_long_answers_whole() -> None:
    async def run() -> None:
        async with served() as rig:
            there = Address("127.0.0.1", rig.port)
            names = {"client": "c", "name": "n", "version": "1"}
            connection = await LineConnection.open(there, token=None, **names)
            try:
                params = called("echo", size=300_000)["params"]
                result = await connection.request("tools/call", params)
            finally:
                await connection.close()
            assert len(result["text"]) == 300_000 and "truncated" not in result

    bounded(run())


def test_the_answers_of_a_batch_fit_a_line_together() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig, GUIDE) as client:
            batch = [called("listing", n, text="é" * 50, size=3_000) for n in range(30)]
            batch += [called("no" * 90 + "\x01" * 20, 1) for _ in range(30)]
            replies = await client.ask(batch)
            assert len(replies) == 60
            items, _ = await read(client, replies[3]["result"]["items"])
            assert len(items) == 3_000

    bounded(run())


def test_an_error_that_quotes_a_clients_long_words_fits_a_line() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig, GUIDE) as client:
            error = (await client.call("refuse", text="\x01" * 400_000))["error"]
            assert error["data"]["code"] == "unknown_agent"
            assert error["message"].startswith("There is no agent")

    bounded(run())


def test_what_is_kept_is_its_callers_alone_and_bounded() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            message = {"jsonrpc": "2.0", "id": 1, "method": "resources/read"}
            for uri in ("visionflow://reply/99", "file:///etc/passwd", 5):
                error = (await client.ask({**message, "params": {"uri": uri}}))["error"]
                assert error["data"]["code"] == "unknown_id"

    bounded(run())
    kept = Leftovers(bytes_max=100)
    first = kept.keep("a", b'"1"')
    assert kept.read(first, "a", None)["contents"][0]["text"] == '"1"'
    for caller in ("b", ""):
        try:
            kept.read(first, caller, None)
        except UnknownId:
            continue
        raise AssertionError("another caller read it")
    kept.keep("a", b"x" * 99)
    try:
        kept.read(first, "a", None)
    except UnknownId:
        return
    raise AssertionError("more is kept than the bound")


NAMES = st.text(min_size=1, max_size=9)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(max_size=30).map(lambda text: text * 90),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(NAMES, inner, max_size=9),
    max_leaves=30,
)


@settings(max_examples=40)
@example({"a": {"b": "x" * 900, "c": ["y" * 400] * 9}, "d": "z" * 3_000, "e": 1}, 1_500)
@example({str(n): "x" * 127 for n in range(99)}, 1_000)
@given(st.dictionaries(NAMES, JSON, max_size=9), st.integers(1_000, 9_000))
def test_every_answer_fits_and_its_references_hold_exactly_what_was_taken_out(
    result: dict[str, Any], room: int
) -> None:
    result.pop("truncated", None)
    for name in ("content", "structuredContent"):
        result.pop(name, None)
    body = encoded(result)
    if len(laid_flat(b"1", body)) <= room:
        return
    kept = Leftovers()
    reply = fitting(b"1", body, room, kept, "me")
    assert len(reply) <= room
    shown = json.loads(reply)["result"]["structuredContent"]
    cut = shown.pop("truncated", None)
    if cut is None:
        assert shown == result
    elif cut[0]["path"] == "":
        assert shown == {}
    else:
        assert _restored(shown, kept) == result


def _restored(value: Any, kept: Leftovers) -> Any:
    if isinstance(value, str) and value.startswith("visionflow://reply/"):
        text, cursor = "", None
        while True:
            piece = kept.read(value, "me", cursor)
            text += piece["contents"][0]["text"]
            cursor = piece.get("nextCursor")
            if cursor is None:
                return _restored(json.loads(text), kept)
    if isinstance(value, dict):
        return {key: _restored(each, kept) for key, each in value.items()}
    if isinstance(value, list):
        return [_restored(each, kept) for each in value]
    return value
