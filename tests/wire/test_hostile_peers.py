"""Peers that mean no good, or know no better: a clear error or a clean end, and nobody waits."""

import asyncio
import json
import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.wire_rig import Client, Rig, bounded, called, connected, served, serving, until
from visionflow.interfaces.wire import lines, sniffing
from visionflow.interfaces.wire.listening import make_room
from visionflow.interfaces.wire.sniffing import Speech, speech_of

FRAME = 64 * 1024


@asynccontextmanager
async def bystander(rig: Rig) -> AsyncIterator[Client]:
    """A client that is served before, and after, whatever happens inside."""
    async with connected(rig) as good:
        assert (await good.call("echo", text="before"))["result"]["text"] == "before"
        yield good
        assert (await good.call("echo", text="after"))["result"]["text"] == "after"


def later(rig: Rig, seconds: float) -> None:
    """Have the port look at its connections as if so much time had passed."""
    assert rig.listening is not None
    rig.listening.floor.sweep(asyncio.get_running_loop().time() + seconds)


def read_of_lines(rig: Rig) -> list[int]:
    """How many bytes of an unfinished line the server has read, of each connection."""
    assert rig.listening is not None
    return [each._partial_bytes for each in rig.listening.floor.lines]


def read_of_others(rig: Rig) -> list[bytes]:
    """What the server has read of others and did not understand yet, of each connection."""
    assert rig.listening is not None
    return [each._first or each.conn.trailing_data[0] for each in rig.listening.floor.others]


async def gone(rig: Rig, left: int = 0) -> None:
    await until(lambda: rig.connections.total == left)
    assert rig.listening is not None
    await until(lambda: len(rig.listening.floor.lines) <= left if rig.listening else True)


BEGINNINGS = st.sampled_from(
    [b"", b"{", b"[", b"POST / HTTP/1.1\r\n", b"GET ", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n", b"A"]
)


def test_no_bytes_keep_the_server_from_serving_others() -> None:
    async def one(rig: Rig, data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(data)
        writer.write_eof()
        try:
            await reader.read()
        except ConnectionError:
            pass
        writer.close()

    async def run(rig: Rig, said: list[tuple[bytes, bytes]]) -> None:
        async with bystander(rig):
            await asyncio.gather(*(one(rig, first + rest) for first, rest in said))
        await gone(rig)

    with serving() as (rig, bounded_there):

        @settings(max_examples=60)
        @given(st.lists(st.tuples(BEGINNINGS, st.binary(max_size=300)), min_size=1, max_size=6))
        def try_one(said: list[tuple[bytes, bytes]]) -> None:
            bounded_there(run(rig, said))

        try_one()


def test_after_any_lines_of_rubbish_a_good_line_on_the_same_connection_is_answered() -> None:
    async def run(rig: Rig, sent: bytes, cut: int) -> None:
        async with connected(rig) as client:
            await client.send(sent[:cut])
            await asyncio.sleep(0)
            await client.send(sent[cut:])
            while (reply := await client.line()).get("id") != "good":
                assert reply["error"]["code"] in (-32700, -32600)
            assert reply["result"]["text"] == "x"

    with serving() as (rig, bounded_there):

        @settings(max_examples=60)
        @given(st.lists(st.binary(max_size=60), max_size=20), st.data())
        def try_one(rubbish: list[bytes], data: st.DataObject) -> None:
            sent = b"{\n" + b"\n".join(each.replace(b"\n", b" ") for each in rubbish) + b"\n"
            sent += json.dumps(called("echo", "good", text="x")).encode() + b"\n"
            bounded_there(run(rig, sent, data.draw(st.integers(0, len(sent)))))

        try_one()


def test_deep_json_and_a_line_without_end_are_told_and_the_connection_goes_on() -> None:
    async def run() -> None:
        async with served(frame_bytes_max=FRAME) as rig, bystander(rig) as good:
            async with connected(rig) as client:
                await client.send(b"[" * 1_000 + b"\n")
                assert (await client.line())["error"]["data"]["code"] == "too_deep"
                whole = json.dumps(called("echo", 1, text="y" * (FRAME - 200))).encode()
                await client.send(whole + b"\n")
                assert "result" in await client.line()
                endless = asyncio.ensure_future(client.send(b"z" * (20 * FRAME)))
                assert (await client.line())["error"]["data"]["code"] == "line_too_long"
                await endless
                assert "result" in await good.call("echo")
                await client.send(b"z\n")
                assert "result" in await client.call("echo")

    bounded(run())


def test_a_whole_line_over_the_bound_is_told_once() -> None:
    async def run() -> None:
        async with served(frame_bytes_max=1_000) as rig, connected(rig) as client:
            await client.send(b"z" * 1_001 + b"\n" + b" " * 5_000 + b"\n")
            for _ in range(2):
                assert (await client.line())["error"]["data"]["code"] == "line_too_long"
            assert "result" in await client.call("echo")

    bounded(run())


def test_a_slow_sender_is_waited_for_and_one_that_stopped_in_a_line_is_not() -> None:
    async def run() -> None:
        async with served() as rig, bystander(rig):
            async with connected(rig) as client:
                for count, byte in enumerate(b'{"jsonrpc":"2.0",', start=1):
                    await client.send(bytes((byte,)))
                    await until(partial(lambda n: n in read_of_lines(rig), count))
                    later(rig, lines.PARTIAL_S - 5)
                later(rig, lines.PARTIAL_S + 5)
                assert (await client.line())["error"]["data"]["code"] == "line_unfinished"
                assert await client.rest() == b""
            await gone(rig, 1)

    bounded(run())


@pytest.mark.parametrize("said", [b"", b"GE", b"  ", b"\xef"])
def test_who_never_says_a_word_is_closed_after_a_while(said: bytes) -> None:
    async def run() -> None:
        async with served() as rig, bystander(rig):
            async with connected(rig) as client:
                await client.send(said)
                await until(lambda: said in read_of_others(rig))
                later(rig, sniffing.SILENT_S - 5)
                later(rig, sniffing.SILENT_S + 5)
                assert await client.rest() == b""
            await gone(rig, 1)

    bounded(run())


def test_who_said_something_stays_for_hours_and_who_waits_for_an_answer_for_ever() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as quiet, connected(rig) as waiting:
            await quiet.call("echo")
            await waiting.send(json.dumps(called("wait", 1, text="w")).encode() + b"\n")
            await until(lambda: rig.begun == ["w"])
            later(rig, lines.IDLE_S - 60)
            assert "result" in await quiet.call("echo")
            later(rig, lines.IDLE_S + 60)
            assert await quiet.rest() == b""
            rig.opened("w").set()
            assert (await waiting.line())["result"]["text"] == "w"

    bounded(run())


def test_headers_that_do_not_end_are_not_waited_for() -> None:
    async def run() -> None:
        async with served() as rig, bystander(rig), connected(rig) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            await until(lambda: b"POST" in b"".join(read_of_others(rig)))
            later(rig, sniffing.HEAD_S - 5)
            await client.send(b"more")
            await until(lambda: read_of_others(rig)[0].endswith(b"more"))
            later(rig, sniffing.HEAD_S + 5)
            assert b" 400 " in await client.rest()

    bounded(run())


def test_tls_gets_an_alert_and_http2_a_goaway() -> None:
    async def run() -> None:
        async with served() as rig, bystander(rig):
            async with connected(rig) as client:
                await client.send(bytes.fromhex("16030102000100") + bytes(500))
                assert await client.rest() == bytes((21, 3, 1, 0, 2, 2, 70))
            async with connected(rig) as client:
                await client.send(b"PRI * HT")
                await client.send(b"TP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
                frames = await client.rest()
                assert frames[3] == 4 and frames[12] == 7 and frames[-1] == 13
            await gone(rig, 1)

    bounded(run())


def test_a_real_tls_client_is_turned_away_at_once() -> None:
    import ssl

    async def run() -> None:
        async with served() as rig, bystander(rig):
            context = ssl.create_default_context()
            with pytest.raises(ssl.SSLError, match=r"(?i)alert|version"):
                await asyncio.open_connection("127.0.0.1", rig.port, ssl=context)

    bounded(run())


@pytest.mark.parametrize(
    ("first", "speech"),
    [
        (b"", Speech.UNDECIDED),
        (b"\r\n \t", Speech.UNDECIDED),
        (b" " * 2_000, Speech.LINES),
        (b"\r\n{", Speech.LINES),
        (b"[", Speech.LINES),
        (b"\xef\xbb", Speech.UNDECIDED),
        (b"\xef\xbb\xbf{", Speech.LINES),
        (b"\r\nPOST / HT", Speech.HTTP),
        (b"OPTIONS * HTTP/1.1", Speech.HTTP),
        (b"POS", Speech.UNDECIDED),
        (b"M-SEARCH ", Speech.HTTP),
        (b"QUIT\n", Speech.LINES),
        (b"get / http/1.1", Speech.LINES),
        (b"A" * 30, Speech.LINES),
        (b"\x16", Speech.UNDECIDED),
        (b"\x16\x03\x01", Speech.TLS),
        (b"\x16\x05", Speech.LINES),
        (b"PRI * HTTP", Speech.UNDECIDED),
        (b"PRI * HTTP/2.0\r\n", Speech.HTTP2),
        (b"PRI / HTTP/1.1\r\n", Speech.HTTP),
        (b"\x00", Speech.LINES),
    ],
)
def test_first_bytes_decide_who_serves(first: bytes, speech: Speech) -> None:
    assert speech_of(first) is speech


def test_a_client_that_reads_nothing_is_not_worked_for_and_ends_in_time() -> None:
    async def run() -> None:
        async with served() as rig, bystander(rig) as good:
            async with connected(rig, 1_000) as deaf:
                deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
                found: socket.socket = deaf.writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                asked = json.dumps(called("echo", 1, size=30_000)).encode() + b"\n"
                sending = asyncio.ensure_future(deaf.send(asked * 30_000))
                floor = rig.listening.floor if rig.listening else None
                assert floor is not None
                await until(lambda: any(each.held for each in floor.lines))
                done = len(rig.clients)
                for _ in range(20):
                    assert "result" in await good.call("echo")
                # Whatever it sends, nothing more is done for it than it has taken.
                assert len(rig.clients) <= done + 20 + 3
                assert done < 30_000
                later(rig, lines.UNREAD_S + 5)
                await gone(rig, 1)
                await asyncio.gather(sending, return_exceptions=True)

    bounded(run())


def test_more_requests_at_once_than_wait_are_left_unread_and_answered_in_the_end() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            asked = [called("hold", 0, text="h"), *(called("note", n) for n in range(1, 5_000))]
            data = b"".join(json.dumps(each).encode() + b"\n" for each in asked)
            sending = asyncio.ensure_future(client.send(data))
            await until(lambda: rig.begun == ["h"])
            rig.opened("h").set()
            answers = [(await client.line())["id"] for _ in asked]
            await sending
            assert answers == list(range(5_000)) and len(rig.effects) == 4_999

    bounded(run())


def test_a_client_that_sends_thousands_at_once_does_not_make_others_wait_for_them() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as flood, connected(rig) as good:
            await good.call("echo")
            await flood.call("echo")
            rig.clients.clear()
            data = b"".join(json.dumps(called("echo", n)).encode() + b"\n" for n in range(1, 2_001))
            # Both are read in the same turn of the loop, the flood first.
            flood.writer.write(data)
            good.writer.write(json.dumps(called("echo", 1)).encode() + b"\n")
            assert (await good.line())["id"] == 1
            assert len(set(rig.clients)) == 2
            assert len(rig.clients) < 1_000
            assert [(await flood.line())["id"] for _ in range(2_000)] == [*range(1, 2_001)]

    bounded(run())


@pytest.mark.parametrize("first", [b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n', b"", b"x\n"])
def test_one_connection_too_many_is_told_so_and_closed(first: bytes) -> None:
    async def run() -> None:
        async with served(connections_max=2) as rig, bystander(rig), connected(rig) as second:
            await second.call("echo")
            async with connected(rig) as third:
                if not first:
                    await third.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = await third.rest()
                    assert answer.startswith(b"HTTP/1.1 503 ") and b"too_many_conn" in answer
                else:
                    await third.send(first)
                    error = (await third.line())["error"]
                    assert error["code"] == -32003
                    assert error["data"]["code"] == "too_many_connections"
                    assert await third.rest() == b""
            assert rig.connections.total == 2
            assert rig.listening is not None
            await until(lambda: rig.listening is None or rig.listening.floor.turned_away == 0)

    bounded(run())


def test_a_server_asks_for_as_many_open_files_as_its_connections_need() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
        make_room(200)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(712, hard)
        make_room(10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(712, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_that_is_reset_in_the_middle_leaves_nothing_behind() -> None:
    async def run() -> None:
        async with served() as rig:
            async with bystander(rig):
                before = len(asyncio.all_tasks())
                for text in ("a", "b", "c"):
                    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
                    asked = called("wait", 1, text=text), called("note", 2, text=text)
                    for each in asked:
                        writer.write(json.dumps(each).encode() + b"\n")
                    await reader.readline()
                    found: socket.socket = writer.get_extra_info("socket")
                    linger = struct.pack("ii", 1, 0)
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.close()
                # What only waited has ended; what was begun was done.
                await until(lambda: sorted(rig.gone) == ["a", "b", "c"])
                assert sorted(rig.effects) == ["a", "b", "c"]
                await until(lambda: len(asyncio.all_tasks()) == before)
                assert rig.listening is not None and rig.listening.floor.desk.running == 0
            await gone(rig)

    bounded(run())
