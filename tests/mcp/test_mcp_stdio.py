"""An assistant's lines, carried to servers that come and go."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from mcp_faces import run, serving

from visionflow.domain.errors import ServerUnreachable
from visionflow.interfaces.mcp.dialling import dial
from visionflow.interfaces.mcp.stdio import (
    KEY_META,
    LINE_BYTES_MAX,
    Carrier,
    Stream,
    Writer,
    keyed,
    lines_of,
)

HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "assistant", "version": "1"},
}


class Assistant:
    """The assistant's ends of the two pipes."""

    def __init__(self, servers: Callable[[], Awaitable[Stream]]) -> None:
        heard, self._says = os.pipe()
        self._hears, said = os.pipe()
        os.set_blocking(self._hears, False)
        self._kept = b""
        self._fds = [heard, said]
        lines = lines_of(heard)
        self.carrying = asyncio.ensure_future(Carrier(servers, Writer(said)).run(lines))

    def say(self, *messages: dict[str, Any] | bytes) -> None:
        for each in messages:
            line = (
                each if isinstance(each, bytes) else json.dumps({"jsonrpc": "2.0", **each}).encode()
            )
            os.write(self._says, line + b"\n")

    async def hear(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        while b"\n" not in self._kept:
            came = asyncio.Event()
            loop.add_reader(self._hears, came.set)
            await came.wait()
            loop.remove_reader(self._hears)
            self._kept += os.read(self._hears, 65_536)
        line, _, self._kept = self._kept.partition(b"\n")
        return json.loads(line)

    def hang_up(self) -> None:
        os.close(self._says)

    async def over(self) -> None:
        await self.carrying
        for each in (*self._fds, self._hears):
            os.close(each)


def call(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"id": number, "method": "tools/call", "params": params}


def test_what_was_not_answered_is_asked_again_of_the_next_server(tmp_path: Path) -> None:
    async def test() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        async with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
            servers = [one.socket, two.socket]

            async def next_server() -> Stream:
                return await dial(servers.pop(0))

            assistant = Assistant(next_server)
            assistant.say({"id": 1, "method": "initialize", "params": HELLO})
            assert (await assistant.hear())["result"]["serverInfo"]["name"] == "visionflow"
            assistant.say({"method": "notifications/initialized"}, call(2, "who"))
            first = (await assistant.hear())["result"]["structuredContent"]
            assert first["key"] and first["program"] == "assistant"

            assistant.say(call(3, "wait", text="x"))
            await one.watched.began.wait()
            key = one.watched.calls[0].key
            await one.listening.aclose()

            await two.watched.began.wait()
            assert two.watched.calls[0].key == key, "asked again under the same key"
            two.watched.go.set()
            answer = await assistant.hear()
            assert answer["id"] == 3 and answer["result"]["structuredContent"]["text"] == "x"
            assistant.say(call(4, "echo", text="on"))
            assert (await assistant.hear())["id"] == 4, "the second greeting is not shown"
            assistant.hang_up()
            await assistant.over()

    run(test)


def test_a_call_that_was_taken_back_is_not_asked_again(tmp_path: Path) -> None:
    async def test() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        async with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
            servers = [one.socket, two.socket]

            async def next_server() -> Stream:
                return await dial(servers.pop(0))

            assistant = Assistant(next_server)
            assistant.say({"id": 1, "method": "initialize", "params": HELLO})
            await assistant.hear()
            assistant.say(call(2, "wait", text="x"))
            await one.watched.began.wait()
            assistant.say({"method": "notifications/cancelled", "params": {"requestId": 2}})
            await one.watched.ended.wait()
            await one.listening.aclose()
            assistant.say(call(3, "echo", text="y"))
            assert (await assistant.hear())["id"] == 3
            assert not two.watched.calls
            assistant.hang_up()
            await assistant.over()

    run(test)


def test_without_a_server_what_is_open_is_answered_with_an_error(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            servers = [served.socket]

            async def next_server() -> Stream:
                if not servers:
                    raise ServerUnreachable("There is none.")
                return await dial(servers.pop(0))

            assistant = Assistant(next_server)
            assistant.say({"id": 1, "method": "initialize", "params": HELLO})
            await assistant.hear()
            assistant.say(call(2, "wait", text="x"))
            await served.watched.began.wait()
            await served.listening.aclose()
            answer = await assistant.hear()
            assert answer["id"] == 2 and "There is none." in answer["error"]["message"]
            assistant.hang_up()
            try:
                await assistant.over()
            except ServerUnreachable:
                return
            raise AssertionError("the end was not told")

    run(test)


def test_the_end_of_the_input_waits_for_answers_that_are_due(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            assistant = Assistant(lambda: dial(served.socket))
            assistant.say({"id": 1, "method": "initialize", "params": HELLO})
            assistant.say(call(2, "write", text="slow"))
            assistant.hang_up()
            assert [(await assistant.hear())["id"] for _ in range(2)] == [1, 2]
            await assistant.over()

    run(test)


def test_lines_that_are_no_messages_are_answered_and_the_rest_is_carried(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            assistant = Assistant(lambda: dial(served.socket))
            said = asyncio.get_running_loop().run_in_executor(
                None,
                lambda: assistant.say(
                    b"garbage",
                    b"[1]",
                    b'"' + b"x" * LINE_BYTES_MAX + b'"',
                    {"id": 1, "method": "initialize", "params": HELLO},
                ),
            )
            codes = [(await assistant.hear())["error"]["code"] for _ in range(3)]
            assert codes == [-32700, -32600, -32700]
            assert (await assistant.hear())["id"] == 1
            await said
            assistant.hang_up()
            await assistant.over()

    run(test)


@given(
    st.text(),
    st.dictionaries(
        st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False) | st.none()
    ),
)
def test_a_key_is_added_and_nothing_else_is_changed(text: str, more: dict[str, Any]) -> None:
    message = {"jsonrpc": "2.0", **call(1, "write", text=text, more=more)}
    line = json.dumps(message).encode()
    told = json.loads(keyed(line))
    key = told["params"].pop("_meta").pop(KEY_META)
    assert told == json.loads(line) and len(key) == 32
    assert keyed(keyed(line)) != keyed(line), "each call has a key of its own"


def test_a_key_that_is_there_is_kept() -> None:
    for params in ({"_meta": {KEY_META: "mine"}}, {"arguments": {"idempotencyKey": "mine"}}):
        line = msgspec.json.encode({"id": 1, "method": "tools/call", "params": params})
        assert keyed(line) == line
