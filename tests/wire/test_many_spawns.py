"""Spawns over connections that are cut off and made again: each is done once."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import settings_in, with_core
from tests.wire.wire_rig import Client, called, until
from visionflow.compose.serve.opening import OpenServer
from visionflow.compose.serve.ports import open_ports

CLIENTS = 16


@pytest.mark.acceptance("concurrent")
def test_a_spawn_that_is_retried_over_new_connections_makes_one_agent(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> tuple[list[str], list[str]]:
        ports = await open_ports(opened)
        host, _, port = ports.endpoints["tcp"].rpartition(":")

        async def connect() -> Client:
            return Client(*await asyncio.open_connection(host, int(port)))

        async def ask(message: Any) -> Any:
            client = await connect()
            try:
                return (await client.ask(message))["result"]
            finally:
                client.writer.close()
                await client.writer.wait_closed()

        async def spawn(number: int) -> str:
            chance = random.Random(number)
            key = f"spawn-{number}"
            message = called("agent_spawn", 1, agentType="coder", idempotencyKey=key)
            for _ in range(3):
                client = await connect()
                await client.send(json.dumps(message).encode() + b"\n")
                for _ in range(chance.randrange(20)):
                    await asyncio.sleep(0)
                client.writer.transport.abort()
            return (await ask(message))["agentId"]

        try:
            await ask(called("swarm_init", topology="hierarchical", maxAgents=CLIENTS))
            told = await asyncio.gather(*(spawn(number) for number in range(CLIENTS)))
            listed = await ask(called("agent_list"))
            await until(lambda: opened.server.connections.total == 0)
            return list(told), [each["id"] for each in listed["agents"]]
        finally:
            await ports.close()

    told, listed = with_core(settings_in(tmp_path), use)
    assert len(set(told)) == CLIENTS
    assert sorted(told) == sorted(listed)
