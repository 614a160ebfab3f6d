"""Many connections at once, half of them cut off in the middle and tried again."""

import asyncio
import gc
import json
import random

from tests.wire.wire_rig import Rig, bounded, called, connected, served, until

CONNECTIONS, CALLS = 50, 200


def test_no_crossed_reply_no_double_effect_and_nothing_left_behind() -> None:
    async def run() -> None:
        async with served() as rig:
            await _storm(rig, 2, 20)
            await until(lambda: rig.connections.total == 0)
            rig.effects.clear()
            rig.by_key.clear()
            tasks, objects = len(asyncio.all_tasks()), _objects()
            await _storm(rig, CONNECTIONS, CALLS)
            await until(lambda: rig.connections.total == 0)
            floor = rig.listening.floor if rig.listening else None
            assert floor is not None
            await until(lambda: floor.desk.running == 0 and not floor.lines)
            await until(lambda: len(asyncio.all_tasks()) == tasks)
            wanted = [f"{name}:{n}" for name in range(CONNECTIONS) for n in range(1, CALLS + 1)]
            assert sorted(rig.effects) == sorted(wanted)
            rig.effects.clear()
            rig.by_key.clear()
            rig.clients.clear()
            del wanted
            # A leak of one object a call would be ten thousand.
            assert _objects() - objects < 2_000

    bounded(run())


async def _storm(rig: Rig, connections: int, calls: int) -> None:
    await asyncio.gather(*(_client(rig, name, calls) for name in range(connections)))


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())


async def _client(rig: Rig, name: int, calls: int) -> None:
    """Calls 1 to `calls`, again from 1 for each client; every other client loses its connection
    several times and repeats what it has no answer to, under the same key."""
    chance = random.Random(name)
    left = list(range(1, calls + 1))
    for cuts_left in range(5 if name % 2 else 0, -1, -1):
        heard = chance.randrange(len(left)) if cuts_left else len(left)
        answered: set[int] = set()
        async with connected(rig) as client:
            for number in left:
                key = f"{name}-{number}"
                message = called("note", number, text=f"{name}:{number}", idempotencyKey=key)
                client.writer.write(json.dumps(message).encode() + b"\n")
            for _ in range(heard):
                reply = await client.line()
                assert reply["result"]["text"] == f"{name}:{reply['id']}"
                answered.add(reply["id"])
            if cuts_left:
                client.writer.transport.abort()
        left = [number for number in left if number not in answered]
    assert not left
