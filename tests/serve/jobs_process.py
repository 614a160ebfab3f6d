"""A server in a process of its own that takes on a goal and says so; for tests that kill it."""

import asyncio
import json
import sys
from pathlib import Path

from desks import Desk
from served import settings_in

from visionflow.compose.serve.opening import open_server


async def main(folder: Path, goal: str, key: str) -> None:
    opened = await open_server(settings_in(folder))
    try:
        desk = Desk(opened)
        found = await desk.call("task_orchestrate", task=goal, idempotencyKey=key, swarmId="s1")
        print(json.dumps(found), flush=True)
        await asyncio.sleep(60)
    finally:
        await opened.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
