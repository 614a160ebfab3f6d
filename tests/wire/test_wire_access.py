"""Who calls, on lines and over HTTP: nobody unknown, tokens in every place, roles."""

import asyncio
from typing import Any

from tests.wire.wire_rig import bounded, called, connected, served
from visionflow.domain.access import Role
from visionflow.interfaces.access.lookups import Whose
from visionflow.interfaces.wire import lines


def test_somebody_unknown_is_served_a_ping_and_a_handshake_and_nothing_else() -> None:
    async def run() -> None:
        async with served() as rig:
            rig.lookups.whose = Whose.OTHERS
            async with connected(rig) as client:
                for method in ("ping", "initialize"):
                    assert "result" in await client.ask(_asked(method))
                for message in (_asked("tools/list"), _asked("resources/read"), called("echo")):
                    error = (await client.ask(message))["error"]
                    assert (error["code"], error["data"]["code"]) == (-32000, "unauthenticated")
                    assert "token" in error["data"]["hint"]
            assert [code for _, _, code in rig.audit.access] == ["unauthenticated"] * 3

    bounded(run())


def test_a_token_opens_a_connection_or_a_single_request_and_a_revoked_one_neither() -> None:
    async def run() -> None:
        async with served() as rig:
            rig.lookups.whose = Whose.OTHERS
            _, text = rig.tokens.create("me", Role.OPERATOR)
            async with connected(rig) as one, connected(rig) as two:
                said = (await one.ask(_asked("authenticate", token=text)))["result"]
                assert said == {"authenticated": True, "caller": "token:me", "role": "operator"}
                assert "result" in await one.call("note", text="a")
                assert rig.connections.of("token:me") == 1
                message = called("note", text="b")
                message["params"]["_meta"] = {"visionflow/token": text}
                assert "result" in await two.ask(message)
                assert "error" in await two.call("note", text="c")
                rig.tokens.revoke("me")
                for client in (one, two):
                    assert "error" in await client.ask(message)
                assert (await one.ask(_asked("authenticate", token="vf_x_y")))["error"]
                assert (await one.ask(_asked("authenticate", token=5)))["error"]["code"] == -32602
            assert rig.effects == ["a", "b"]

    bounded(run())


def test_a_stranger_who_shows_no_token_does_not_hold_a_connection_for_long() -> None:
    async def run() -> None:
        async with served() as rig:
            rig.lookups.whose = Whose.OTHERS
            _, text = rig.tokens.create("me", Role.VIEWER)
            async with connected(rig) as stranger, connected(rig) as known:
                await stranger.ask(_asked("ping"))
                await known.ask(_asked("authenticate", token=text))
                assert rig.listening is not None
                floor = rig.listening.floor
                floor.sweep(asyncio.get_running_loop().time() + lines.STRANGER_S - 5)
                assert "result" in await stranger.ask(_asked("ping"))
                floor.sweep(asyncio.get_running_loop().time() + lines.STRANGER_S + 5)
                assert (await stranger.line())["error"]["data"]["code"] == "unauthenticated"
                assert await stranger.rest() == b""
                assert "result" in await known.call("echo")

    bounded(run())


def test_a_viewer_may_read_and_is_told_who_may_write() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            _, text = rig.tokens.create("eye", Role.VIEWER)
            await client.ask(_asked("authenticate", token=text))
            assert "result" in await client.call("echo")
            error = (await client.call("note"))["error"]
            assert error["data"]["code"] == "forbidden" and "operator" in error["message"]
            assert rig.audit.calls == [("note", "forbidden")] and rig.effects == []

    bounded(run())


def test_a_flood_of_a_tokens_client_is_limited_and_told_when_to_come_again() -> None:
    async def run() -> None:
        async with served(calls_at_once=2, calls_per_second=0.1) as rig:
            _, text = rig.tokens.create("me", Role.OPERATOR)
            async with connected(rig) as client, connected(rig) as local:
                await client.ask(_asked("authenticate", token=text))
                answers = [await client.call("echo") for _ in range(20)]
                refused = [each["error"] for each in answers if "error" in each]
                assert refused and {each["data"]["code"] for each in refused} == {"rate_limited"}
                assert all(each["data"]["retryAfterMs"] > 0 for each in refused)
                for _ in range(200):
                    assert "result" in await local.call("echo")
                listed = [await client.ask(_asked("tools/list")) for _ in range(5)]
                assert listed[-1]["error"]["data"]["code"] == "rate_limited"

    bounded(run())


def _asked(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
