"""The guide's Rust client by its bytes: what serde_json and tokio's LinesCodec put on the wire.

serde_json prints a map's keys in alphabetical order and without spaces; LinesCodec ends each text
with a newline and takes answers apart at newlines. The client reads one line for each that it sent,
looks for `result`, and takes `result["agentId"]` for a text.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import settings_in, with_core
from visionflow.compose.serve.opening import OpenServer
from visionflow.compose.serve.ports import open_ports

RECORDED = Path(__file__).parent / "recorded" / "rust_client.jsonl"
WAIT_S = 20


@pytest.mark.acceptance("rust-client")
def test_the_rust_clients_bytes_get_the_answers_that_it_reads(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> list[dict[str, Any]]:
        ports = await open_ports(opened)
        host, _, port = ports.endpoints["tcp"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answers: list[dict[str, Any]] = []
        try:
            for line in RECORDED.read_bytes().splitlines(keepends=True):
                # One byte order for every client: what is recorded is what serde_json prints.
                told = json.loads(line)
                assert json.dumps(told, sort_keys=True, separators=(",", ":")) == line.decode()[:-1]
                writer.write(line)
                answers.append(json.loads(await asyncio.wait_for(reader.readline(), WAIT_S)))
        finally:
            writer.close()
            await writer.wait_closed()
            await ports.close()
        assert await reader.read() == b""
        return answers

    hello, spawned, orchestrated = with_core(settings_in(tmp_path), use)
    assert [each["id"] for each in (hello, spawned, orchestrated)] == [1, 2, 3]
    assert hello["result"]["protocolVersion"] == "2024-11-05"
    assert isinstance(spawned["result"]["agentId"], str)
    assert spawned["result"]["swarmId"] == "swarm_1757880683494_yl81sece5"
    assert orchestrated["result"]["taskId"].startswith("task_")
