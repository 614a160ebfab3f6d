"""`visionflow call` of what takes long, and a server that is started again meanwhile."""

import asyncio

from fake_server import Answer, FakeServer, result

from visionflow import MCPClient
from visionflow.cli.calling import asked
from visionflow.cli.toolwords import understand
from visionflow.interfaces.tools.all import catalogue

PATIENCE_S = 120


def test_what_is_waited_for_is_asked_for_on_under_one_key_while_its_server_is_away() -> None:
    answers: list[Answer] = [None, None, None, None, result(decision="approved")]
    tool = catalogue().get("daa_consensus")
    spoken = understand(tool, ["--voteId", "vote_1", "--wait"])

    async def run() -> None:
        async with (
            FakeServer(lambda _: answers.pop(0)) as server,
            MCPClient(port=server.port, retry_attempts=2) as client,
        ):
            assert await asked(client, tool, spoken, None) == {"decision": "approved"}
            keys = {
                each["params"]["_meta"]["visionflow/idempotencyKey"] for each in server.requests
            }
            assert (len(server.requests), len(keys)) == (5, 1)

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
