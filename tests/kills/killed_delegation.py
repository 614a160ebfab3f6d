"""A program in the middle of a delegation, for a test that kills it with -9 and starts it again.

    killed_delegation.py FOLDER

Its first life builds a hierarchy and delegates a task; a later one only waits for what comes of it,
and prints that.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from tests.api.hierarchy_agents import Adder, Boss, Head
from visionflow import AgentOrchestrator, HierarchicalCoordinator, Limits, Task
from visionflow.agents.led import Reviewed

WHOLE = "whole"
WORKER = {"type": "adder", "config": {}}
PROJECT = {
    "teams": [{"name": "sums", "lead_type": "head", "config": {}, "workers": [WORKER, WORKER]}]
}


async def live(folder: Path) -> None:
    orchestrator = AgentOrchestrator(folder / "store", limits=Limits(workers_max=2))
    try:
        fleet = await orchestrator.fleet()
        if await fleet.agents():
            result = await (await fleet.handle(WHOLE))
        else:
            classes = {"coordinator": Boss, "head": Head, "adder": Adder}
            coordinator = HierarchicalCoordinator(orchestrator, agents=classes)
            await coordinator.build_hierarchy(PROJECT)
            task = Task(
                id=WHOLE,
                type="add",
                input=[1, 2, 3, 4],
                config={"folder": str(folder)},
                required_capabilities=["adding"],
            )
            result = msgspec.to_builtins(await coordinator.delegate_task(task))
        print(msgspec.json.encode(msgspec.convert(result, Reviewed)).decode(), flush=True)
    finally:
        await orchestrator.aclose()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
