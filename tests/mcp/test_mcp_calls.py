"""Calls over /mcp and the socket, in both eras: results, failures, order, progress, cancelling."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_faces import Serving, run, serving

from visionflow.domain.access import Role
from visionflow.interfaces.access.lookups import Found, Lookups, Whose
from visionflow.interfaces.access.peers import Peer
from visionflow.interfaces.mcp.dialling import dial

ERAS = ("2026-07-28", "legacy")
eras = pytest.mark.parametrize("era", ERAS)
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def text_of(result: Any) -> Any:
    return json.loads(result.content[0].text)


@eras
def test_a_result_stands_as_text_and_as_structure_with_what_is_unknown_as_null(
    era: str, tmp_path: Path
) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served, Client(served.url, mode=era) as client:
            given = 'if x < 1 & y:\n\t"\\u00e9" 🙂'
            result = await client.call_tool("echo", {"text": given})
            assert not result.is_error
            assert result.structured_content == {"text": given, "unknown": None}
            assert text_of(result) == result.structured_content

    run(test)


@eras
def test_a_tool_that_fails_is_a_result_and_an_unknown_tool_is_an_error(
    era: str, tmp_path: Path
) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served, Client(served.url, mode=era) as client:
            refused = await client.call_tool("refuse", {})
            assert refused.is_error and refused.structured_content is None
            told = text_of(refused)["error"]
            assert told["code"] == "limit_reached" and told["message"].startswith("There are 2")
            assert refused.meta is not None and refused.meta["visionflow/error"] == told

            wrong = await client.call_tool("echo", {"txet": "x"})
            assert wrong.is_error and "'txet' is no argument" in text_of(wrong)["error"]["message"]

            broken = await client.call_tool("break", {})
            assert text_of(broken)["error"]["code"] == "internal"
            assert "secret" not in broken.content[0].text

            for name, code in (("nothing", "unknown_tool"), ("to_come", "not_built")):
                with pytest.raises(MCPError) as raised:
                    await client.call_tool(name, {})
                assert raised.value.code == -32601 and raised.value.data["code"] == code

    run(test)


@eras
def test_arguments_may_be_nested_as_deep_as_on_any_face(era: str, tmp_path: Path) -> None:
    def nested(depth: int) -> Any:
        return [] if depth == 1 else [nested(depth - 1)]

    async def test() -> None:
        async with serving(tmp_path) as served, Client(served.url, mode=era) as client:
            # The message, its params and the arguments are three.
            for depth, code in ((61, "it is a text"), (62, "nested more than 62 deep")):
                result = await client.call_tool("echo", {"text": nested(depth)})
                assert result.is_error and code in result.content[0].text

    run(test)


@eras
def test_every_listed_tool_says_what_it_gives_and_what_it_does(era: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served, Client(served.url, mode=era) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert list(listed) == list(served.app.face.registry.tools)
            hints = listed["echo"].annotations
            assert hints is not None and hints.read_only_hint and not hints.destructive_hint
            assert listed["echo"].output_schema is not None
            assert "unknown" in listed["echo"].output_schema["properties"]
            assert "idempotencyKey" in listed["write"].input_schema["properties"]
            with pytest.raises(MCPError) as raised:
                await client.list_tools(cursor="bm9uZQ")
            assert raised.value.data["code"] == "stale_cursor"

    run(test)


@eras
def test_who_calls_with_which_program_and_key_reaches_the_tool(era: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served, Client(served.url, mode=era) as client:
            meta: Any = {"visionflow/idempotencyKey": "k1"}
            told = (await client.call_tool("who", {}, meta=meta)).structured_content
            assert told["name"].startswith("local:") and told["key"] == "k1"
            assert told["program"] == "mcp"
            again = (await client.call_tool("who", {})).structured_content
            assert again["client"] == told["client"] and again["key"] is None

    run(test)


@eras
def test_progress_is_told_to_whoever_asked_and_each_number_is_larger(
    era: str, tmp_path: Path
) -> None:
    async def test() -> None:
        heard: list[tuple[float, float | None, str | None]] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append((progress, total, message))

        async with serving(tmp_path) as served, Client(served.url, mode=era) as client:
            result = await client.call_tool("tell", {}, progress_callback=hear)
            assert not result.is_error
            numbers = [number for number, _, _ in heard]
            assert numbers == sorted(set(numbers)) and numbers[-1] == 1
            assert all(number > 1e-7 for number in numbers), "numbers that a person can read"
            assert [note for _, _, note in heard] == ["a quarter", "still", "who knows", "all"]
            assert {total for _, total, _ in heard} == {1.0}

    run(test)


def legacy_call(name: str, text: str, request: int) -> bytes:
    params = {"name": name, "arguments": {"text": text}}
    told = {"jsonrpc": "2.0", "id": request, "method": "tools/call", "params": params}
    return json.dumps(told).encode() + b"\n"


async def greeted(served: Serving) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await dial(served.socket)
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "lines", "version": "1"},
    }
    for message in (
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ):
        writer.write(json.dumps(message).encode() + b"\n")
    assert json.loads(await reader.readline())["result"]["protocolVersion"] == "2025-06-18"
    return reader, writer


def test_calls_of_one_connection_take_effect_in_the_order_sent(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await greeted(served)
            for number, text in enumerate(("slow", "b", "c"), 1):
                writer.write(legacy_call("write", text, number))
            answers = [json.loads(await reader.readline()) for _ in range(3)]
            told = {each["id"]: each["result"]["structuredContent"]["text"] for each in answers}
            assert told == {1: "slow", 2: "slow,b", 3: "slow,b,c"}
            writer.close()

    run(test)


def test_a_line_that_is_no_message_is_answered_and_the_next_one_is_served(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await greeted(served)
            for line, code in ((b"garbage\n", -32700), (b"[]\n", -32600), (b'{"a":1}\n', -32600)):
                writer.write(line)
                error = json.loads(await reader.readline())
                assert error["id"] is None and error["error"]["code"] == code
            writer.write(b"\n" + legacy_call("echo", "still here", 5))
            answer = json.loads(await reader.readline())
            assert answer["result"]["structuredContent"]["text"] == "still here"
            writer.close()

    run(test)


def test_a_call_that_its_client_takes_back_is_told_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await greeted(served)
            writer.write(legacy_call("wait", "x", 7))
            await served.watched.began.wait()
            taken = {"method": "notifications/cancelled", "params": {"requestId": 7}}
            writer.write(json.dumps({"jsonrpc": "2.0", **taken}).encode() + b"\n")
            await served.watched.ended.wait()
            writer.write(legacy_call("echo", "next", 8))
            answer = json.loads(await reader.readline())
            assert answer["id"] == 8, "a call that was taken back is not answered"
            assert served.watched.done == ["taken back"]
            writer.close()

    run(test)


def test_a_connection_that_is_lost_only_ends_the_waiting(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            _, writer = await greeted(served)
            writer.write(legacy_call("wait", "x", 7))
            await served.watched.began.wait()
            writer.close()
            await served.watched.ended.wait()
            assert not served.watched.calls[0].cancelled.is_set()
            assert served.watched.done == []

    run(test)


@pytest.mark.parametrize(("key", "ready"), [(None, True), ("again", True), (None, False)])
def test_closing_the_response_takes_a_call_back_unless_it_is_asked_again_or_the_server_ends(
    key: str | None, ready: bool, tmp_path: Path
) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            with anyio.move_on_after(10) as scope:
                async with (
                    Client(served.url, mode="2026-07-28") as client,
                    anyio.create_task_group() as group,
                ):
                    meta: Any = {} if key is None else {"visionflow/idempotencyKey": key}

                    async def call() -> None:
                        await client.call_tool("wait", {"text": "x"}, meta=meta)

                    group.start_soon(call)
                    await served.watched.began.wait()
                    served.server.ready = ready
                    group.cancel_scope.cancel()
            assert not scope.cancelled_caught
            await served.watched.ended.wait()
            assert served.watched.calls[0].cancelled.is_set() is (key is None and ready)

    run(test)


def test_a_server_that_closes_takes_nothing_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            _, writer = await greeted(served)
            writer.write(legacy_call("wait", "x", 7))
            await served.watched.began.wait()
            await served.listening.aclose()
            assert not served.watched.calls[0].cancelled.is_set()
            assert served.watched.ended.is_set()
            writer.close()

    run(test)


def test_a_token_has_its_role_and_a_refusal_says_which_may(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            _, token = served.tokens.create("reader", Role.VIEWER)
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx2.AsyncClient(headers=headers) as web:
                transport = streamable_http_client(served.url, http_client=web)
                async with Client(transport, mode="2026-07-28") as client:
                    assert not (await client.call_tool("echo", {"text": "a"})).is_error
                    refused = await client.call_tool("who", {})
            told = text_of(refused)["error"]
            assert told["code"] == "forbidden" and "operator, admin" in told["message"]
            assert any(each.get("tool") == "who" for each in served.audit.told)

    run(test)


def test_nobody_comes_in_with_a_wrong_token_a_foreign_page_or_a_foreign_name(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served, httpx2.AsyncClient() as web:
            ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

            async def status(**more: str) -> tuple[int, Any]:
                headers = {**HEADERS, **more}
                answer = await web.post(served.url, json=ping, headers=headers)
                return answer.status_code, answer.headers

            code, headers = await status(Authorization="Bearer vf_none_none")
            assert code == 401 and "resource_metadata=" in headers["www-authenticate"]
            assert (await status(Origin="https://evil.example"))[0] == 403
            assert (await status(Host="evil.example"))[0] == 421
            assert (await status(**{"Content-Type": "text/plain"}))[0] == 415
            assert (await status(Host="multi-agent-container:9500"))[0] not in (401, 403, 421)

    run(test)


def test_a_session_belongs_to_whoever_opened_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served, httpx2.AsyncClient() as web:
            hello = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "a", "version": "1"},
            }
            asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
            opened = await web.post(served.url, json=asked, headers=HEADERS)
            assert opened.status_code == 200
            session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
            ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            own = await web.post(served.url, json=ping, headers={**HEADERS, **session})
            assert own.status_code == 200
            _, token = served.tokens.create("other", Role.ADMIN)
            other = {**HEADERS, **session, "Authorization": f"Bearer {token}"}
            assert (await web.post(served.url, json=ping, headers=other)).status_code == 404

    run(test)


def test_no_connection_or_call_is_left_behind(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            for era in ERAS:
                async with Client(served.url, mode=era) as client:
                    await client.call_tool("write", {"text": "x"})
            _, writer = await greeted(served)
            writer.close()
            await writer.wait_closed()
            connections = served.listening._server.connections
            while connections.total:
                await asyncio.sleep(0.01)
            assert not served.app.face.calls._running

    run(test)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/list", {}),
        ("resources/read", {"uri": "visionflow://run/run_1/report.md"}),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/resource", "uri": "visionflow://swarm/{id}"},
                "argument": {"name": "id", "value": ""},
            },
        ),
    ],
)
def test_whom_nobody_knows_is_told_nothing_of_what_there_is(
    method: str, params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def agents(self: Lookups, peer: Peer) -> Found:
        return Found(Whose.AGENTS, why="its process belongs to an agent")

    async def test() -> None:
        monkeypatch.setattr(Lookups, "find", agents)
        async with serving(tmp_path) as served:
            reader, writer = await greeted(served)
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            writer.write(json.dumps(message).encode() + b"\n")
            error = json.loads(await reader.readline())["error"]
            assert error["data"]["code"] == "unauthenticated", error
            writer.close()

    run(test)
