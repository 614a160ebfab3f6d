"""What researcher and architect have in common: the same files, read the same way.

Both only read, so they share one worktree, named `review`.
"""

from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from visionflow.agents.base import PermanentFailure
from visionflow.agents.roles.job import JobInput
from visionflow.agents.study.facts import Facts, read_facts
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.project import Project
from visionflow.agents.workspace import PrivateRepository
from visionflow.domain.errors import WorkspaceError
from visionflow.ports.sandbox import Sandbox

T = TypeVar("T")

WORKTREE = "review"
TIMEOUT_S = 300.0


async def facts_of(
    sandbox: Sandbox, job: JobInput, worktree: str, project: Project, folder: str, wall_ms: int
) -> Facts:
    """What stands in the Python files. `folder` is the role's own part of the job's scratch."""
    request = ScanRequest(
        worktree=worktree,
        files=project.tree.python,
        skipped=project.tree.skipped,
        scratch=str(Path(job.scratch, folder)),
        wall_ms=wall_ms,
        trusted=job.trusted,
    )
    with ResultCache(job.cache) as cache:
        return await read_facts(sandbox, request, cache)


async def repository_of(job: JobInput) -> PrivateRepository:
    """The run's repository, which is there already.

    Raises:
        PermanentFailure: it cannot be read.
    """
    exclude = tuple(Path(path) for path in job.exclude)
    try:
        return await PrivateRepository.create(Path(job.repository), Path(job.workspace), exclude)
    except WorkspaceError as error:
        raise PermanentFailure(error.message, hint=error.hint) from error


async def read_or_noted(reading: Awaitable[T], nothing: T) -> tuple[T, tuple[str, ...]]:
    """What was read of the history, or `nothing` and a note on why: a history that is damaged is
    no reason to tell nothing of the files."""
    try:
        return await reading, ()
    except WorkspaceError as error:
        return nothing, (f"The history could not be read: {error.message}",)
