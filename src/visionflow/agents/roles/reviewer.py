"""The reviewer: ruff and bandit over a copy of the workspace, and the verdict over a whole run.

Both tools run confined and with our configuration. It changes nothing and proposes no changes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.findings import ToolRun
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.tester import timeout_ms, unknown_type
from visionflow.agents.task import Task
from visionflow.agents.tools.bandit import run_bandit
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.ruff import run_ruff
from visionflow.agents.tools.scan import WALL_MS, ScanRequest
from visionflow.agents.tools.summary import findings_of, gates_of, verdict

TASK_TYPES = ("review_code", "judge")


class ReviewerAgent(BaseAgent):
    """Task type `review_code`: its input is a `JobInput`, its result a map with `tools` (a
    `ToolRun` each), `snapshot` and `notes`. Task type `judge`: from the results of the tasks
    before it, a map with `gates`, `findings` (by severity, `None` where no tool ran) and
    `verdict`.

    The setting `timeout` (seconds) bounds each tool; 300 where it is left out.
    """

    type = "reviewer"
    capabilities = (
        "best_practices", "code_review", "judge", "quality_assessment", "review", "review_code",
        "security_review", "static_analysis",
    )  # fmt: skip

    async def process_task(self, task: Task) -> Any:
        """Review the workspace that the task names, or judge the results of others."""
        if task.type == "review_code":
            return await self._review(task)
        if task.type == "judge":
            return await self.step("judge", judge, task.dependencies)
        raise unknown_type(self, task, TASK_TYPES)

    async def _review(self, task: Task) -> Any:
        given = storable(job_input(task, self.context.folder))
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, "review"), Ground)
        self.progress(0.2, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        wall_ms = timeout_ms(self, WALL_MS)
        tools: list[Any] = []
        for number, (tool, scan) in enumerate(
            (("ruff", self._scan_ruff), ("bandit", self._scan_bandit))
        ):
            self.progress(0.3 + 0.35 * number, f"{tool} is reading")
            tools.append(
                await self.step(f"scan {tool}", scan, given, ground.worktree, project, wall_ms)
            )
        self.progress(1.0, "review is done")
        return {"tools": tools, "snapshot": ground.snapshot, "notes": list(ground.notes)}

    async def _scan_ruff(
        self, given: dict[str, Any], worktree: str, project: dict[str, Any], wall_ms: int
    ) -> Any:
        read = restored(project, Project)
        request = _request(given, worktree, read, wall_ms)
        return storable(await run_ruff(self.context.sandbox, request, read.python_minor_min))

    async def _scan_bandit(
        self, given: dict[str, Any], worktree: str, project: dict[str, Any], wall_ms: int
    ) -> Any:
        request = _request(given, worktree, restored(project, Project), wall_ms)
        return storable(await run_bandit(self.context.sandbox, request))


def _request(given: dict[str, Any], worktree: str, project: Project, wall_ms: int) -> ScanRequest:
    job = msgspec.convert(given, JobInput)
    return ScanRequest(
        worktree=worktree,
        files=project.tree.python,
        skipped=project.tree.skipped,
        scratch=str(Path(job.scratch, "review")),
        wall_ms=wall_ms,
        trusted=job.trusted,
    )


def judge(results: dict[str, Any]) -> Any:
    """Gates, findings and verdict from the results of the tasks before, by task."""
    tests, tools = suite_in(results.values()), tools_in(results.values())
    gates = gates_of(tests, tools)
    return {
        "gates": gates,
        "findings": known_findings(tools),
        "verdict": verdict(gates),
    }


def suite_in(results: Any) -> TestRun | None:
    """The first test run among results; `None` when no tester reported one."""
    for result in results:
        found = _part(result, "tests")
        if found is not None:
            return restored(found, TestRun)
    return None


def tools_in(results: Any) -> tuple[ToolRun, ...]:
    """All tool runs among results, by the tool's name."""
    runs: list[ToolRun] = []
    for result in results:
        runs += restored(_part(result, "tools") or [], list[ToolRun])
    return tuple(sorted(runs, key=lambda run: run.tool))


def known_findings(tools: Sequence[ToolRun]) -> dict[str, int] | None:
    """Findings by severity; where no tool ran nothing is known, which is not 0."""
    ran = any(run.ended != "not_run" for run in tools)
    return findings_of(tools) if ran else None


def _part(result: object, key: str) -> Any:
    return cast("dict[str, Any]", result).get(key) if isinstance(result, dict) else None
