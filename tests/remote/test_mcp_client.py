"""The client of a server: its pool, what it asks again and what not, its errors and its limits."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import Answer, FakeServer, Script, refused, result

from visionflow import MCPClient, Task
from visionflow.domain.errors import (
    Forbidden,
    LimitReached,
    RateLimited,
    Refused,
    ServerUnreachable,
    UnknownAgent,
    UnknownSwarm,
    UsageError,
    VisionFlowError,
)
from visionflow.interfaces.client.connection import ConnectionLost, ServerFault
from visionflow.interfaces.client.remote import RemoteFleet
from visionflow.interfaces.mcp.dialling import Nameable

PATIENCE_S = 30.0
KEY = "visionflow/idempotencyKey"


def against(
    script: Script, use: Callable[[MCPClient, FakeServer], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        async with (
            FakeServer(script) as server,
            MCPClient(port=server.port, **options) as client,
        ):
            await use(client, server)

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_call_gives_the_fields_of_the_tools_result() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        assert await client.call("a_tool", {"a": 1}) == {"agentId": "agent_1", "pid": None}
        (asked,) = server.requests
        assert asked["params"]["name"] == "a_tool"
        assert asked["params"]["arguments"] == {"a": 1}

    against(lambda _: result(agentId="agent_1", pid=None), use)


def test_a_lost_connection_is_made_anew_and_the_call_asked_again_under_the_same_key() -> None:
    answers: list[Answer] = [None, None, result(done=True)]

    async def use(client: MCPClient, server: FakeServer) -> None:
        assert await client.call("a_tool") == {"done": True}
        keys = {asked["params"]["_meta"][KEY] for asked in server.requests}
        assert (len(server.requests), len(keys)) == (3, 1)

    against(lambda _: answers.pop(0), use)


def test_another_call_has_another_key_and_a_key_of_ones_own_is_used_as_it_is() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        for key in (None, None, "mine"):
            await client.call("a_tool", key=key)
        keys = [asked["params"]["_meta"][KEY] for asked in server.requests]
        assert keys[0] != keys[1]
        assert keys[2] == "mine"

    against(lambda _: result(), use)


def test_a_call_is_asked_no_more_often_than_it_was_said() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        with pytest.raises(ConnectionLost):
            await client.call("a_tool")
        assert len(server.requests) == 2

    against(lambda _: None, use, retry_attempts=2)


def test_a_task_is_waited_for_on_where_the_server_went_away_and_is_handed_in_once() -> None:
    done = result(taskId="task_1", status="completed", result={"total": 6})
    answers: list[Answer] = [None, None, None, done]

    async def use(client: MCPClient, server: FakeServer) -> None:
        assert await RemoteFleet(client).run(Task(type="add")) == {"total": 6}
        keys = {asked["params"]["_meta"][KEY] for asked in server.requests}
        assert len(server.requests) == 4 and len(keys) == 1

    against(lambda _: answers.pop(0), use, retry_attempts=1)


def test_where_nobody_listens_it_says_so_and_what_to_do() -> None:
    async def run() -> None:
        async with FakeServer(lambda _: None) as server:
            port = server.port
        with pytest.raises(ServerUnreachable, match=r"connection refused.*visionflow serve"):
            await MCPClient(port=port, retry_attempts=2).connect()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_server_that_says_when_to_come_back_is_asked_again_then() -> None:
    answers = [refused("rate_limited", -32003, retryAfterMs=10), result(done=True)]

    async def use(client: MCPClient, server: FakeServer) -> None:
        assert await client.call("a_tool") == {"done": True}
        assert len(server.requests) == 2

    against(lambda _: answers.pop(0), use)


def test_who_would_have_to_wait_for_long_is_told_instead() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        with pytest.raises(RateLimited) as caught:
            await client.call("a_tool")
        assert caught.value.retry_after_ms == 3_600_000
        assert len(server.requests) == 1

    against(lambda _: refused("rate_limited", -32003, retryAfterMs=3_600_000), use)


@pytest.mark.parametrize(
    ("code", "number", "kind"),
    [
        ("unknown_agent", -32001, UnknownAgent),
        ("unknown_swarm", -32002, UnknownSwarm),
        ("limit_reached", -32003, LimitReached),
        ("forbidden", -32000, Forbidden),
        ("usage", -32602, UsageError),
        ("internal", -32603, ServerFault),
        ("already_ended", -32000, Refused),
    ],
)
def test_a_refusal_is_the_error_that_it_stands_for_and_is_not_asked_again(
    code: str, number: int, kind: type[VisionFlowError]
) -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        with pytest.raises(kind, match=f"No: {code}") as caught:
            await client.call("a_tool")
        assert type(caught.value) is kind
        assert len(server.requests) == 1

    against(lambda _: refused(code, number), use)


def test_a_call_ends_at_its_time_limit_and_the_connection_goes_on() -> None:
    async def script(asked: dict[str, Any]) -> Answer:
        if asked["params"]["name"] == "slow":
            await asyncio.sleep(0.3)
        return result(name=asked["params"]["name"])

    async def use(client: MCPClient, server: FakeServer) -> None:
        with pytest.raises(TimeoutError):
            await client.call("slow", timeout=0.05)
        assert await client.call("quick", timeout=None) == {"name": "quick"}

    against(script, use)


def test_calls_at_once_share_a_pool_no_larger_than_said() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        async def one(number: int) -> int:
            return (await client.call("a_tool", {"n": number}))["n"]

        assert await asyncio.gather(*map(one, range(40))) == list(range(40))
        assert server.open == client.connections == 3
        clients = {each["params"]["_meta"]["visionflow/client"] for each in server.hellos}
        assert len(clients) == 1, "to the server they are one client"

    async def script(asked: dict[str, Any]) -> Answer:
        await asyncio.sleep(0.001)
        return result(**asked["params"]["arguments"])

    against(script, use, pool_size=3)


def test_a_token_is_shown_before_anything_else() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        first = server.hellos[0]
        assert (first["method"], first["params"]) == ("authenticate", {"token": "vf_a_b"})

    against(lambda _: result(), use, token="vf_a_b")


def test_numbers_of_the_environment_hold_and_wrong_ones_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MCP_POOL_SIZE", "many")
    with pytest.raises(UsageError, match="MCP_POOL_SIZE"):
        MCPClient()
    monkeypatch.setenv("MCP_POOL_SIZE", "1")
    monkeypatch.setenv("MCP_RETRY_ATTEMPTS", "1")

    async def use(client: MCPClient, server: FakeServer) -> None:
        with pytest.raises(ConnectionLost):
            await client.call("a_tool")
        assert len(server.requests) == 1

    against(lambda _: None, use)


def test_without_a_loop_it_blocks_and_leaves_no_thread() -> None:
    import threading

    before = threading.active_count()

    async def run() -> dict[str, Any]:
        async with FakeServer(lambda asked: result(**asked["params"]["arguments"])) as server:

            def blocking() -> dict[str, Any]:
                with MCPClient(port=server.port) as client:
                    return client.call("a_tool", {"a": "ä"})

            return await asyncio.to_thread(blocking)

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE_S)) == {"a": "ä"}
    assert threading.active_count() <= before


def test_arguments_that_are_no_json_are_refused_before_they_are_sent() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        with pytest.raises(UsageError, match="JSON"):
            await client.call("a_tool", {"a": object()})
        assert not server.requests
        assert await client.call("a_tool", {"a": 1}) == {}

    against(lambda _: result(), use)


def test_a_closed_client_connects_again_when_it_is_asked_again() -> None:
    async def use(client: MCPClient, server: FakeServer) -> None:
        await client.call("a_tool")
        await client.close()
        assert client.connections == 0
        await client.call("a_tool")
        assert len(server.hellos) == 2

    against(lambda _: result(), use)


def test_a_listener_that_fails_ends_its_own_call_and_no_other() -> None:
    async def script(asked: dict[str, Any]) -> Answer:
        token = asked["params"]["_meta"].get("progressToken")
        if token is not None:
            (writer,) = server_of[0]._writers
            params = {"progressToken": token, "progress": 0.5, "total": 1.0}
            told = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
            await server_of[0].say(writer, told)
        return result(name=asked["params"]["name"])

    server_of: list[FakeServer] = []

    def fail(fraction: float | None, note: str) -> None:
        raise OSError(f"nobody can write {fraction} down")

    async def use(client: MCPClient, server: FakeServer) -> None:
        server_of.append(server)
        with pytest.raises(OSError, match=r"nobody can write 0\.5 down"):
            await client.call("watched", on_progress=fail)
        assert await client.call("plain") == {"name": "plain"}
        assert server.open == client.connections == 1

    against(script, use)


def test_who_accepts_and_says_nothing_is_no_server_within_the_time_limit() -> None:
    async def run() -> None:
        held: list[asyncio.StreamWriter] = []
        silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(ServerUnreachable, match=rf"127\.0\.0\.1:{port} within 0\.1 s"):
            await MCPClient(port=port, timeout=0.1).connect()
        for each in held:
            each.close()
        silent.close()
        await silent.wait_closed()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_socket_is_reached_however_long_its_path_is(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*("a long name of a folder" for _ in range(8)))
    folder.mkdir(parents=True)

    async def run() -> None:
        server = FakeServer(lambda _: result(done=True))
        names = Nameable(folder / "mcp.sock")
        listening = await asyncio.start_unix_server(server._serve, names.name)
        async with MCPClient(path=folder / "mcp.sock") as client:
            assert await client.call("a_tool") == {"done": True}
        listening.close()
        await listening.wait_closed()
        names.close()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
