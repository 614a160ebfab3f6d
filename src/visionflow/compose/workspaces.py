"""What agents left in the folders of runs: which work is kept, how it is got back, what may go.

Kept work is named by refs in a run's private repository; nothing here removes one. Working copies,
homes and scratch of runs that are over can be made again or are of no use, and go when asked.
"""

import asyncio
import os
import secrets
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from visionflow.adapters.lock import acquire
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.applying import Brought, bring_branch
from visionflow.agents.workspace.changes import branch_of, start_of
from visionflow.agents.workspace.copies import lay_out
from visionflow.agents.workspace.fence import start_in
from visionflow.agents.workspace.files import remove_tree
from visionflow.agents.workspace.foreign import find
from visionflow.agents.workspace.gathering import gather
from visionflow.agents.workspace.git import git
from visionflow.agents.workspace.keeping import KEPT, Kept, bundle, kept, ref_of, told_of
from visionflow.agents.workspace.pieces import outward_links
from visionflow.agents.workspace.scan import shown
from visionflow.compose.applying import applying, repository_in, standing_on
from visionflow.compose.job.folder import FINISHED, RunFolder
from visionflow.compose.job.listing import find_run, list_runs
from visionflow.domain.errors import Refused, StoreInUse, UnknownId, WorkspaceError

_LEFT = "What its agent had left when the run's copies were removed"


class Work(msgspec.Struct, frozen=True):
    """A piece of kept work."""

    name: str
    """What `restore` calls it: the task, and for what an attempt had left its number."""
    kept: Kept
    in_result: bool | None
    """Whether the run's result holds it; `None`: there is no result yet."""


class Workspace(msgspec.Struct, frozen=True):
    """What a run has on the disk."""

    run: str
    status: str
    started: str
    goal: str
    out: str
    """Its folder."""
    source: str
    """The user's folder that it worked on."""
    works: tuple[Work, ...]
    bytes: int
    """What its folder takes, as the disk counts."""
    removable_bytes: int
    """What of it `prune` would remove."""


class Restored(msgspec.Struct, frozen=True):
    """Kept work that was brought back."""

    run: str
    workspace: Workspace
    work: Work
    brought: Brought | None
    """The branch; `None`: the files were written into a folder."""
    folder: str | None
    outward: tuple[str, ...] = ()
    """Links among the files that lead out of that folder."""


class Pruned(msgspec.Struct, frozen=True):
    """What was removed of a run."""

    run: str
    freed_bytes: int
    bundle: str | None
    """The file with all kept work; `None`: there is none."""
    notes: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    """What was not removed though it should be, with why."""


def workspaces_in(out: Path) -> tuple[Workspace, ...]:
    """Every run below `out` in which agents left something, the newest first.

    Raises:
        WorkspaceError: the folder, or a repository in it, cannot be read.
    """
    folders = [RunFolder(info.out) for info in list_runs(out)]
    found = [workspace_of(folder) for folder in folders if _is_one(folder)]
    return tuple(each for each in found if each.works or each.removable_bytes)


def _is_one(folder: RunFolder) -> bool:
    return folder.is_whole and (
        folder.coding.is_dir() or bool(PrivateRepository.opened(folder.state / "repository"))
    )


def workspace_of(folder: RunFolder) -> Workspace:
    """What a run has on the disk.

    Raises:
        UnknownId: there is no run here.
        WorkspaceError: its repository cannot be read.
    """
    info, order = folder.info(), folder.read_order()
    repository = PrivateRepository.opened(folder.state / "repository")
    works = () if repository is None else asyncio.run(_works(repository, folder.run, info.status))
    removable = sum(map(_size, _removable(folder)))
    return Workspace(
        info.run, info.status, info.started, info.goal, info.out, order.workspace, works,
        _size(folder.path), removable,
    )  # fmt: skip


async def _works(repository: PrivateRepository, run: str, status: str) -> tuple[Work, ...]:
    held = await _in_result(repository, run)
    if held is None and status in FINISHED:
        held = frozenset[str]()
    return tuple(
        Work(_name_of(each), each, None if held is None else each.commit in held)
        for each in await kept(repository)
    )


async def _in_result(repository: PrivateRepository, run: str) -> frozenset[str] | None:
    """The commits whose work the run's result holds, themselves or as it was merged."""
    found = await git(
        repository.path, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch_of(run)}"
    )
    tip = found.decode("ascii").strip()
    if not tip:
        return None
    start = await start_of(repository)
    listed = (await git(repository.path, "rev-list", f"{start}..{tip}")).decode("ascii").split()
    told = await told_of(repository, listed)
    merged = (each.trailers.get("Commit", "") for each in told.values())
    return frozenset([*listed, *filter(None, merged)])


def _name_of(work: Kept) -> str:
    return work.ref.removeprefix(KEPT).replace("%2E", ".")


def work_named(workspace: Workspace, asked: str) -> Work:
    """The kept work that is meant: its name, how that begins, or the number of a candidate.

    Raises:
        UnknownId: none is, or more than one.
    """
    works = {each.name: each for each in workspace.works}
    found = [name for name in (asked, f"candidate-{asked}") if name in works][:1]
    found = found or [name for name in works if asked and name.startswith(asked)]
    if len(found) == 1:
        return works[found[0]]
    what = "More than one piece of kept work begins with" if found else "No kept work is called"
    raise UnknownId(
        f"{what} {asked!r} in the run {workspace.run}.",
        hint=f"Kept there: {', '.join(works) or 'nothing'}.",
    )


def restore(out: Path, run: str, task: str, to: Path | None) -> Restored:
    """Bring kept work back: as the branch `visionflow/RUN-TASK` of the user's repository, or with
    `to` as a new folder that holds all files as the agent left them.

    Raises:
        UnknownId: no such run or work.
        Refused: the branch cannot be made, or the folder is there already. Nothing was changed.
        WorkspaceError: something cannot be read or written.
    """
    folder = find_run(out, run)
    workspace = workspace_of(folder)
    work = work_named(workspace, task)
    repository = repository_in(folder)
    with applying(folder):
        if to is not None:
            outward = asyncio.run(_write_out(repository, work, to))
            return Restored(folder.run, workspace, work, None, os.path.abspath(to), outward)
        brought = asyncio.run(_as_branch(repository, workspace, work))
    return Restored(folder.run, workspace, work, brought, None, brought.outward)


async def _as_branch(repository: PrivateRepository, workspace: Workspace, work: Work) -> Brought:
    base = await standing_on(repository, _base_of(work), work.kept.commit)
    name = f"{workspace.run}-{work.name}"
    return await bring_branch(repository, Path(workspace.source), name, base, work.kept.commit)


def _base_of(work: Work) -> str:
    if work.kept.base is None:
        raise Refused(f"{work.name} stands on no commit.", hint="Use --to FOLDER.")
    return work.kept.base


async def _write_out(repository: PrivateRepository, work: Work, to: Path) -> tuple[str, ...]:
    place = Path(os.path.abspath(to))
    if os.path.lexists(place):
        raise Refused(f"{place} is there already.", hint="Name a folder that is not.")
    if any(part.lower() == ".git" for part in place.parts):
        raise Refused(f"{place} lies in a repository's own folder.", hint="Name another one.")
    outward = await outward_links(repository.path, _base_of(work), work.kept.commit)
    half = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    try:
        half.mkdir(parents=True)
        await lay_out(repository.path, work.kept.commit, half)
        half.rename(place)
    except OSError as error:
        raise WorkspaceError(
            f"{place} cannot be written: {error.strerror or error}.",
            hint="Name a folder that can be made.",
        ) from error
    finally:
        with suppress(WorkspaceError):
            remove_tree(half)
    return tuple(shown(each) for each in outward)


def prunable(out: Path, run: str | None) -> tuple[tuple[Workspace, ...], tuple[str, ...]]:
    """The runs that have something to remove, and why others are left, one sentence each.

    Raises:
        UnknownId: there is no such run.
        Refused: this one run is not over.
    """
    if run is not None:
        found = (workspace_of(find_run(out, run)),)
        if found[0].status not in FINISHED:
            raise Refused(_not_over(found[0]), hint="Only runs that are over are pruned.")
    else:
        found = workspaces_in(out)
    left = tuple(_not_over(each) for each in found if each.status not in FINISHED)
    return tuple(each for each in found if each.status in FINISHED and each.removable_bytes), left


def _not_over(workspace: Workspace) -> str:
    return f"The run {workspace.run} is {workspace.status}; its copies are left."


def prune(workspace: Workspace) -> Pruned:
    """Remove working copies, homes and scratch of a run that is over.

    Work that no ref keeps yet is kept first; then all kept work is written into `kept.bundle` in
    the run's folder. Refs, logs and reports stay.

    Raises:
        Refused: the run is not over.
        StoreInUse: somebody works on it.
        WorkspaceError: kept work cannot be written down; nothing was removed.
    """
    folder = RunFolder(workspace.out)
    with _nobody_else(folder), applying(folder):
        if folder.status() not in FINISHED:
            raise Refused(_not_over(workspace_of(folder)))
        before, notes = _size(folder.path), list[str]()
        file, spared = asyncio.run(_secured(folder, notes))
        for place in _removable(folder):
            if place in spared:
                continue
            try:
                remove_tree(place)
            except (WorkspaceError, OSError) as error:
                spared[place] = f"{place} was not removed: {error}"
        freed = max(0, before - _size(folder.path))
        return Pruned(folder.run, freed, file, tuple(notes), tuple(spared.values()))


async def _secured(folder: RunFolder, notes: list[str]) -> tuple[str | None, dict[Path, str]]:
    """Keep what is not kept; the bundle of all, and the copies of which that could not be done."""
    spared: dict[Path, str] = {}
    repository = PrivateRepository.opened(folder.state / "repository")
    if repository is None:
        return None, spared
    refs = {each.ref for each in await kept(repository)}
    for tree in _copies(folder):
        start = start_in(tree)
        if start is None or ref_of(start.copy.task) in refs:
            continue
        try:
            made = await gather(repository, start.copy, attempt=1, goal=_LEFT)
        except WorkspaceError as error:
            spared[tree] = f"{tree} was left, for its work could not be kept: {error.message}"
        else:
            if made.ref is not None:
                notes.append(f"The work of {start.copy.task} was not kept yet; now it is.")
    made_of = await bundle(
        repository, folder.path / "kept.bundle", await kept(repository), repository.head
    )
    return (None if made_of is None else made_of.file), spared


def _copies(folder: RunFolder) -> list[Path]:
    return [each for each in sorted(folder.coding.glob("*/tree")) if each.is_dir()]


def _removable(folder: RunFolder) -> list[Path]:
    """Folders that hold nothing but copies, homes and scratch. Plain files (outputs) stay."""
    inner = [
        place
        for place in sorted(folder.coding.glob("*/*"))
        if place.is_dir() and not place.is_symlink()
    ]
    outer = [folder.state / "scratch", folder.state / "repository" / "worktrees"]
    return inner + [place for place in outer if place.is_dir()]


@contextmanager
def _nobody_else(folder: RunFolder) -> Generator[None]:
    """Hold what a front of the run would hold, so that none begins meanwhile."""
    try:
        lock = acquire(folder.state / "front.lock")
    except StoreInUse as error:
        raise StoreInUse(
            f"The run {folder.run} is being worked on.", hint="Prune it when it is over."
        ) from error
    with lock:
        yield


def _size(place: Path) -> int:
    """Bytes on the disk of a folder and all below; a file with two names in it counts once."""
    seen: set[tuple[int, int]] = set()
    return sum(_blocks(each, seen) for each in _below(place))


def _below(place: Path) -> Iterable[str]:
    yield str(place)
    for folder, folders, names in os.walk(place):
        yield from (os.path.join(folder, name) for name in (*folders, *names))


def _blocks(path: str, seen: set[tuple[int, int]]) -> int:
    try:
        about = os.lstat(path)
    except OSError:
        return 0
    if not stat.S_ISDIR(about.st_mode) and about.st_nlink > 1:
        if (about.st_dev, about.st_ino) in seen:
            return 0
        seen.add((about.st_dev, about.st_ino))
    return about.st_blocks * 512


def has_repository(workspace: Workspace) -> bool:
    """Whether the user's folder belongs to a repository that a branch can be made in."""
    return find(Path(workspace.source), []) is not None
