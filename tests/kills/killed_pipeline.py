"""A program with a pipeline, for a test that kills it with -9 and starts it again.

    killed_pipeline.py FOLDER

Killed in a stage the first time; in a transform, between a stage's completion and its judgement,
the second time. Whichever life comes to the end prints the result and the report.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.api.staged_agents import Counter, Waiter
from visionflow import PipelineCoordinator

NAME = "mine"


async def live(folder: Path) -> None:
    def transform(found: dict[str, Any]) -> dict[str, Any]:
        mark = folder / "transformed"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"n": found["n"] * 10}

    pipeline = PipelineCoordinator(
        [
            {"stage": "first", "agent_type": "counter", "task_type": "count"},
            {
                "stage": "slow",
                "agent_type": "waiter",
                "task_type": "count",
                "config": {"folder": str(folder)},
                "transform": transform,
                "validation": {"quality": 0.5},
            },
            {"stage": "last", "agent_type": "counter", "task_type": "count"},
        ],
        agents={"counter": Counter, "waiter": Waiter},
        folder=folder / "store",
    )
    result = await pipeline.execute_pipeline({"n": 0}, resume=NAME)
    told = {"result": result, "report": pipeline.report}
    print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
