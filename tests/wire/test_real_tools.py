"""The real tools in this dialect: names that would collide, and a call through every speaker."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import settings_in, with_core
from tests.wire.test_posting import answer, request
from tests.wire.wire_rig import Client, called
from visionflow.compose.serve.opening import OpenServer
from visionflow.compose.serve.ports import open_ports
from visionflow.interfaces.mcp.wording import tool_entry
from visionflow.interfaces.tools.all import all_tools
from visionflow.interfaces.wire.cutting import LINE_BYTES_MAX, TRUNCATED
from visionflow.interfaces.wire.dialect import CONTENT, STRUCTURED, encoded


def test_no_tools_result_has_a_field_that_the_dialect_adds(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        registry = all_tools(opened.server)
        assert registry.tools
        for tool in registry.tools.values():
            fields = tool.output_schema["properties"]
            assert not {CONTENT, STRUCTURED, TRUNCATED, "_meta"} & fields.keys(), tool.name
        listed = encoded([tool_entry(each) for each in registry.tools.values()])
        assert len(listed) < LINE_BYTES_MAX - 1_000

    with_core(settings_in(tmp_path), use)


@pytest.mark.acceptance("wire-shape", "wire-tcp", "wire-http")
def test_one_port_answers_lines_and_http_and_the_socket_the_same(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> list[dict[str, Any]]:
        ports = await open_ports(opened)
        host, _, port = ports.endpoints["tcp"].rpartition(":")
        message = called("swarm_status")
        results: list[dict[str, Any]] = []
        try:
            line = Client(*await asyncio.open_connection(host, int(port)))
            made = await line.call("swarm_init", topology="mesh", maxAgents=3)
            assert made["result"]["topology"] == "mesh"
            results.append((await line.ask(message))["result"])
            unix = Client(*await asyncio.open_unix_connection(ports.endpoints["socket"]))
            results.append((await unix.ask(message))["result"])
            http = Client(*await asyncio.open_connection(host, int(port)))
            await http.send(request(json.dumps(message).encode()))
            results.append(json.loads((await answer(http))[2])["result"])
            for each in (line, unix, http):
                each.writer.close()
                await each.writer.wait_closed()
        finally:
            await ports.close()
        return results

    first, *others = with_core(settings_in(tmp_path), use)
    assert first["swarmId"].startswith("swarm_")
    assert json.loads(first["content"][0]["text"]) == first["structuredContent"]
    assert others == [first, first]
