"""A server that ends says so; it does not say that there is nothing of what it has let go of."""

import asyncio
from pathlib import Path

import pytest
from served import new_swarm, settings_in, submit, with_core
from tool_client import Client

from visionflow.compose.serve.opening import OpenServer
from visionflow.interfaces.tools.all import all_tools
from visionflow.runtime.node import Stopped


@pytest.mark.acceptance("durable")
def test_a_server_that_has_let_go_of_its_swarms_denies_neither_tasks_nor_swarms(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        task = await submit(swarm, "nobody")
        client = Client(all_tools(opened.server))
        assert (await client.call("task_status", taskId=task))["status"] == "queued"
        waiting = asyncio.ensure_future(
            client.call("task_results", taskId=task, wait=True, waitTimeout=60)
        )
        await asyncio.sleep(0)
        await opened.end_workers(kill=True)
        with pytest.raises(Stopped, match="The server ends"):
            await waiting
        for tool, given in (
            ("task_status", {"taskId": task}),
            ("task_results", {"taskId": task}),
            ("swarm_status", {"swarmId": swarm.id}),
            ("task_list", {}),
            ("swarm_list", {}),
        ):
            with pytest.raises(Stopped, match="The server ends"):
                await client.call(tool, **given)

    with_core(settings_in(tmp_path), use)
