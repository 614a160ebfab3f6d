"""The analyst: figures of a repository as it is, and how the work on it went.

It counts. What the figures mean for the project is for a person to say, or for a model.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.roles.studying import (
    TIMEOUT_S,
    WORKTREE,
    facts_of,
    read_or_noted,
    repository_of,
)
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.study.metrics import metrics_of
from visionflow.agents.study.trends import COMMITS_MAX, read_trends
from visionflow.agents.task import Task
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.tree import is_test_path

TASK_TYPES = ("analyse",)


class AnalystSettings(RoleSettings, frozen=True, kw_only=True):
    """Settings of the analyst."""

    commits_max: int = COMMITS_MAX
    timeout: float = TIMEOUT_S

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "commits_max": "So many of the last commits are looked at for trends (1 to 5000).",
        "timeout": "Seconds that reading the Python files may take.",
    }

    def __post_init__(self) -> None:
        if not 1 <= self.commits_max <= COMMITS_MAX:
            raise ValueError(f"commits_max lies between 1 and {COMMITS_MAX}")
        if self.timeout <= 0:
            raise ValueError("timeout is a number of seconds above zero")


class AnalystAgent(BaseAgent):
    """Task type `analyse`; its input is a `JobInput`, its result a map:

    `metrics`: a `Metrics` (files, lines, functions, their complexity, imports, by package);
    `trends`: a `Trends` (commits, authors and churn by month, and how the last three months differ
    from the three before), `null` without a history; `snapshot`: the commit that was read;
    `notes`, `warnings`.
    """

    type = "analyst"
    capabilities = ("analyse", "analysis", "metrics", "statistics", "trends")

    async def process_task(self, task: Task) -> Any:
        """Count what is in the workspace that the task names, and in its history."""
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        read = read_settings(self, AnalystSettings)
        given = storable(job_input(task, self.context.folder))
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, WORKTREE), Ground)
        self.progress(0.1, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        self.progress(0.2, "counting")
        found = await self.step(
            "count", self._count, given, ground.worktree, project, read.values.commits_max,
            int(read.values.timeout * 1000),
        )  # fmt: skip
        self.progress(1.0, "all is counted")
        return {
            "metrics": found["metrics"],
            "trends": found["trends"],
            "snapshot": ground.snapshot,
            "notes": [*ground.notes, *found["notes"]],
            "warnings": list(read.warnings),
        }

    async def _count(
        self,
        given: dict[str, Any],
        worktree: str,
        project: dict[str, Any],
        commits_max: int,
        wall_ms: int,
    ) -> Any:
        job = msgspec.convert(given, JobInput)
        read = restored(project, Project)
        facts = await facts_of(self.context.sandbox, job, worktree, read, "metrics", wall_ms)
        self.progress(0.7, f"{len(facts.files)} Python files are read; looking at the history")
        repository = await repository_of(job)
        reading = read_trends(repository.path, repository.head, commits_max)
        trends, notes = await read_or_noted(reading, None)
        tests = {path: is_test_path(path) for path in facts.files}
        # In a thread: it takes seconds for a large repository.
        metrics = await asyncio.to_thread(metrics_of, read, facts, tests)
        if facts.ended != "completed":
            notes = (*notes, f"The figures are of the files that could be read: {facts.reason}")
        return {
            "metrics": storable(metrics),
            "trends": None if trends is None else storable(trends),
            "notes": list(notes),
        }
