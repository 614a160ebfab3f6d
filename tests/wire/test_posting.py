"""HTTP on the same port: `POST /`, and what a browser, curl and a broken client get."""

import asyncio
import json
import shutil
import socket
from typing import Any

import pytest

from tests.wire.wire_rig import Client, Rig, bounded, called, connected, served, until
from visionflow.domain.access import Role
from visionflow.interfaces.access.lookups import Whose
from visionflow.interfaces.wire import lines, listening

Answer = tuple[int, dict[str, str], bytes]


def request(
    body: bytes | None, method: str = "POST", path: str = "/", **headers: str | None
) -> bytes:
    """The bytes of a request; a header of `None` is left out."""
    given: dict[str, str | None] = {"host": "localhost:9500"}
    if body is not None:
        given |= {"content-type": "application/json", "content-length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = [f"{method} {path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in given.items() if value is not None]
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


async def answer(client: Client) -> Answer:
    """The next answer of a connection."""
    status = int((await client.reader.readline()).split()[1])
    headers: dict[str, str] = {}
    while line := (await client.reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = await client.reader.readexactly(int(headers.get("content-length", "0")))
    return status, headers, body


async def ask(rig: Rig, data: bytes) -> Answer:
    async with connected(rig) as client:
        await client.send(data)
        return await answer(client)


def rpc(message: Any) -> bytes:
    return json.dumps(message).encode()


@pytest.mark.acceptance("wire-http")
def test_a_request_split_over_packets_and_after_an_empty_line_is_answered_flat() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            for byte in b"\r\n" + request(rpc(called("echo", text="a"))):
                await client.send(bytes((byte,)))
                await asyncio.sleep(0)
            status, headers, body = await answer(client)
            assert (status, headers["content-type"]) == (200, "application/json")
            assert json.loads(body)["result"]["text"] == "a"
            # The connection is kept for the next one, and two can be sent at once.
            await client.send(2 * request(rpc(called("note"))))
            assert [(await answer(client))[0] for _ in range(2)] == [200, 200]
            assert len(rig.effects) == 2 and rig.connections.total == 1

    bounded(run())


@pytest.mark.acceptance("wire-http")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_answers_large_bodies_and_chunks_included() -> None:
    async def run() -> None:
        async with served() as rig:
            rig.home.joinpath("body").write_bytes(rpc(called("echo", text="x" * 2_000_000)))
            url, kind = f"http://localhost:{rig.port}", "Content-Type: application/json"
            for more in (
                ["-d", rpc(called("echo", text="small")).decode()],
                ["--data-binary", f"@{rig.home}/body"],
                ["--data-binary", f"@{rig.home}/body", "-H", "Expect: 100-continue"],
                ["--data-binary", f"@{rig.home}/body", "-H", "Transfer-Encoding: chunked"],
            ):
                curl = await asyncio.create_subprocess_exec(
                    *("curl", "-q", "-sS", "-f", "--noproxy", "*", "-X", "POST", url, "-H", kind),
                    *more,
                    stdout=asyncio.subprocess.PIPE,
                    stdin=asyncio.subprocess.DEVNULL,
                )
                found, _ = await curl.communicate()
                assert curl.returncode == 0
                assert json.loads(found)["result"]["number"] in (5, 2_000_000)

    bounded(run())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"nonsense", -32700),
        (b"", -32700),
        (b"[]", -32600),
        (rpc({"jsonrpc": "2.0", "id": 1, "method": "no/such"}), -32601),
        (rpc(called("refuse")), -32001),
        (rpc(called("fail")), -32603),
    ],
)
def test_a_fault_of_json_rpc_has_status_200_and_the_error_inside(body: bytes, code: int) -> None:
    async def run() -> None:
        async with served() as rig:
            status, _, told = await ask(rig, request(body))
            assert (status, json.loads(told)["error"]["code"]) == (200, code)

    bounded(run())


def test_notifications_get_202_and_batches_an_array() -> None:
    async def run() -> None:
        async with served() as rig:
            note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            assert (await ask(rig, request(rpc(note))))[::2] == (202, b"")
            status, _, body = await ask(rig, request(rpc([note, called("echo"), called("note")])))
            assert status == 200 and len(json.loads(body)) == 2

    bounded(run())


def test_an_answer_over_http_may_have_any_length() -> None:
    async def run() -> None:
        async with served() as rig:
            _, _, body = await ask(rig, request(rpc(called("echo", size=500_000))))
            result = json.loads(body)["result"]
            assert len(result["text"]) == 500_000 and "truncated" not in result

    bounded(run())


@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({"content_type": "text/plain"}, 415, "not_json"),
        ({"content_type": None}, 415, "not_json"),
        ({"origin": "https://evil.example"}, 403, "origin_refused"),
        ({"origin": "null"}, 403, "origin_refused"),
        ({"host": "evil.example:9500"}, 421, "host_refused"),
        ({"authorization": "Basic abc"}, 401, "unauthenticated"),
        ({"authorization": "Bearer vf_no_token"}, 401, "unauthenticated"),
    ],
)
def test_a_page_and_a_stranger_are_kept_out_with_a_status_and_a_json_rpc_error(
    headers: dict[str, str | None], status: int, word: str
) -> None:
    async def run() -> None:
        async with served() as rig:
            found, told, body = await ask(rig, request(rpc(called("note")), **headers))
            assert (found, json.loads(body)["error"]["data"]["code"]) == (status, word)
            assert "access-control-allow-origin" not in told
            assert (status == 401) == ("www-authenticate" in told)
            assert rig.effects == [] and rig.audit.access

    bounded(run())


def test_names_of_the_guide_are_hosts_that_are_allowed() -> None:
    async def run() -> None:
        async with served() as rig:
            for host in ("multi-agent-container:9500", "127.0.0.1", "[::1]:9500"):
                assert (await ask(rig, request(rpc(called("echo")), host=host)))[0] == 200

    bounded(run())


def test_without_a_token_another_user_is_refused_and_with_one_served_as_its_role() -> None:
    async def run() -> None:
        async with served(calls_per_second=0.05, calls_at_once=1) as rig:
            rig.lookups.whose = Whose.OTHERS
            _, viewer = rig.tokens.create("eye", Role.VIEWER)
            bearer = f"Bearer {viewer}"
            note, echo = rpc(called("note")), rpc(called("echo"))
            status, headers, body = await ask(rig, request(note))
            assert status == 401 and headers["www-authenticate"].startswith("Bearer")
            assert json.loads(body)["id"] == 1
            assert (await ask(rig, request(note, authorization=bearer)))[0] == 403
            found = [await ask(rig, request(echo, authorization=bearer)) for _ in range(9)]
            assert found[0][0] == 200 and found[-1][0] == 429
            assert int(found[-1][1]["retry-after"]) >= 1

    bounded(run())


def test_a_body_over_the_bound_is_refused_before_it_is_sent() -> None:
    async def run() -> None:
        async with served(frame_bytes_max=1_000) as rig, connected(rig) as client:
            head = request(b"x" * 1_001, expect="100-continue").partition(b"\r\n\r\n")[0]
            await client.send(head + b"\r\n\r\n")
            status, headers, body = await answer(client)
            assert (status, headers["connection"]) == (413, "close")
            assert json.loads(body)["error"]["data"]["code"] == "body_too_large"
            chunk = b"400\r\n" + b" " * 1_024 + b"\r\n"
            chunked = request(b"", content_length=None, transfer_encoding="chunked")
            assert (await ask(rig, chunked + chunk * 3 + b"0\r\n\r\n"))[0] == 413
            # A client that does not ask first has its whole body taken before the answer.
            assert (await ask(rig, request(b" " * 3_000)))[0] == 413

    bounded(run())


def test_other_methods_and_paths_say_what_there_is() -> None:
    async def run() -> None:
        async with served() as rig:
            status, headers, body = await ask(rig, request(None, "GET"))
            assert status == 200 and b"VisionFlow" in body
            assert headers["content-type"].startswith("text/plain")
            status, headers, body = await ask(rig, request(None, "GET", "/nowhere"))
            assert status == 404 and json.loads(body)["error"]["data"]["code"] == "not_found"
            status, headers, _ = await ask(rig, request(None, "DELETE"))
            assert status == 405 and "POST" in headers["allow"]
            status, headers, body = await ask(rig, request(None, "OPTIONS"))
            assert (status, body) == (204, b"") and "POST" in headers["allow"]
            async with connected(rig) as client:
                await client.send(request(None, "HEAD", connection="close"))
                assert (await client.rest()).endswith(b"\r\n\r\n")
            async with connected(rig) as client:
                await client.send(b"GET /  HTTP/1.1\r\nhost: localhost\r\n\r\n")
                assert b" 400 " in await client.rest()

    bounded(run())


def test_after_a_half_close_the_answer_still_comes() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            await client.send(request(rpc(called("hold", text="h"))))
            client.writer.write_eof()
            await until(lambda: rig.begun == ["h"])
            rig.opened("h").set()
            assert (await answer(client))[0] == 200
            assert await client.rest() == b""

    bounded(run())


def test_a_client_that_went_away_ends_what_only_waited() -> None:
    async def run() -> None:
        async with served() as rig:
            async with connected(rig) as client:
                await client.send(request(rpc(called("wait", text="w"))))
                await until(lambda: rig.begun == ["w"])
                found: socket.socket = client.writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes((1, *bytes(7))))
            await until(lambda: rig.gone == ["w"])
            await until(lambda: rig.connections.total == 0)

    bounded(run())


def test_a_client_that_does_not_read_its_answer_is_ended_in_time() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig, 1_000) as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(request(rpc(called("echo", size=30_000_000))))
            assert rig.listening is not None
            floor = rig.listening.floor
            await until(lambda: any(each._unread_since is not None for each in floor.others))
            floor.sweep(asyncio.get_running_loop().time() + lines.UNREAD_S + 5)
            await until(lambda: rig.connections.total == 0)

    bounded(run())


@pytest.mark.acceptance("wire-http")
def test_what_is_mounted_at_mcp_gets_its_requests_its_session_and_its_lifespan() -> None:
    seen: list[str] = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope.get("path", scope["type"]))
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{word}"
                seen.append(word)
                await send({"type": f"lifespan.{word}.complete"})
            return
        caller = scope["visionflow.session"].caller
        assert caller.face == "mcp" and "visionflow.connection" not in scope["state"]
        start = {"type": "http.response.start", "status": 299, "headers": []}
        await send({**start, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> None:
        async with served(mounted) as rig:
            for path in ("/mcp", "/mcp/x", "/.well-known/oauth-protected-resource"):
                assert (await ask(rig, request(b"{}", path=path)))[0] == 299
            assert (await ask(rig, request(b"{}", path="/mcpx")))[0] == 404

    bounded(run())
    assert seen[:2] == ["lifespan", "startup"] and seen[-1] == "shutdown" and len(seen) == 6


def test_an_app_that_does_not_start_is_an_error_and_the_port_is_free_again() -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    async def run() -> None:
        with pytest.raises(Exception, match="did not start"):
            async with served(mounted):
                pass
        async with served() as rig:
            with pytest.raises(Exception, match="in use by another"):
                await _again(rig)
            assert (await ask(rig, request(None, "GET")))[0] == 200

    bounded(run())


async def _again(rig: Rig) -> None:
    import msgspec

    from visionflow.interfaces.wire.listening import start

    there = msgspec.structs.replace(rig.settings, tcp_port=rig.port)
    await start(rig.server, rig.registry, rig.gate, there)


def test_an_app_that_streams_without_end_is_told_that_its_client_is_gone_when_the_port_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "CLOSE_S_MAX", 0.05)
    ended: list[str] = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.append("told")

    async def run() -> None:
        async with served(mounted) as rig:
            client = Client(*await asyncio.open_connection("127.0.0.1", rig.port))
            await client.send(request(None, "GET", "/mcp"))
            await client.reader.readuntil(b"\r\n\r\n")
        client.writer.close()

    bounded(run())
    assert ended == ["told"]


def test_what_is_mounted_hears_at_once_of_a_client_that_closed_while_it_waited() -> None:
    heard: list[str] = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        while (message := await receive())["type"] != "http.disconnect":
            heard.append(message["type"])
        heard.append("gone")

    async def run() -> None:
        async with served(mounted) as rig:
            async with connected(rig) as client:
                await client.send(request(b"{}", path="/mcp"))
                await until(lambda: heard == ["http.request"])
                client.writer.write_eof()
                await until(lambda: heard == ["http.request", "gone"])

    bounded(run())


def test_an_answer_in_two_writes_does_not_wait_for_the_client_to_acknowledge_the_first() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            await client.send(request(rpc(called("echo", text="a"))))
            assert (await answer(client))[0] == 200
            assert rig.listening is not None
            (one,) = rig.listening.floor.others
            sent_at_once = one.transport.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY
            )
            assert sent_at_once

    bounded(run())
