"""Lines over TCP: what each request gets, in which order, and nothing else."""

import asyncio
import json
import socket
from typing import Any

import pytest

from tests.wire.wire_rig import (
    Client,
    Rig,
    bounded,
    called,
    connected,
    served,
    served_unix,
    until,
)
from visionflow.interfaces.wire import desk


def line(message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def alive(client: Client) -> None:
    """Nothing more than the answer to a ping comes next."""
    assert await client.ask({"jsonrpc": "2.0", "id": "still", "method": "ping"}) == {
        "jsonrpc": "2.0",
        "id": "still",
        "result": {},
    }


@pytest.mark.acceptance("wire-shape")
def test_a_result_stands_flat_with_content_and_structured_content_beside_it() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            reply = await client.call("echo", 7, text='a "b" \n é')
            assert list(reply) == ["jsonrpc", "id", "result"]
            assert (reply["jsonrpc"], reply["id"]) == ("2.0", 7)
            plain = {"text": 'a "b" \n é', "number": 9}
            content = reply["result"].pop("content")
            assert reply["result"].pop("structuredContent") == plain == reply["result"]
            assert [json.loads(each["text"]) for each in content] == [plain]
            assert content[0]["type"] == "text"
            empty = await client.call("nothing", 8)
            assert set(empty["result"]) == {"content", "structuredContent"}

    bounded(run())


@pytest.mark.acceptance("wire-tcp")
def test_two_clients_with_the_same_ids_get_their_own_replies_only() -> None:
    async def one(rig: Rig, name: str) -> None:
        async with connected(rig) as client:
            tools = ("echo", "note", "unsettled")
            asked = [called(tools[n % 3], n, text=f"{name}{n}") for n in range(1, 1_001)]
            sending = asyncio.ensure_future(client.send(b"".join(line(each) for each in asked)))
            answers = [await client.line() for _ in asked]
            await sending
            assert sorted(each["id"] for each in answers) == list(range(1, 1_001))
            assert {each["id"]: each["result"]["text"] for each in answers} == {
                n: f"{name}{n}" for n in range(1, 1_001)
            }

    async def run() -> None:
        async with served() as rig:
            await asyncio.gather(one(rig, "a"), one(rig, "b"))

    bounded(run())


@pytest.mark.acceptance("wire-tcp")
def test_a_bad_line_gets_a_parse_error_and_the_next_one_its_answer() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            await client.send(b"nonsense\n\n\r\n")
            reply = await client.line()
            assert (reply["id"], reply["error"]["code"]) == (None, -32700)
            assert reply["error"]["data"]["code"] == "parse"
            await alive(client)

    bounded(run())


@pytest.mark.acceptance("wire-tcp")
def test_a_batch_is_answered_by_a_batch_and_notifications_by_nothing() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            note = {**called("note", text="noted")}
            del note["id"]
            batch = [called("echo", 1, text="a"), note, 5, called("refuse", 2, text="z")]
            replies = await client.ask(batch)
            assert [each["id"] for each in replies] == [None, 1, 2]
            assert replies[0]["error"]["code"] == -32600
            assert replies[1]["result"]["text"] == "a"
            assert replies[2]["error"]["code"] == -32001
            assert rig.effects == ["noted"]
            await client.send(line([note, {"jsonrpc": "2.0", "method": "notifications/x"}]))
            await client.send(line(note) + line({"jsonrpc": "2.0", "method": "no/such"}))
            await alive(client)
            await until(lambda: len(rig.effects) == 3)

    bounded(run())


def test_a_request_split_into_single_bytes_with_a_byte_order_mark_and_crlf_is_one_request() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            whole = b"\xef\xbb\xbf" + json.dumps(called("echo", text="ü")).encode() + b"\r\n"
            for byte in whole:
                await client.send(bytes((byte,)))
                await asyncio.sleep(0)
            assert (await client.line())["result"]["text"] == "ü"

    bounded(run())


def test_after_a_half_close_the_answers_that_are_due_are_sent_and_then_it_ends() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            last = json.dumps(called("note", 3, text="c")).encode()
            await client.send(line(called("wait", 1, text="a")) + line(called("note", 2)) + last)
            client.writer.write_eof()
            await until(lambda: rig.effects == ["", "c"])
            rig.opened("a").set()
            lines = (await client.rest()).splitlines()
            assert sorted(json.loads(each)["id"] for each in lines) == [1, 2, 3]
        await until(lambda: rig.connections.total == 0)

    bounded(run())


def test_requests_take_effect_in_the_order_sent_and_none_overtakes() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            sent = [called("hold", 1, text="first")]
            sent += [called("note" if n % 2 else "unsettled", n, text=str(n)) for n in range(2, 40)]
            await client.send(b"".join(line(each) for each in sent))
            await alive_out_of_turn(client)
            await until(lambda: rig.begun == ["first"])
            assert rig.effects == []
            rig.opened("first").set()
            replies = {(reply := await client.line())["id"]: reply for _ in sent}
            assert rig.effects == [str(n) for n in range(3, 40, 2)]
            # A read between two writes sees exactly those that were sent before it.
            for n in range(2, 40, 2):
                assert replies[n]["result"]["number"] == (n - 2) // 2

    async def alive_out_of_turn(client: Client) -> None:
        # A ping changes nothing, so it waits for nothing.
        await alive(client)

    bounded(run())


def test_a_call_that_only_waits_lets_the_next_one_start() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            await client.send(line(called("wait", 1, text="w")) + line(called("note", 2)))
            assert (await client.line())["id"] == 2
            rig.opened("w").set()
            assert (await client.line())["result"]["text"] == "w"

    bounded(run())


def test_an_answer_that_saw_what_is_not_durable_yet_waits_until_it_is() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            rig.durable.clear()
            await client.send(line(called("unsettled", 1)) + line(called("note", 2)))
            assert (await client.line())["id"] == 2
            rig.durable.set()
            # It tells of the moment at which it was asked.
            assert (await client.line())["result"]["number"] == 0

    bounded(run())


def test_a_call_can_be_taken_back_while_it_waits_and_before_it_began() -> None:
    def back(number: int) -> bytes:
        params = {"requestId": number}
        return line({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            await client.send(line(called("wait", 1, text="w")))
            await until(lambda: rig.begun == ["w"])
            await client.send(back(99) + back(1))
            assert (await client.line())["result"]["text"] == "taken back"
            await client.send(line(called("hold", 2, text="h")) + line(called("note", 3)) + back(3))
            reply = await client.line()
            assert (reply["id"], reply["error"]["data"]["code"]) == (3, "cancelled")
            rig.opened("h").set()
            assert (await client.line())["id"] == 2
            assert rig.effects == []

    bounded(run())


def test_what_does_not_end_when_it_is_taken_back_is_ended_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            monkeypatch.setattr(desk, "ORPHAN_S", 0.0)
            await client.send(line(called("forever", 1, text="f")))
            await until(lambda: rig.begun == ["f"])
            params = {"requestId": 1}
            back = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
            reply = await client.ask(back)
            assert (reply["id"], reply["error"]["data"]["code"]) == (1, "cancelled")
            await client.send(line(called("forever", 2, text="g")))
            await until(lambda: rig.begun == ["f", "g"])
        assert rig.listening is not None and rig.listening.floor.desk.running == 0

    bounded(run())


def test_a_call_is_taken_back_once_however_often_its_client_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[object] = []

    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            monkeypatch.setattr(desk.Desk, "orphan", lambda _, task: taken.append(task))
            await client.send(line(called("hold", 1, text="h")))
            await until(lambda: rig.begun == ["h"])
            params = {"requestId": 1}
            back = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
            await client.send(line(back) * 100 + line({**back, "method": "ping", "id": 2}))
            assert (await client.line())["id"] == 2
            rig.opened("h").set()
            assert (await client.line())["id"] == 1
            assert len(taken) == 1

    bounded(run())


def test_progress_comes_only_to_who_asked_for_it_and_always_grows() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            asked = called("wait", 1, text="w")
            asked["params"]["_meta"] = {"progressToken": "p"}
            await client.send(line(asked))
            told = [await client.line(), await client.line()]
            assert [each["method"] for each in told] == ["notifications/progress"] * 2
            assert told[0]["params"] == {
                "progressToken": "p",
                "progress": 0.5,
                "total": 1.0,
                "message": "half",
            }
            assert told[1]["params"]["progress"] > 0.5 and "total" not in told[1]["params"]
            rig.opened("w").set()
            assert (await client.line())["id"] == 1
            await client.send(line(called("wait", 2, text="w")))
            assert (await client.line())["id"] == 2

    bounded(run())


def test_the_guides_handshake_is_answered_with_the_version_it_asks_for() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:

            async def hello(**params: Any) -> Any:
                message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
                return (await client.ask(message))["result"]

            info = {"name": "visionflow", "version": "0.1.0"}
            said = await hello(protocolVersion="2024-11-05", clientInfo=info)
            assert said["protocolVersion"] == "2024-11-05"
            assert said["serverInfo"]["name"] == "visionflow"
            assert "tools" in said["capabilities"]
            assert (await hello(protocolVersion="2025-06-18"))["protocolVersion"] == "2025-06-18"
            assert (await hello(protocolVersion="3000"))["protocolVersion"] == "2024-11-05"
            assert (await hello())["protocolVersion"] == "2024-11-05"
            done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            await client.send(line(done))
            await alive(client)

    bounded(run())


def test_connections_that_give_the_same_word_are_one_client() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as one, connected(rig) as two:
            for client in (one, two):
                await client.call("echo")
            params = {"_meta": {"visionflow/client": "pool-1"}}
            hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
            for client in (one, two):
                await client.ask(hello)
                await client.call("echo")
            assert len(set(rig.clients[:2])) == 2
            assert len(set(rig.clients[2:])) == 1 and "pool-1" in rig.clients[2]

    bounded(run())


@pytest.mark.parametrize(
    ("tool", "code", "word"),
    [
        ("refuse", -32001, "unknown_agent"),
        ("limit", -32002, "not_to_be_had"),
        ("fail", -32603, "internal"),
        ("no_such_tool", -32601, "unknown_tool"),
        ("n" * 1_000_000, -32601, "unknown_tool"),
    ],
)
def test_a_tool_that_fails_is_an_error_with_a_stable_word(tool: str, code: int, word: str) -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            error = (await client.call(tool, text="x"))["error"]
            assert (error["code"], error["data"]["code"]) == (code, word)
            assert "secret" not in json.dumps(error)

    bounded(run())


@pytest.mark.parametrize(
    "params",
    [
        [1],
        {},
        {"name": 5},
        {"name": "echo", "arguments": [1]},
        {"name": "echo", "arguments": {"no_such": 1}},
        {"name": "echo", "arguments": {"text": 5}},
        {"name": "echo", "arguments": {"x" * 1_000_000: 1}},
        {"name": "echo", "_meta": 5},
        {"name": "echo", "_meta": {"progressToken": True}},
        {"name": "note", "_meta": {"visionflow/idempotencyKey": 5}},
        {"name": "note", "_meta": {"visionflow/idempotencyKey": ""}},
        {"name": "note", "arguments": {"idempotencyKey": 5}},
    ],
)
def test_bad_arguments_are_an_error_that_says_so(params: Any) -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            error = (await client.ask(message))["error"]
            assert error["code"] == -32602 and error["data"]["code"] == "usage"
            assert rig.effects == []

    bounded(run())


def test_a_method_that_is_none_is_told_and_a_tools_name_how_it_is_called() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            for method, hint in (("echo", "tools/call"), ("x" * 99_999, "initialize")):
                error = (await client.ask({"jsonrpc": "2.0", "id": 1, "method": method}))["error"]
                assert (error["code"], error["data"]["code"]) == (-32601, "unknown_method")
                assert hint in error["data"]["hint"]

    bounded(run())


def test_a_call_with_the_same_key_is_done_once_wherever_the_key_stands() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            first = await client.call("note", 1, text="a", idempotencyKey="k")
            again = called("note", 2, text="b")
            again["params"]["_meta"] = {"visionflow/idempotencyKey": "k"}
            assert (await client.ask(again))["result"] == first["result"]
            assert rig.effects == ["a"]

    bounded(run())


def test_tools_are_listed_in_pages_that_fit_a_line() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            names: list[str] = []
            message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            result = (await client.ask(message))["result"]
            names = [tool["name"] for tool in result["tools"]]
            assert names == list(rig.registry.tools) and "nextCursor" not in result
            assert result["tools"][0]["inputSchema"]["type"] == "object"
            assert result["tools"][0]["annotations"]["readOnlyHint"] is True
            assert "outputSchema" in result["tools"][0]
            bad = await client.ask({**message, "params": {"cursor": "99"}})
            assert bad["error"]["code"] == -32602
            page = rig.listening
            assert page is not None
            listed: list[str] = []
            cursor: object = None
            while True:
                found = page.floor.desk.listing(cursor, 2_000)
                listed += [tool["name"] for tool in found["tools"]]
                cursor = found.get("nextCursor")
                if cursor is None:
                    break
            assert listed == names

    bounded(run())


def test_small_writes_are_sent_at_once() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            await alive(client)
            assert rig.listening is not None
            (there,) = rig.listening.floor.lines
            found = there._transport.get_extra_info("socket") if there._transport else None
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    bounded(run())


def test_the_unix_socket_speaks_the_same_and_is_its_users_alone() -> None:
    async def run() -> None:
        async with served() as rig:
            async with served_unix(rig) as listening:
                assert listening.path.stat().st_mode & 0o777 == 0o600
                async with connected(rig, unix=listening.path) as client:
                    assert (await client.call("echo", text="a"))["result"]["text"] == "a"
                    assert rig.connections.total == 1
            assert not listening.path.exists()
            rig.home.joinpath("mcp.sock").write_text("")

    bounded(run())


def test_the_socket_of_a_dead_server_is_taken_over_and_a_living_ones_is_not() -> None:
    async def run() -> None:
        async with served() as rig:
            async with served_unix(rig):
                with pytest.raises(Exception, match="Another server listens"):
                    async with served_unix(rig):
                        pass
            dead = await asyncio.create_subprocess_exec(
                "python3",
                "-c",
                "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
                str(rig.home / "mcp.sock"),
            )
            assert await dead.wait() == 0
            async with served_unix(rig) as listening, connected(rig, unix=listening.path) as client:
                await alive(client)

    bounded(run())


def test_without_lines_a_line_is_told_that_the_port_speaks_http() -> None:
    async def run() -> None:
        async with served(enable_tcp=False) as rig, connected(rig) as client:
            await client.send(line(called("note")))
            reply = await client.line()
            assert reply["error"]["data"]["code"] == "http_only"
            assert await client.rest() == b""
            assert rig.effects == []
        assert rig.connections.total == 0

    bounded(run())
