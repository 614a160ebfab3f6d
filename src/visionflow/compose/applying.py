"""Applies a run's change: reads what became of it from the run's log, then brings it in.

Whether it may be brought in is decided by `choosing`; how, in
`visionflow.agents.workspace.applying`. Nothing is printed: that is the command line's.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.lock import acquire, owner
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.applying import Brought, bring_branch, change_files
from visionflow.agents.workspace.changes import extent, start_of
from visionflow.agents.workspace.journal import read_journal
from visionflow.agents.workspace.merging import is_ancestor
from visionflow.compose.choosing import Chosen, NotAccepted, choose, objection
from visionflow.compose.job.events import story_in
from visionflow.compose.job.folder import RunFolder
from visionflow.compose.job.outputs import facts_of
from visionflow.domain.errors import Refused, StoreInUse, UnknownId, WorkspaceError

__all__ = [
    "Applied",
    "NotAccepted",
    "apply_run",
    "applying",
    "facts_in",
    "objection",
    "repository_in",
    "standing_on",
]


class Applied(msgspec.Struct, frozen=True):
    """What was brought in, and where."""

    run: str
    workspace: str
    """The user's folder."""
    brought: Brought
    insertions: int
    deletions: int
    forced: str | None = None
    """What stood against it, where somebody insisted."""
    candidate: str | None = None
    """The task whose work it is, where several worked on the same."""
    notes: tuple[str, ...] = ()


def apply_run(
    folder: RunFolder,
    candidate: str | None = None,
    *,
    to_working_tree: bool = False,
    force: bool = False,
) -> Applied:
    """Bring the change of a run into the folder that it worked on: what a finished run takes, or a
    candidate by its name, which may be taken as soon as it is finished itself.

    Raises:
        Refused: the run is not over or made no change, or it does not fit what is there now.
        UnknownId: no candidate, or more than one, is of that name.
        NotAccepted: a gate failed, the vote went against it, or the candidate was not judged good,
            without `force`.
        StoreInUse: another call is applying this run.
        WorkspaceError: the folder cannot be read or written.
    """
    facts = facts_in(folder)
    chosen = choose(facts, candidate)
    if chosen.against is not None and not force:
        what = "The change" if chosen.candidate is None else chosen.candidate
        where = "changes.patch" if chosen.candidate is None else "report.html"
        raise NotAccepted(
            f"{what} of {facts.run} was not accepted: {chosen.against}",
            hint=f"Look at it in {where}; --force brings it in all the same.",
        )
    repository = repository_in(folder)
    with applying(folder):
        if to_working_tree:
            _see_no_other_half(folder, facts.workspace)
        return asyncio.run(_apply(repository, facts, chosen, to_working_tree))


async def _apply(
    repository: PrivateRepository, facts: RunFacts, chosen: Chosen, to_working_tree: bool
) -> Applied:
    source, tip = Path(facts.workspace), chosen.tip
    base = await standing_on(repository, chosen.base, tip)
    size = await extent(repository.path, base, tip)
    if to_working_tree:
        brought = await change_files(repository, source, base, tip)
    else:
        by_name = f"{facts.run}-{chosen.candidate}" if chosen.by_name else facts.run
        brought = await bring_branch(repository, source, by_name, base, tip)
    return Applied(
        facts.run, facts.workspace, brought, size.insertions, size.deletions, chosen.against,
        chosen.candidate, (*chosen.notes, *brought.notes),
    )  # fmt: skip


async def standing_on(repository: PrivateRepository, base: str, tip: str) -> str:
    """What a change is brought from: the workspace as it was found, where the change stands on
    that. Work that began on the work of others comes with theirs, as the user has neither."""
    start = await start_of(repository)
    return start if await is_ancestor(repository.path, start, tip) else base


def repository_in(folder: RunFolder) -> PrivateRepository:
    """The private repository of a run.

    Raises:
        Refused: it is not there.
    """
    repository = PrivateRepository.opened(folder.state / "repository")
    if repository is None:
        raise Refused(f"The repository of {folder.run} is gone from {folder.state}.")
    return repository


@contextmanager
def applying(folder: RunFolder) -> Generator[None]:
    """Be the only one that brings something out of this run.

    Raises:
        StoreInUse: another process is.
        WorkspaceError: a disk is full, or something cannot be written.
    """
    path = folder.state / "apply.lock"
    try:
        lock = acquire(path)
    except StoreInUse as error:
        who = owner(path)
        raise StoreInUse(
            f"The run {folder.run} is being applied by "
            f"{'another process' if who is None else f'process {who.pid}'}.",
            hint="Try again when that has ended.",
        ) from error
    with lock:
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"It could not be written: {error.strerror or error}.",
                hint="Make room, or see that you may write there; then the same call goes on.",
            ) from error


def _see_no_other_half(folder: RunFolder, workspace: str) -> None:
    """See that no apply of another run was killed in the same files.

    Raises:
        Refused: one was.
    """
    for place in sorted(folder.path.parent.glob("*/state/repository")):
        run = place.parent.parent
        if run == folder.path:
            continue
        journal = read_journal(place)
        if journal is not None and journal.way == "files" and journal.source == workspace:
            raise Refused(
                f"An apply of {run.name} was killed half way in {workspace}, or is under way.",
                hint="Give that command again, which finishes it; nothing was changed.",
            )


def facts_in(folder: RunFolder) -> RunFacts:
    """Everything that a run's log tells.

    Raises:
        UnknownId: there is no run here, or it has no log yet.
    """
    order = folder.read_order()
    if not folder.log_of(order)[0].is_file():
        raise UnknownId(f"Nothing is recorded of the run {folder.run} yet.")
    story = story_in(folder, order)
    return facts_of(folder, order, story, folder.status(), FileBlobs(folder.blobs_of(order)))
