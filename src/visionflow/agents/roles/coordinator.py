"""The coordinator: looks at the workspace first, and makes one ranked conclusion of what others
found.

Which playbook a goal asks for and how a plan is split stands in `playbooks`, because it is decided
before anything runs. What is concluded is `agents.report`'s one projection of the facts.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.evidence import Part, Survey
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.gathering import gather
from visionflow.agents.roles.alone import find_secrets
from visionflow.agents.roles.deciding import decide
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.integrating import integrate_work
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.task import Task
from visionflow.agents.tools.project import Project

TASK_TYPES = ("survey", "merge", "integrate", "rank")


class CoordinatorSettings(RoleSettings, frozen=True, kw_only=True):
    """Settings of the coordinator. They hold for the run that it coordinates."""

    max_workers: int = 10
    supervision_interval: int = 5_000
    strategy: Literal[
        "adaptive", "balanced", "centralized", "distributed", "parallel", "sequential",
        "specialized",
    ] = "adaptive"  # fmt: skip
    escalation_threshold: float = 0.7

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "max_workers": "At most so many worker processes for the run, and never more than there "
        "are processors or agents.",
        "supervision_interval": "Milliseconds between two looks at a run under way: parts whose "
        "agent will not come back are given up, and the report is written anew.",
        "strategy": "`sequential` runs the tasks of a phase one after the other; with every other "
        "word of the guide they run side by side.",
        "escalation_threshold": "When a smaller share of the plan's tasks completed, the report "
        "says that a person has to look at the run, and why.",
    }

    def __post_init__(self) -> None:
        if self.max_workers < 1 or self.supervision_interval < 1:
            raise ValueError("max_workers and supervision_interval are at least 1")
        if not 0 <= self.escalation_threshold <= 1:
            raise ValueError("escalation_threshold lies between 0 and 1")


class CoordinatorAgent(BaseAgent):
    """Task type `survey`: its input is a `JobInput`, its result a map with `survey` (a `Survey`),
    `snapshot`, `head`, `dirty`, `notes` and `warnings`. Task type `merge`: from the results of the
    tasks before it, a map with `gates`, `findings` (by severity), `verdict` and `ranked` (the
    fingerprints of all issues, the most important first). Task type `integrate`: the merge queue
    over what coding agents did, a map with `integrated` (an `Integrated`). Task type `rank`: from
    what coding agents did and how that was judged, a map with `ranking` (a `Ranking`) and `change`
    (the winner's, a `Change`).
    """

    type = "coordinator"
    capabilities = ("coordination", "merge", "planning", "survey", "task_decomposition")

    async def process_task(self, task: Task) -> Any:
        """Survey the workspace that the task names, or merge the results of others."""
        if task.type == "survey":
            return await self._survey(task)
        if task.type == "merge":
            given = storable(job_input(task, self.context.folder))
            return await self.step("merge", merge, given, task.dependencies)
        if task.type == "integrate":
            return await integrate_work(self, task)
        if task.type == "rank":
            given = storable(job_input(task, self.context.folder))
            return await self.step("rank", decide, given, task.dependencies)
        raise unknown_type(self, task, TASK_TYPES)

    async def _survey(self, task: Task) -> Any:
        warnings = read_settings(self, CoordinatorSettings).warnings
        job = job_input(task, self.context.folder)
        given = storable(job)
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, "review"), Ground)
        self.progress(0.6, "looking at the project")
        project = restored(
            await self.step("look at the project", look_at, ground.worktree), Project
        )
        found, unread = (), ()
        if job.veil:
            self.progress(0.7, "looking for secrets that nobody may quote")
            run = restored(
                await self.step("look for secrets", self._secrets, given, ground.worktree), ToolRun
            )
            found = (*run.findings, *(each.finding for each in run.suppressed))
            unread = () if run.ended == "completed" else (_unveiled(run),)
        self.progress(1.0, "the survey is done")
        told = survey(project, job.parts, job.reviewed)
        return {
            "survey": storable(msgspec.structs.replace(told, secrets=found)),
            "snapshot": ground.snapshot,
            "head": ground.head,
            "dirty": ground.dirty,
            "notes": [*ground.notes, *unread],
            "warnings": list(warnings),
        }

    async def _secrets(self, given: dict[str, Any], worktree: str) -> Any:
        job = msgspec.convert(given, JobInput)
        return storable(await find_secrets(self.context.sandbox, job, worktree))


def _unveiled(run: ToolRun) -> str:
    why = run.reason or "it did not complete"
    return f"Secrets were not looked for ({why}): what is quoted is masked by its form alone."


def survey(
    project: Project, parts: tuple[Part, ...], reviewed: tuple[Part, ...] | None = None
) -> Survey:
    """What there is, against how the plan split it and what of that it reviews."""
    planned = {folder for part in parts for folder in part.folders}
    whole = not planned
    return Survey(
        project.tree.files,
        len(project.tree.python),
        parts,
        () if whole else tuple(each for each in project.packages if each not in planned),
        ()
        if reviewed is None
        else tuple(
            path for path in project.tree.python if not any(part.holds(path) for part in reviewed)
        ),
    )


def merge(given: dict[str, Any], results: dict[str, Any]) -> Any:
    """Gates, findings, verdict and ranking from the results of the tasks before, by task."""
    from visionflow.agents.report.view import view_of

    job = msgspec.convert(given, JobInput)
    view = view_of(gather(results).facts(run=job.run, goal=job.goal, gates=job.gates))
    return {
        "gates": view.gates,
        "findings": view.findings,
        "verdict": view.verdict,
        "ranked": [list(issue.fingerprints) for issue in view.issues],
    }
