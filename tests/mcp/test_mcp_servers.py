"""The official client, and assistants by hand, against the whole server."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil
import pytest
from mcp.client import Client
from mcp.client.stdio import stdio_client
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_faces import run
from mcp_servers import GOAL, Lines, core_served, parameters, prepared, settings_of, waiting

from visionflow.adapters.os_processes import identity, is_alive
from visionflow.compose.serve.opening import open_server
from visionflow.compose.serve.ports import open_ports
from visionflow.domain.access import Role
from visionflow.interfaces.access.tokens import Tokens

MODERN = "2026-07-28"
EXTENSION = "io.modelcontextprotocol/tasks"


async def has_a_goal_carried_out(client: Client) -> None:
    notes: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        notes.append(message)

    made = await client.call_tool("swarm_init", {"maxAgents": 3})
    swarm = made.structured_content["swarmId"]
    given = {"task": GOAL, "wait": True, "waitTimeout": 20}
    done = await client.call_tool("task_orchestrate", given, progress_callback=hear)
    told = done.structured_content
    assert told["status"] == "completed" and told["swarmId"] == swarm
    assert told["result"]["goal"] == GOAL
    assert any("phase" in (note or "") for note in notes), notes

    small = await client.call_tool("swarm_init", {"maxAgents": 1})
    here = {"type": "coder", "swarmId": small.structured_content["swarmId"]}
    assert not (await client.call_tool("agent_spawn", here)).is_error
    refused = await client.call_tool("agent_spawn", here)
    assert refused.is_error and "limit_reached" in refused.content[0].text

    uris = [each.uri for each in (await client.list_resources()).resources]
    report = f"visionflow://run/{told['runId']}/report.md"
    assert f"visionflow://swarm/{swarm}" in uris and report in uris
    contents = (await client.read_resource(report)).contents[0]
    assert contents.mime_type == "text/markdown" and GOAL in contents.text
    state = await client.read_resource(f"visionflow://swarm/{swarm}")
    assert json.loads(state.contents[0].text)["metrics"]["tasksCompleted"] > 0
    page = f"visionflow://swarm/{swarm}/events?since=0&limit=2"
    events = json.loads((await client.read_resource(page)).contents[0].text)
    assert len(events["events"]) == 2
    prompts = [each.name for each in (await client.list_prompts()).prompts]
    assert "audit" in prompts and "fix_safely" in prompts


def test_the_official_client_has_a_goal_carried_out_over_http_in_both_eras(tmp_path: Path) -> None:
    prepared(tmp_path)

    async def test() -> None:
        async with core_served(tmp_path) as (url, _):
            for era in (MODERN, "legacy"):
                async with Client(url, mode=era) as client:
                    await has_a_goal_carried_out(client)

    run(test)


@pytest.mark.parametrize("era", [MODERN, "legacy"])
def test_the_official_client_has_a_goal_carried_out_over_stdio(era: str, tmp_path: Path) -> None:
    prepared(tmp_path)

    async def test() -> None:
        async with Client(stdio_client(parameters(tmp_path)), mode=era) as client:
            await has_a_goal_carried_out(client)

    run(test)


@pytest.mark.parametrize("era", [MODERN, "legacy"])
def test_a_wait_that_is_taken_back_stops_the_worker(era: str, tmp_path: Path) -> None:
    prepared(tmp_path)

    async def test() -> None:
        async with core_served(tmp_path) as (url, opened), Client(url, mode=era) as client:
            await client.call_tool("agent_spawn", {"type": "waiter", "wait": True})
            async with anyio.create_task_group() as group:
                group.start_soon(
                    client.call_tool, "task_orchestrate", {**waiting(tmp_path), "wait": True}
                )
                while not (tmp_path / "go.here").exists():
                    await asyncio.sleep(0.01)
                group.cancel_scope.cancel()
            (swarm,) = opened.server.swarms.all()
            (task,) = swarm.state.tasks
            while swarm.state.tasks[task].status != "cancelled":
                await asyncio.sleep(0.01)
            while any(agent.open for agent in swarm.state.agents.values()):
                await asyncio.sleep(0.01)

    run(test)


def test_whoever_listens_is_told_what_has_changed_and_nothing_else(tmp_path: Path) -> None:
    prepared(tmp_path)

    async def listen(client: Client, address: str, other: str) -> None:
        async with client.listen(
            resources_list_changed=True, resource_subscriptions=[address]
        ) as heard:
            for swarm in (other, address.rpartition("/")[2]):
                given = {"type": "teller", "swarmId": swarm}
                assert not (await client.call_tool("agent_spawn", given)).is_error
            assert await anext(heard) == ResourceUpdated(uri=address)
            await client.call_tool("swarm_init", {})
            while isinstance(event := await anext(heard), ResourceUpdated):
                assert event.uri == address
            assert event == ResourcesListChanged()

    def watched(hooks: list[Any]) -> bool:
        return any(hook.__qualname__.startswith("Watching.") for hook in hooks)

    async def test() -> None:
        async with core_served(tmp_path) as (url, opened):
            async with Client(url, mode=MODERN) as client:
                made = [await client.call_tool("swarm_init", {}) for _ in range(2)]
                first, other = (each.structured_content["swarmId"] for each in made)
                control = opened.server.swarms.get(first).node.control
                assert not watched(control.on_commit)
                await listen(client, f"visionflow://swarm/{first}", other)
            while watched(control.on_commit):
                await asyncio.sleep(0.01)

    run(test)


@pytest.mark.parametrize("era", [MODERN, "legacy"])
def test_a_server_that_ends_takes_no_wait_back(era: str, tmp_path: Path) -> None:
    prepared(tmp_path)

    async def wait(url: str) -> None:
        with contextlib.suppress(Exception):
            async with Client(url, mode=era) as client:
                await client.call_tool("agent_spawn", {"type": "waiter"})
                await client.call_tool("task_orchestrate", {**waiting(tmp_path), "wait": True})

    async def test() -> None:
        opened = await open_server(settings_of(tmp_path))
        ports = await open_ports(opened)
        waits = asyncio.ensure_future(wait(f"http://{ports.endpoints['tcp']}/mcp"))
        while not (tmp_path / "go.here").exists():
            await asyncio.sleep(0.01)
        await ports.close()
        (swarm,) = opened.server.swarms.all()
        (task,) = swarm.state.tasks.values()
        assert task.status == "running" and task.cancelling is None
        await opened.close(kill=True)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)

    run(test)


def asking(url: str, web: httpx2.AsyncClient) -> Any:
    """Requests of 2026-07-28 by hand, of a client that can do with tasks."""

    async def ask(method: str, name: str, /, **params: Any) -> dict[str, Any]:
        prefix = "io.modelcontextprotocol/"
        meta = {
            f"{prefix}protocolVersion": MODERN,
            f"{prefix}clientInfo": {"name": "by hand", "version": "1"},
            f"{prefix}clientCapabilities": {"extensions": {EXTENSION: {}}},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": method,
            "Mcp-Name": name,
        }
        answer = (await web.post(url, json=body, headers=headers)).json()
        return answer.get("result") or answer["error"]

    return ask


def test_a_long_call_is_a_task_that_outlives_the_server(tmp_path: Path) -> None:
    prepared(tmp_path)

    async def begin() -> str:
        async with core_served(tmp_path, kill=True) as (url, _), httpx2.AsyncClient() as web:
            ask = asking(url, web)
            await ask("tools/call", "x", name="agent_spawn", arguments={"type": "waiter"})
            given = {**waiting(tmp_path), "wait": True}
            made = await ask(
                "tools/call", "task_orchestrate", name="task_orchestrate", arguments=given
            )
            assert made["resultType"] == "task" and made["status"] == "working"
            assert made["ttlMs"] is None and "result" not in made
            while not (tmp_path / "go.here").exists():
                await asyncio.sleep(0.01)
            found = await ask("tasks/get", made["taskId"], taskId=made["taskId"])
            assert found["status"] == "working" and "running" in found["statusMessage"]
            plain = await ask("tools/call", "server_info", name="server_info", arguments={})
            assert plain["resultType"] == "complete"
            return made["taskId"]

    async def end(task: str) -> None:
        async with core_served(tmp_path) as (url, _), httpx2.AsyncClient() as web:
            ask = asking(url, web)
            assert (await ask("tasks/get", task, taskId=task))["status"] == "working"
            (tmp_path / "go").touch()
            while (found := await ask("tasks/get", task, taskId=task))["status"] == "working":
                await asyncio.sleep(0.02)
            assert found["status"] == "completed"
            assert found["result"]["structuredContent"]["result"] == "waited"

            given = {**waiting(tmp_path, "never"), "wait": True}
            other = await ask(
                "tools/call", "task_orchestrate", name="task_orchestrate", arguments=given
            )
            while not (tmp_path / "never.here").exists():
                await asyncio.sleep(0.01)
            task = other["taskId"]
            assert (await ask("tasks/cancel", task, taskId=task))["resultType"] == "complete"
            while (found := await ask("tasks/get", task, taskId=task))["status"] == "working":
                await asyncio.sleep(0.02)
            assert found["status"] == "cancelled" and "result" not in found
            unknown = await ask("tasks/get", "task_1_none", taskId="task_1_none")
            assert unknown["code"] == -32602

    task = run(begin)
    run(lambda: end(task))


@pytest.fixture
def assistants(tmp_path: Path) -> Iterator[list[Lines]]:
    """Assistants that are ended whatever happens."""
    begun: list[Lines] = []
    yield begun
    for each in begun:
        each.end()


def children_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_it_says_nothing_but_messages_and_ends_with_its_workers(
    how: str, tmp_path: Path, assistants: list[Lines]
) -> None:
    prepared(tmp_path)
    assistant = Lines(tmp_path)
    assistants.append(assistant)
    assistant.call(1, "agent_spawn", type="teller", wait=True)
    assert assistant.result(1)["status"] == "ready"
    workers = children_of(assistant.process)
    assert workers
    if how == "SIGTERM":
        assistant.process.send_signal(signal.SIGTERM)
    assistant.hang_up()
    assert assistant.process.wait(30) == 0
    assert assistant.rest() == b""
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert "recovered" in (tmp_path / "assistant.log").read_text(), "lines go to standard error"


def test_a_second_assistant_joins_the_first_and_takes_over_when_it_is_killed(
    tmp_path: Path, assistants: list[Lines]
) -> None:
    prepared(tmp_path)
    first, second = Lines(tmp_path), Lines(tmp_path)
    assistants += [first, second]
    first.call(1, "agent_spawn", type="waiter", wait=True)
    agent = first.result(1)["agentId"]
    second.call(1, "agent_list")
    [worker] = [each["pid"] for each in second.result(1)["agents"] if each["id"] == agent]
    assert worker in {each.pid for each in children_of(first.process)}, "the first does the work"
    assert not children_of(second.process)
    process = identity(worker)
    assert process is not None

    second.call(2, "task_orchestrate", **waiting(tmp_path), wait=True)
    until = time.monotonic() + 30
    while not (tmp_path / "go.here").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(first.process.pid, signal.SIGKILL)
    (tmp_path / "go").touch()

    done = second.result(2)
    assert done["status"] == "completed" and done["result"] == "waited"
    second.call(3, "task_list")
    assert [each["taskId"] for each in second.result(3)["tasks"]] == [done["taskId"]]
    second.call(4, "agent_list")
    agents = [(each["id"], each["pid"]) for each in second.result(4)["agents"]]
    assert agents == [(agent, worker)], "now the second does it, with the worker of the first"
    second.hang_up()
    assert second.process.wait(30) == 0
    assert not is_alive(process)


def test_a_server_that_runs_is_used_and_its_restart_is_waited_for(
    tmp_path: Path, assistants: list[Lines]
) -> None:
    prepared(tmp_path)
    command = [sys.executable, "-P", "-m", "visionflow.cli", "serve", "--json"]
    places = ["--port", "0", "--web-port", "0", "--agents", str(tmp_path / "agents.yaml")]
    with (tmp_path / "serve.log").open("ab") as log:
        front = subprocess.Popen(
            [*command, *places],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "VISIONFLOW_HOME": str(tmp_path / "home")},
            cwd=tmp_path / "workspace",
        )
    try:
        assert front.stdout is not None
        told = json.loads(front.stdout.readline())
        assistant = Lines(tmp_path)
        assistants.append(assistant)
        assistant.call(1, "agent_spawn", type="teller", wait=True)
        agent = assistant.result(1)["agentId"]
        os.kill(told["pid"], signal.SIGKILL)
        assistant.call(2, "agent_list")
        assert [each["id"] for each in assistant.result(2)["agents"]] == [agent]
        assert not children_of(assistant.process)
        assert front.poll() is None
        assistant.hang_up()
        assert assistant.process.wait(30) == 0
    finally:
        front.terminate()
        front.wait(30)
        front.stdout.close()


def test_who_may_not_cancel_a_task_is_told_so_and_it_goes_on(tmp_path: Path) -> None:
    prepared(tmp_path)

    async def test() -> None:
        async with core_served(tmp_path, kill=True) as (url, opened), httpx2.AsyncClient() as web:
            ask = asking(url, web)
            await ask("tools/call", "x", name="agent_spawn", arguments={"type": "waiter"})
            given = {**waiting(tmp_path), "wait": True}
            made = await ask(
                "tools/call", "task_orchestrate", name="task_orchestrate", arguments=given
            )
            task = made["taskId"]
            _, token = Tokens(opened.server.settings.home).create("reader", Role.VIEWER)
            async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as other:
                ask_too = asking(url, other)
                assert (await ask_too("tasks/get", task, taskId=task))["status"] == "working"
                refused = await ask_too("tasks/cancel", task, taskId=task)
            assert refused["data"]["code"] == "forbidden" and "operator" in refused["message"]
            assert (await ask("tasks/get", task, taskId=task))["status"] == "working"
            await opened.server.fleet.quiet()
            (row,) = [r for r in await opened.server.fleet.audit() if r.code == "forbidden"]
            assert (row.by, row.tool) == ("token:reader", "task_cancel")

    run(test)
