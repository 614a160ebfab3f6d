"""Examines a folder anew, with the roles themselves and no orchestrator: what verification needs.

Nothing is taken from an earlier run and nothing is kept: no cache, a scratch of its own. The roles
and their settings are those of a run; being killed means doing it again.
"""

import asyncio
from pathlib import Path
from typing import Any

from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.gathering import gather
from visionflow.agents.task import Task
from visionflow.compose.local import local_agent

_STUDIES = (
    ("reviewer", "review_code"),
    ("researcher", "research"),
    ("architect", "analyse_architecture"),
)


async def examine(workspace: Path, scratch: Path, goal: str, trusted: bool = False) -> RunFacts:
    """What tester, reviewer, researcher and architect find in `workspace`, which is only read.

    `scratch`: a folder of ours outside of it, new or empty.

    Raises:
        PermanentFailure: the workspace cannot be read.
    """
    given = {
        "workspace": str(workspace.resolve()),
        "repository": str(scratch / "repository"),
        "trusted": trusted,
        "goal": goal,
    }

    async def work(role: str, kind: str) -> Any:
        own = scratch / role
        more = {
            "scratch": str(own / "scratch"),
            "junit": str(own / "junit.xml"),
            "coverage": str(own / "coverage.xml"),
        }
        async with local_agent(role, folder=own) as agent:
            return await agent.process_task(Task(id=kind, type=kind, input={**given, **more}))

    async def study() -> dict[str, Any]:
        return {kind: await work(role, kind) for role, kind in _STUDIES}

    # Side by side, as in a run: the tests wait more than they compute.
    async with asyncio.TaskGroup() as group:
        tests = group.create_task(work("tester", "run_tests"))
        found = group.create_task(study())
    gathered = gather({"run_tests": tests.result(), **found.result()})
    return gathered.facts(goal=goal, workspace=str(workspace), status="completed", trusted=trusted)
