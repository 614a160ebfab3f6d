"""Lines over TCP: what each request gets, in which order, and nothing else."""

import asyncio
import json

from tests.wire.wire_rig import bounded, called, connected, served, served_unix, until


def test_a_result_stands_flat_with_content_and_structured_content_beside_it() -> None:
    async def run() -> None:
        async with served() as rig, connected(rig) as client:
            reply = await client.call("echo", 7, text='a "b" \n é')
            assert list(reply) == ["jsonrpc", "id", "result"]
            assert (reply["jsonrpc"], reply["id"]) == ("2.0", 7)
            plain = {"text": 'a "b" \n é', "number": 9}
            content = reply["result"].pop("content")
            assert reply["result"].pop("structuredContent") == plain == reply["result"]
            assert [json.loads(each["text"]) for each in content] == [plain]
            assert content[0]["type"] == "text"
            empty = await client.call("nothing", 8)
            assert set(empty["result"]) == {"content", "structuredContent"}

    bounded(run())
