"""Calls over /mcp that only read are answered at once, as JSON: they have no progress to tell."""

from pathlib import Path
from typing import Any

import httpx2
from mcp_faces import run
from mcp_servers import core_served, prepared

MODERN = "2026-07-28"


def test_a_read_is_one_json_answer_and_what_may_tell_progress_is_not(tmp_path: Path) -> None:
    prepared(tmp_path)

    async def test() -> None:
        async with core_served(tmp_path) as (url, _), httpx2.AsyncClient() as web:

            async def call(
                tool: str, named: str | None = None, accept: str = "application/json"
            ) -> httpx2.Response:
                prefix = "io.modelcontextprotocol/"
                meta = {f"{prefix}protocolVersion": MODERN, f"{prefix}clientCapabilities": {}}
                params: dict[str, Any] = {"name": tool, "arguments": {}, "_meta": meta}
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
                headers = {
                    "Accept": accept,
                    "MCP-Protocol-Version": MODERN,
                    "Mcp-Method": "tools/call",
                    "Mcp-Name": named or tool,
                }
                return await web.post(url, json=body, headers=headers)

            both = "application/json, text/event-stream"
            made = (await call("swarm_init", accept=both)).json()["result"]["structuredContent"]
            # Whoever takes no stream is served where there is never one, and only there.
            read = await call("swarm_status")
            assert read.headers["content-type"] == "application/json"
            assert read.json()["result"]["structuredContent"]["swarmId"] == made["swarmId"]
            assert (await call("swarm_init")).status_code == 406
            assert (await call("task_results")).status_code == 406, "it may wait, and tell how far"
            assert (await call("swarm_status", accept=both)).json()["result"] == read.json()[
                "result"
            ]
            posing = await call("swarm_init", named="swarm_status", accept=both)
            assert posing.status_code == 400 and "header" in posing.json()["error"]["message"]

    run(test)
