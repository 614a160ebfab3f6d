"""The ground that a role works on: a worktree of its own on the run's private repository.

Two roles may prepare theirs at once, in two processes, so that is done under a lock; both see the
snapshot that the first of them took. The user's folder is only read.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.base import PermanentFailure
from visionflow.agents.roles.job import JobInput, storable
from visionflow.agents.tools.project import look
from visionflow.agents.workspace import PrivateRepository
from visionflow.domain.errors import WorkspaceError

POLL_S = 0.05


class Ground(msgspec.Struct, frozen=True):
    """A prepared worktree, and what is known of where it came from."""

    worktree: str
    snapshot: str
    """The commit that holds the files as they were found."""
    head: str | None
    dirty: bool
    files: int
    notes: tuple[str, ...]


async def prepare(job: dict[str, Any], name: str) -> Any:
    """Make the worktree `name`, and the repository under it where it is not there yet.

    Raises:
        PermanentFailure: the workspace cannot be read.
    """
    given = msgspec.convert(job, JobInput)
    folder = Path(given.repository)
    async with _alone(folder):
        repository = await _opened(given)
        worktree = await repository.worktree(name)
        if given.commit is not None:
            await repository.restore(worktree, given.commit or repository.snapshot)
    return storable(
        Ground(
            str(worktree),
            given.commit or repository.snapshot,
            repository.head,
            repository.dirty,
            repository.files,
            repository.notes,
        )
    )


def look_at(worktree: str) -> Any:
    """The worktree read as a Python project."""
    return storable(look(worktree))


async def put_back(job: dict[str, Any], worktree: str, commit: str | None = None) -> None:
    """Make a worktree hold the snapshot again, or another commit: foreign code has run in it."""
    given = msgspec.convert(job, JobInput)
    async with _alone(Path(given.repository)):
        repository = await _opened(given)
        await repository.restore(Path(worktree), commit or given.commit or repository.snapshot)


async def repository_of(job: dict[str, Any]) -> PrivateRepository:
    """The run's private repository, made where it is not there yet."""
    given = msgspec.convert(job, JobInput)
    async with _alone(Path(given.repository)):
        return await _opened(given)


async def _opened(given: JobInput) -> PrivateRepository:
    exclude = tuple(Path(path) for path in given.exclude)
    try:
        folder, source = Path(given.repository), Path(given.workspace)
        return await PrivateRepository.create(folder, source, exclude)
    except WorkspaceError as error:
        raise PermanentFailure(error.message, hint=error.hint) from error


@asynccontextmanager
async def _alone(folder: Path) -> AsyncGenerator[None, None]:
    """Hold the folder's lock. The kernel lets go of it when this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)
