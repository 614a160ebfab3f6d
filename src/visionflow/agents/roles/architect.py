"""The architect: reads the structure that is there, in imports and in history.

It designs nothing: what a system should become is a question for a model or a person.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.playbooks import choose
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.roles.studying import (
    TIMEOUT_S,
    WORKTREE,
    facts_of,
    read_or_noted,
    repository_of,
)
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.study.architecture import STYLES, Level, architecture_of
from visionflow.agents.study.history import read_history
from visionflow.agents.task import Task
from visionflow.agents.tools.project import Project
from visionflow.agents.voting import Ballot, Proposal

TASK_TYPES = ("analyse_architecture", "design_system")


class ArchitectSettings(RoleSettings, frozen=True, kw_only=True):
    """Settings of the architect."""

    architecture_style: str | None = None
    documentation_level: Level = "standard"
    timeout: float = TIMEOUT_S

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "architecture_style": "`microservices`: each import from one package into another is "
        "noted; `layered` and `modular_monolith`: packages that import each other are. Another "
        "word is warned about: imports can tell nothing of it.",
        "documentation_level": "`minimal`: figures, cycles and five hotspots; `standard`: also "
        "all modules and imports, twenty hotspots, owners of twenty folders; `comprehensive`: a "
        "hundred hotspots and owners of two hundred.",
        "timeout": "Seconds that reading the Python files may take.",
    }
    UNUSED: ClassVar[Mapping[str, str]] = {
        "design_methodology": "the tools backend analyses and designs nothing (needs_model)",
    }

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout is a number of seconds above zero")


class ArchitectAgent(BaseAgent):
    """Task type `analyse_architecture`; its input is a `JobInput`, its result a map:

    `architecture`: an `Architecture`; `scalability_score`: its score; `snapshot`: the commit that
    was read; `notes`, `warnings`. Task type `design_system` is the same where a workspace is there
    to analyse, and is refused where a design is asked for.

    `scalability_score` is (share of modules in no import cycle) x (1 - propagation cost); the
    propagation cost is the share of all pairs of different modules in which the first depends on
    the second, directly or through others. Tests and imports for type checkers only are left out.
    1 for modules that know nothing of each other; `None` where no module was read.
    """

    type = "architect"
    capabilities = (
        "analyse_architecture", "analysis", "architecture", "architecture_analysis",
        "dependency_analysis", "hotspot_analysis", "scalability", "technical_debt",
    )  # fmt: skip

    async def vote(self, proposal: Proposal) -> Ballot:
        """A ballot by what changed functions do, measured anew; see `balloting`."""
        from visionflow.agents.roles.balloting import BEHAVIOUR, vote_of

        return await vote_of(self, proposal, BEHAVIOUR)

    async def process_task(self, task: Task) -> Any:
        """Analyse the workspace that the task names."""
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        if task.type == "design_system":
            _refuse_design(task)
        read = read_settings(self, ArchitectSettings)
        style = read.values.architecture_style
        warnings = list(read.warnings)
        if style is not None and style not in STYLES:
            warnings.append(
                f"{self.type}: architecture_style {style!r} has no effect: there is a rule for "
                f"{', '.join(STYLES)}"
            )
        given = storable(job_input(task, self.context.folder))
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, WORKTREE), Ground)
        self.progress(0.1, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        self.progress(0.2, "reading imports and history")
        found = await self.step(
            "analyse", self._analyse, given, ground.worktree, project,
            read.values.documentation_level, style, int(read.values.timeout * 1000),
        )  # fmt: skip
        self.progress(1.0, "analysis is done")
        return {
            "architecture": found,
            "scalability_score": found["scalability_score"],
            "snapshot": ground.snapshot,
            "notes": list(ground.notes),
            "warnings": warnings,
        }

    async def _analyse(
        self,
        given: dict[str, Any],
        worktree: str,
        project: dict[str, Any],
        level: Level,
        style: str | None,
        wall_ms: int,
    ) -> Any:
        job = msgspec.convert(given, JobInput)
        read = restored(project, Project)
        facts = await facts_of(self.context.sandbox, job, worktree, read, "architecture", wall_ms)
        self.progress(0.6, f"{len(facts.files)} Python files are read; looking at the history")
        repository = await repository_of(job)
        past = read_history(repository.path, repository.head)
        history, notes = await read_or_noted(past, None)
        # In a thread: it takes seconds for a large repository.
        found = await asyncio.to_thread(architecture_of, read, facts, history, level, style)
        return storable(msgspec.structs.replace(found, notes=(*notes, *found.notes)))


def _refuse_design(task: Task) -> None:
    """Raise where a design is what is asked for; an analysis must not pass for one."""
    written = cast(object, task.input)
    given = cast("dict[str, object]", written) if isinstance(written, dict) else {}
    goal = given.get("goal") or task.description
    missing = choose(str(goal)).missing if goal else None
    if missing is not None or "workspace" not in given:
        raise PermanentFailure(
            "needs_model: a design is asked for, and the tools backend only analyses the "
            f"structure of a workspace that is there{'' if missing is None else ': ' + missing}",
            hint='Submit analyse_architecture with input={"workspace": "/absolute/path"}.',
        )
