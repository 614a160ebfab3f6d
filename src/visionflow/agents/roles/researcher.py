"""The researcher: looks a goal's terms up in code, documents and history, with citations.

It reads the workspace and its history and nothing else: there is no network here, so what is not
in the repository is not found, and the result says how much of the goal was.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.roles.alone import covered
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.playbooks import asked_of_tools, choose
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.roles.studying import (
    TIMEOUT_S,
    WORKTREE,
    facts_of,
    read_or_noted,
    repository_of,
)
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.study.history import read_messages
from visionflow.agents.study.index import SOURCES, Source
from visionflow.agents.study.research import Question, look_up
from visionflow.agents.task import Task
from visionflow.agents.tools.project import Project

TASK_TYPES = ("research", "gather_requirements", "requirements_analysis")
DEPTH_MAX = 50
_SOURCES: Mapping[str, tuple[Source, ...]] = {
    "code": ("code",),
    "code_repositories": ("code", "log"),
    "docs": ("docs",),
    "documentation": ("docs",),
    "git_log": ("log",),
    "log": ("log",),
}
_ABSENT = {"web": "there is no network here", "internet": "there is no network here"}


class ResearcherSettings(RoleSettings, frozen=True, kw_only=True):
    """Settings of the researcher."""

    search_depth: int = 5
    sources: tuple[str, ...] = ("documentation", "code_repositories")
    max_concurrent_tasks: int = 1
    timeout: float = TIMEOUT_S

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "search_depth": "At most so many citations for each answer, and so many names in the code "
        "that have a term in them are followed to where they are used (1 to 50).",
        "sources": "Where citations may come from: `documentation`, `code_repositories` (code and "
        "commit messages), or `code`, `docs`, `log`. `web` is warned about: there is no network.",
        "max_concurrent_tasks": "How many tasks the agent works on at once, when it is spawned "
        "from a template.",
        "timeout": "Seconds that reading the Python files may take.",
    }

    def __post_init__(self) -> None:
        if not 1 <= self.search_depth <= DEPTH_MAX:
            raise ValueError(f"search_depth lies between 1 and {DEPTH_MAX}")
        if self.max_concurrent_tasks < 1:
            raise ValueError("max_concurrent_tasks is at least 1")
        if self.timeout <= 0:
            raise ValueError("timeout is a number of seconds above zero")


class ResearcherAgent(BaseAgent):
    """Task type `research` (also `gather_requirements` and `requirements_analysis`); its input is
    a `JobInput`, its result a map:

    `research`: a `Research`, whose `completeness` is the share of the goal's terms that have a
    citation; `completeness`: the same; `snapshot`: the commit that was read; `notes`, `warnings`.
    The goal is the input's, else the task's description. Words by which it asks for an audit,
    such as "security" and "tests", are not looked up: the tools answer them. Topics of security
    are looked up like any others, so it offers that word; faults are the reviewer's to find.
    """

    type = "researcher"
    capabilities = (
        "analysis", "code_search", "dependency_analysis", "documentation_analysis",
        "gather_requirements", "information_gathering", "requirements_analysis", "research",
        "security",
    )  # fmt: skip

    async def process_task(self, task: Task) -> Any:
        """Look up what the task asks about in the workspace that it names."""
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        read = read_settings(self, ResearcherSettings)
        settings = read.values
        sources, warned = _chosen(self, settings.sources)
        job = job_input(task, self.context.folder)
        goal = job.goal or task.description
        question = Question(goal, settings.search_depth, sources, asked_of_tools(goal))
        given = storable(job)
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, WORKTREE), Ground)
        self.progress(0.1, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        self.progress(0.2, "reading code, documents and history")
        wall_ms = int(settings.timeout * 1000)
        research = await self.step(
            "look it up", self._look_up, given, ground.worktree, project, storable(question),
            wall_ms,
        )  # fmt: skip
        self.progress(1.0, "research is done")
        return {
            "research": research,
            "completeness": research["completeness"],
            "snapshot": ground.snapshot,
            "notes": [*ground.notes, *_beyond(question.goal)],
            "warnings": [*read.warnings, *warned],
        }

    async def _look_up(
        self,
        given: dict[str, Any],
        worktree: str,
        project: dict[str, Any],
        question: dict[str, Any],
        wall_ms: int,
    ) -> Any:
        job = msgspec.convert(given, JobInput)
        read = restored(project, Project)
        facts = await facts_of(self.context.sandbox, job, worktree, read, "research", wall_ms)
        self.progress(0.5, f"{len(facts.files)} Python files are read; building the index")
        repository = await repository_of(job)
        log = read_messages(repository.path, repository.head)
        messages, notes = await read_or_noted(log, ())
        index = Path(job.scratch, "research", "index.db")
        asked = restored(question, Question)
        # In a thread: it takes seconds for a large repository.
        found = await asyncio.to_thread(look_up, read, facts, messages, worktree, index, asked)
        told = msgspec.structs.replace(found, notes=(*notes, *found.notes))
        return storable(await covered(self.context.sandbox, job, worktree, told))


def _beyond(goal: str) -> list[str]:
    """What is to be said where the goal asks for what no repository holds."""
    missing = choose(goal).missing or ""
    told = "Only this repository was read: the goal asks for more, and there is no network here."
    return [told] if missing.startswith("needs_web") else []


def _chosen(agent: BaseAgent, named: tuple[str, ...]) -> tuple[tuple[Source, ...], list[str]]:
    """The sources that are there, and a warning for each word that names none."""
    found: set[Source] = set()
    warned: list[str] = []
    for word in named:
        if word in _SOURCES:
            found.update(_SOURCES[word])
        else:
            why = _ABSENT.get(word, f"there are {', '.join(sorted(_SOURCES))}")
            warned.append(f"{agent.type}: the source {word!r} has no effect: {why}")
    return tuple(each for each in SOURCES if each in found), warned
