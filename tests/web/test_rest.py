"""Port 3000 as programs find it: a whole session by REST, its errors, its limits, its guard."""

import asyncio
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from webbed import Web, settings_in, with_web

from visionflow.domain.access import Role
from visionflow.interfaces.access.tokens import Tokens
from visionflow.interfaces.web import app, connections


class Held:
    """Asks, and holds each answer against the document that the server gives of itself."""

    def __init__(self, web: Web, document: dict[str, Any]) -> None:
        self._web = web
        self._document = document

    @classmethod
    async def of(cls, web: Web) -> "Held":
        return cls(web, (await web("GET", "/openapi.json")).json)

    async def __call__(
        self, method: str, path: str, body: object = None, *, route: str = "", **headers: str
    ) -> Any:
        """The body of an answer that is as documented. `route`: the address with names in it."""
        reply = await self._web(method, path, body, **headers)
        where = route or path.partition("?")[0]
        operation = self._document["paths"][where][method.lower()]
        answer = operation["responses"][str(reply.status)]
        if "$ref" in answer:
            answer = self._document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        schema = answer["content"]["application/json"]["schema"]
        whole = {**schema, "components": self._document["components"]}
        jsonschema.Draft202012Validator(whole).validate(reply.json)
        return reply.json if reply.status == 200 else (reply.status, reply.json["error"])


def test_a_whole_session_by_rest_is_as_its_document_says(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        ask = await Held.of(web)
        assert (await ask("GET", "/health"))["status"] == "ok"
        assert await ask("GET", "/ready") == {"ready": True, "why": None}
        assert (await ask("GET", "/api/swarms"))["swarms"] == []
        status, error = await ask("GET", "/api/agents/metrics")
        assert (status, error["code"]) == (404, "unknown_swarm")

        swarm = (await ask("POST", "/api/swarms", {"topology": "mesh", "maxAgents": 1}))["swarmId"]
        by_id = await ask("GET", f"/api/swarms/{swarm}", route="/api/swarms/{swarmId}")
        assert (by_id["swarmId"], by_id["topology"]) == (swarm, "mesh")

        made = await ask("POST", "/api/agents", {"type": "coder", "swarmId": swarm, "wait": True})
        agent = made["agentId"]
        assert made["status"] == "ready"
        status, error = await ask("POST", "/api/agents", {"type": "tester", "swarmId": swarm})
        assert (status, error["code"]) == (409, "limit_reached")
        listed = await ask("GET", f"/api/agents?swarmId={swarm}&limit=5")
        assert [each["id"] for each in listed["agents"]] == [agent]
        one = await ask("GET", f"/api/agents/{agent}", route="/api/agents/{agentId}")
        assert one["status"] == "ready"
        metrics = await ask("GET", "/api/agents/metrics")
        assert [each["id"] for each in metrics["agents"]] == [agent]

        events = await ask("GET", f"/api/events?swarmId={swarm}&since=0")
        assert events["events"][0]["type"] == "swarm_created"
        kept = {"namespace": "notes", "key": "a/b"}
        path, route = "/api/memory/notes/a%2Fb", "/api/memory/{namespace}/{key}"
        await ask("PUT", path, {"value": {"x": [1, "€"]}}, route=route)
        assert (await ask("GET", path, route=route))["value"] == {"x": [1, "€"]}
        assert (await ask("POST", "/api/tools/memory_retrieve", kept))["value"] == {"x": [1, "€"]}
        over = await ask("DELETE", f"/api/agents/{agent}", route="/api/agents/{agentId}")
        assert over["agentId"] == agent
        assert "swarm_init" in {each["name"] for each in (await ask("GET", "/api/tools"))["tools"]}

    with_web(settings_in(tmp_path), use)


def test_a_call_with_a_key_is_done_once(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        body = {"topology": "mesh"}
        first = await web("POST", "/api/swarms", body, idempotency_key="k1")
        again = await web("POST", "/api/swarms", body, idempotency_key="k1")
        other = await web("POST", "/api/swarms", {**body, "idempotencyKey": "k2"})
        assert first.json["swarmId"] == again.json["swarmId"] != other.json["swarmId"]
        empty = await web("POST", "/api/swarms", body, idempotency_key="x" * 300)
        assert (empty.status, empty.code) == (422, "usage")

    with_web(settings_in(tmp_path), use)


def test_text_arrives_byte_for_byte(tmp_path: Path) -> None:
    text = (
        "<script>alert('x')</script>\n\tSELECT 1; -- \u2028 {{ x }} %00 \\u0000 \x7f é \U0001f9ea"
    )

    async def use(web: Web) -> None:
        path = "/api/memory/code/it"
        await web("PUT", path, {"value": text})
        assert (await web("GET", path)).json["value"] == text

    with_web(settings_in(tmp_path), use)


def test_what_is_wrong_with_a_request_is_said_by_name(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        async def told(*given: Any, **named: Any) -> tuple[int, str]:
            reply = await web(*given, **named)
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["content-type"] == "application/json"
            assert "access-control-allow-origin" not in reply.headers
            return reply.status, reply.code

        assert await told("GET", "/nope") == (404, "unknown_path")
        assert await told("POST", "/api/tools/nope", {}) == (404, "unknown_tool")
        assert await told("POST", "/api/tools/alerts", {}) == (501, "not_built")
        assert await told("GET", "/api/tools/swarm_init") == (405, "method")
        assert await told("GET", "/api/agents?agentTipe=x") == (422, "usage")
        assert await told("GET", "/api/agents?limit=1&limit=2") == (422, "usage")
        assert await told("GET", "/api/agents?limit=%ff") == (422, "usage")
        assert await told("PATCH", "/api/agents/a", {"agentId": "b"}) == (422, "usage")
        assert await told("DELETE", "/api/agents/a", {"drain": True}) == (422, "usage")
        assert await told("POST", "/api/swarms?topology=mesh", {}) == (422, "usage")
        assert await told("POST", "/api/swarms", [1]) == (400, "body")
        assert await told("POST", "/api/swarms", raw=b'{"a":1,"a":2}') == (400, "invalid")
        assert await told("POST", "/api/swarms", raw=b"{") == (400, "parse")
        assert await told("POST", "/api/swarms", raw=b'{"a":' * 70 + b"1" + b"}" * 70) == (
            400,
            "too_deep",
        )
        large = b'{"topology":"' + b"m" * 60_000 + b'"}'
        assert await told("POST", "/api/swarms", raw=large) == (413, "too_large")

    with_web(settings_in(tmp_path, frame_bytes_max=50_000), use)


def test_head_and_options_say_what_there_is_and_no_page_may_call(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        for path in ("/health", "/api/swarms", "/openapi.json"):
            whole, head = await web("GET", path), await web("HEAD", path)
            assert head.status == 200
            assert head.body == b""
            assert head.headers["content-length"] == str(len(whole.body))
        options = await web("OPTIONS", "/api/agents/x")
        assert options.status == 204
        assert set(options.headers["allow"].split(", ")) == {
            "GET", "HEAD", "PATCH", "DELETE", "OPTIONS",
        }  # fmt: skip
        asked = await web(
            "OPTIONS", "/api/agents", origin="https://evil.example",
            access_control_request_method="POST",
        )  # fmt: skip
        assert (asked.status, asked.code) == (403, "origin_refused")

    with_web(settings_in(tmp_path), use)


@pytest.mark.acceptance("auth")
def test_pages_and_rebinding_names_are_kept_out_on_both_ports(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        call = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        for main, path, body in (
            (False, "/api/swarms", {}),
            (True, "/", call),
            (True, "/mcp", call),
        ):
            foreign = await web("POST", path, body, main=main, origin="https://evil.example")
            assert foreign.status == 403, path
            null = await web("POST", path, body, main=main, origin="null")
            assert null.status == 403, path
            rebound = await web("POST", path, body, main=main, host="evil.example:9500")
            assert rebound.status == 421, path
            plain = await web("POST", path, body, main=main, content_type="text/plain")
            assert plain.status == 415, path
        assert (await web("GET", "/health", host="evil.example")).status == 421
        assert (await web("GET", "/api/swarms", host="multi-agent-container:3000")).status == 200
        codes = [row.code for row in await web.server.fleet.audit()]
        assert {"origin_refused", "host_refused", "not_json"} <= set(codes)

    with_web(settings_in(tmp_path), use)


@pytest.mark.acceptance("auth")
def test_a_token_decides_what_may_be_done_and_a_revoked_one_nothing(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    tokens = Tokens(settings.home)
    _, viewer = tokens.create("reader", Role.VIEWER)
    _, operator = tokens.create("worker", Role.OPERATOR)

    async def use(web: Web) -> None:
        as_viewer, as_operator = f"Bearer {viewer}", f"Bearer {operator}"
        assert (await web("GET", "/api/swarms", authorization=as_viewer)).status == 200
        refused = await web("POST", "/api/swarms", {"topology": "mesh"}, authorization=as_viewer)
        assert (refused.status, refused.code) == (403, "forbidden")
        assert "operator, admin" in refused.json["error"]["message"]
        body = {"topology": "mesh"}
        made = await web("POST", "/api/swarms", body, authorization=as_operator)
        assert made.status == 200
        wrong = await web("GET", "/api/swarms", authorization="Basic eDp5")
        assert wrong.status == 401
        assert wrong.headers["www-authenticate"].startswith("Bearer ")
        tokens.revoke("worker")
        gone = await web("GET", "/api/swarms", authorization=as_operator)
        assert (gone.status, gone.code) == (401, "unauthenticated")
        assert (await web("GET", "/api/swarms")).status == 200

        rows = await web.server.fleet.audit()
        calls = [(r.by, r.tool, r.code) for r in rows if r.kind == "call"]
        assert ("token:reader", "swarm_init", "forbidden") in calls
        assert ("token:worker", "swarm_init", None) in calls
        access = {(r.by, r.code) for r in rows if r.kind == "access"}
        assert ("token:reader", "login") in access
        assert ("server", "token_revoked") in access

    with_web(settings, use)


@pytest.mark.acceptance("auth")
def test_a_flood_by_a_tokens_client_is_limited_and_our_own_user_is_not(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, calls_per_second=0.1)
    _, text = Tokens(settings.home).create("flooder", Role.VIEWER)

    async def use(web: Web) -> None:
        bearer = f"Bearer {text}"
        replies = [await web("GET", "/api/swarms", authorization=bearer) for _ in range(9)]
        assert [each.status for each in replies[:6]] == [200] * 6
        last = replies[-1]
        assert (last.status, last.code) == (429, "rate_limited")
        assert 0 < last.json["error"]["retryAfterMs"] <= 10_000
        assert 1 <= int(last.headers["retry-after"]) <= 10
        own = [(await web("GET", "/api/swarms")).status for _ in range(20)]
        assert own == [200] * 20
        rows = await web.server.fleet.audit(by="token:flooder")
        assert "rate_limited" in [row.code for row in rows]

    with_web(settings, use)


def test_connections_are_counted_and_one_too_many_is_told_so(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        host, port = web.web
        held = [await asyncio.open_connection(host, port) for _ in range(3)]
        while web.server.connections.total < 3:
            await asyncio.sleep(0.01)
        refused = await web("GET", "/health")
        assert (refused.status, refused.code) == (503, "too_many_connections")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        while web.server.connections.total:
            await asyncio.sleep(0.01)
        assert (await web("GET", "/health")).status == 200

    with_web(settings_in(tmp_path, connections_max=3), use)


def test_a_request_that_never_comes_whole_holds_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    monkeypatch.setattr(app, "BODY_S", 0.1)

    async def use(web: Web) -> None:
        host, port = web.web
        for begun in (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(begun)
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
            await writer.wait_closed()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"POST /api/swarms HTTP/1.1\r\nHost: localhost\r\n"
            b'Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"to'
        )
        answer = await asyncio.wait_for(reader.read(), 30)
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()
        assert (await web("GET", "/health")).status == 200

    with_web(settings_in(tmp_path), use)


def test_a_server_whose_disk_is_full_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(web: Web) -> None:
        ask = await Held.of(web)
        assert (await ask("GET", "/ready"))["ready"] is True
        monkeypatch.setattr(app, "ROOM_BYTES_MIN", 1 << 62)
        full = await web("GET", "/ready")
        assert (full.status, full.json["ready"]) == (503, False)
        assert "full" in full.json["why"]
        assert (await ask("GET", "/health"))["status"] == "ok"

    with_web(settings_in(tmp_path), use)


def test_a_request_without_a_body_needs_no_content_type(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        assert (await web("POST", "/api/swarms")).status == 200
        assert (await web("POST", "/api/tools/swarm_list")).json["total"] == 1
        unknown = await web("POST", "/api/tasks/task_1_x/retry")
        assert (unknown.status, unknown.code) == (404, "unknown_task")
        foreign = await web("POST", "/api/swarms", origin="https://evil.example")
        assert foreign.status == 403

    with_web(settings_in(tmp_path), use)


def test_a_body_whose_length_is_told_twice_ends_the_connection(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        for place, path in ((web.web, "/api/swarms"), (web.main, "/"), (web.main, "/mcp")):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            answer = await asyncio.wait_for(reader.read(), 30)
            assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1, answer
            assert b"ambiguous_length" in answer
            writer.close()
            await writer.wait_closed()

    with_web(settings_in(tmp_path), use)


def test_a_client_that_goes_away_ends_what_waits_and_leaves_nothing(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        await web("POST", "/api/swarms", {"topology": "mesh"})
        task = {"type": "say", "description": "wait", "requiredCapabilities": ["nobody has this"]}
        order = {"task": task}
        made = await web("POST", "/api/tasks", order)
        assert made.status == 200, made.body
        before = len(asyncio.all_tasks())
        host, port = web.web
        _, writer = await asyncio.open_connection(host, port)
        path = f"/api/tasks/{made.json['taskId']}/results?wait=true&waitTimeout=50s"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while len(asyncio.all_tasks()) < before + 2:
            await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
        while len(asyncio.all_tasks()) > before or web.server.connections.total:
            await asyncio.sleep(0.01)

    with_web(settings_in(tmp_path), use)
