"""At the real ports: another user of the machine, an agent's process, a revoked token's line."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from webbed import Web, settings_in, with_web

from visionflow.domain import commands as c
from visionflow.domain.access import Role
from visionflow.domain.agents import AgentStatus
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TaskSpec
from visionflow.interfaces.access.tokens import Tokens
from visionflow.runtime.intake import pack, unpack

HERE = Path(__file__).parent
DIAL = """
import encodings.idna, json, os, socket, sys
{first}
def line(text):
    with socket.create_connection(("127.0.0.1", {tcp}), 20) as s:
        s.sendall(text.encode() + b"\\n")
        return json.loads(s.makefile().readline())
def http(port, head, body):
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        head += "\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\nConnection: close"
        s.sendall(("%s\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (head, len(body), body)).encode())
        return int(s.makefile("rb").read().split(b" ", 2)[1])
call = {call!r}
print(json.dumps({{
    "line": line(call),
    "post": http({tcp}, "POST / HTTP/1.1", call),
    "mcp": http({tcp}, "POST /mcp HTTP/1.1", call),
    "rest": http({web}, "GET /api/swarms HTTP/1.1", ""),
    "health": http({web}, "GET /health HTTP/1.1", ""),
}}))
"""
AS_NOBODY = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"


def dialling(web: Web, first: str = "", token: str | None = None) -> str:
    """A program that tries every face of the server and prints what it is told."""
    params: dict[str, Any] = {"name": "swarm_list", "arguments": {}}
    if token is not None:
        params["_meta"] = {"visionflow/token": token}
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    return DIAL.format(first=first, tcp=web.main[1], web=web.web[1], call=call)


async def said_by(code: str) -> Any:
    """What a program prints that is started beside the server."""
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


async def said_by_agent(web: Web, code: str, *, bare: bool = False) -> Any:
    """What the program prints when an agent in its worker starts it."""
    name = f"swarm_{len(web.server.swarms.all())}"
    swarm_spec = SwarmSpec(id=name, limits=Limits())
    swarm = await web.server.swarms.create(swarm_spec, "tests")
    made = swarm.node.intake.agent("dialler", f"{HERE / 'web_agents.py'}:Dialler")
    await swarm.ask(made)
    while swarm.state.agents[made.spec.id].status is not AgentStatus.READY:
        await asyncio.sleep(0.01)
    blobs, over = swarm.node.intake.blobs, asyncio.get_running_loop().create_future()
    given = pack({"code": code, "bare": bare}, "the input", blobs)
    spec = TaskSpec(id=swarm.node.intake.new_id("task"), type="task", input=given)

    def hear(ended: Any, error: BaseException | None = None) -> None:
        if not over.done():
            over.set_result((ended, error))

    swarm.node.completions.wait(spec.id, hear)
    await swarm.ask(c.SubmitTask(now_ms=swarm.now_ms, spec=spec))
    ended, error = await asyncio.wait_for(over, 60)
    assert error is None
    said = unpack(ended.result, blobs)
    assert said.startswith("{"), said
    return json.loads(said)


@pytest.mark.acceptance("auth")
def test_a_program_of_our_own_user_is_served_without_a_token(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        said = await said_by(dialling(web))
        assert said["line"]["result"]["swarms"] == []
        assert (said["post"], said["rest"], said["health"]) == (200, 200, 200)

    with_web(settings_in(tmp_path), use)


@pytest.mark.acceptance("auth")
@pytest.mark.skipif(os.geteuid() != 0, reason="is a plain user already, and can become no other")
def test_another_user_of_the_machine_is_refused_on_every_face(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    _, text = Tokens(settings.home).create("guest", Role.VIEWER)

    async def use(web: Web) -> None:
        said = await said_by(dialling(web, AS_NOBODY))
        assert said["line"]["error"]["data"]["code"] == "unauthenticated"
        assert "another user" in said["line"]["error"]["message"]
        assert (said["post"], said["mcp"], said["rest"]) == (401, 401, 401)
        assert said["health"] == 200
        with_token = await said_by(dialling(web, AS_NOBODY, text))
        assert with_token["line"]["result"]["swarms"] == []
        rows = await web.server.fleet.audit(by="uid:65534@127.0.0.1")
        assert {row.face for row in rows} == {"tcp", "http", "mcp", "rest"}
        assert {row.code for row in rows} == {"unauthenticated"}

    with_web(settings, use)


@pytest.mark.acceptance("auth")
@pytest.mark.parametrize("bare", [False, True])
def test_an_agents_process_is_refused_on_every_face(tmp_path: Path, bare: bool) -> None:
    """Also one that was given an environment of its own."""
    settings = settings_in(tmp_path)

    async def use(web: Web) -> None:
        said = await said_by_agent(web, dialling(web), bare=bare)
        assert said["line"]["error"]["data"]["code"] == "unauthenticated"
        assert "agent" in said["line"]["error"]["message"]
        assert (said["post"], said["mcp"], said["rest"]) == (401, 401, 401)
        rows = await web.server.fleet.audit()
        refused = [row for row in rows if row.by.startswith("agent-process:")]
        assert {row.face for row in refused} == {"tcp", "http", "mcp", "rest"}

    with_web(settings, use)


@pytest.mark.acceptance("auth")
def test_an_agents_process_may_show_an_agents_token_and_no_other(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    tokens = Tokens(settings.home)
    _, agent = tokens.create("helper", Role.AGENT)
    _, admin = tokens.create("boss", Role.ADMIN)

    async def use(web: Web) -> None:
        said = await said_by_agent(web, dialling(web, token=agent))
        assert said["line"]["result"]["swarms"]
        # The same token in other hands is what it says.
        assert "result" in (await said_by(dialling(web, token=admin)))["line"]

    async def use_admin(web: Web) -> None:
        said = await said_by_agent(web, dialling(web, token=admin))
        assert said["line"]["error"]["data"]["code"] == "forbidden"

    with_web(settings, use)
    with_web(settings, use_admin)


@pytest.mark.acceptance("auth")
def test_a_line_that_was_authenticated_hears_nothing_more_once_its_token_is_revoked(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)
    tokens = Tokens(settings.home)
    _, text = tokens.create("reader", Role.VIEWER)

    async def use(web: Web) -> None:
        reader, writer = await asyncio.open_connection(*web.main)

        async def call(method: str, params: dict[str, Any]) -> Any:
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            writer.write(json.dumps(message).encode() + b"\n")
            return json.loads(await asyncio.wait_for(reader.readline(), 30))

        listing = {"name": "swarm_list", "arguments": {}}
        making = {"name": "swarm_init", "arguments": {"topology": "mesh"}}
        assert "error" not in await call("authenticate", {"token": text})
        assert (await call("tools/call", listing))["result"]["swarms"] == []
        refused = (await call("tools/call", making))["error"]
        assert refused["data"]["code"] == "forbidden"
        assert "operator, admin" in refused["message"]
        tokens.revoke("reader")
        gone = (await call("tools/call", listing))["error"]
        assert gone["data"]["code"] == "unauthenticated"
        writer.close()
        await writer.wait_closed()

    with_web(settings, use)


@pytest.mark.acceptance("auth")
def test_where_mcp_wants_a_token_its_client_is_told_so(tmp_path: Path) -> None:
    async def use(web: Web) -> None:
        refused = await web("POST", "/mcp", {}, main=True, authorization="Bearer no")
        assert refused.status == 401
        told = refused.headers["www-authenticate"]
        address = told.split('resource_metadata="')[1].split('"')[0]
        path = "/" + address.split("/", 3)[3]
        metadata = await web("GET", path, main=True)
        assert metadata.json["resource"].endswith("/mcp")
        assert metadata.json["bearer_methods_supported"] == ["header"]
        at_root = await web("GET", "/.well-known/oauth-protected-resource", main=True)
        assert at_root.json["resource"] == metadata.json["resource"]

    with_web(settings_in(tmp_path), use)
