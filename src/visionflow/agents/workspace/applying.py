"""Brings a change out of the private repository into the user's own, because the user asked for it.

Git is not started in the user's repository here either: its configuration could name programs. The
objects are packed by our git in our repository and the pack is put beside the others; the branch is
written as git writes one, under its lock. No branch that is there is moved, none is checked out,
and nothing is merged or pushed. To the working tree files are only written where each is as the
run found it.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from visionflow.domain.errors import Refused, WorkspaceError

from .changes import Altered, altered, branch_of, contents, entries, graft, message_of, time_of
from .files import remove_tree
from .foreign import ForeignGit, find
from .git import git, quoted
from .placing import content, opened, put, put_under_lock, replace
from .repository import PrivateRepository
from .scan import shown

_NAMED_MAX = 5
_OTHER_WAY = "With --to-working-tree the files themselves are changed, where they are as they were."


class Brought(msgspec.Struct, frozen=True):
    """What was done to the user's repository."""

    branch: str | None
    """`None`: files were changed, no branch was made."""
    tip: str | None
    commits: int
    files: tuple[str, ...]
    already: bool
    """It was so before."""
    moved_on: bool = False
    """The user's HEAD is another commit than the one the branch stands on."""


async def bring_branch(
    repository: PrivateRepository, source: Path, run: str, base: str, tip: str
) -> Brought:
    """Make the branch `visionflow/RUN` in the repository that `source` belongs to.

    Raises:
        Refused: there is no such repository or no commit in it, the change stands on files that
            were not committed, or a branch of the name is there already. Nothing was changed.
        WorkspaceError: git failed, or the repository cannot be written.
    """
    foreign = _foreign(source)
    head = repository.head
    if head is None:
        raise Refused("The repository had no commit that a branch could stand on.", hint=_OTHER_WAY)
    branch = branch_of(run)
    below = b"" if foreign.bare else os.fsencode(source.relative_to(foreign.top))
    below = b"" if below == b"." else below
    commits = await _commits(repository, base, tip)
    tip = await _on_head(repository, head, base, commits, below)
    files = _names(await altered(repository.path, head, tip))
    moved = foreign.head() != head
    there = foreign.named(f"refs/heads/{branch}")
    if there is not None and there != tip:
        raise Refused(
            f"There is a branch {branch} already, and it holds something else.",
            hint="Rename or delete it first; nothing was changed.",
        )
    if there is None:
        if foreign.named("refs/heads/visionflow") is not None:
            raise Refused(
                "A branch named 'visionflow' is in the way of branches in a folder of that name.",
                hint="Rename it first; nothing was changed.",
            )
        await _carry_over(repository, foreign, head, tip)
        _write_ref(foreign, branch, tip)
    return Brought(branch, tip, len(commits), files, there is not None, moved)


async def change_files(repository: PrivateRepository, source: Path, base: str, tip: str) -> Brought:
    """Write the changed files into the folder `source`.

    Each must hold what it held when the run began, or already what it is to hold, so that a call
    that was killed can be made again. Modes are kept.

    Raises:
        Refused: a file is another one now; all such are named, and nothing was changed.
        WorkspaceError: a file cannot be written; what was done until then is as it should be.
    """
    differing = await altered(repository.path, base, tip)
    pairs = [(each.before, each.after) for each in differing]
    blobs = [entry.blob for pair in pairs for entry in pair if entry is not None]
    bodies = await contents(repository.path, blobs)
    wanted: dict[bytes, tuple[bytes, bytes]] = {}
    for each in differing:
        if each.before is None or each.after is None or not each.before.plain:
            raise WorkspaceError(f"The change of {shown(each.path)} is no change of a plain file.")
        wanted[each.path] = (bodies[each.before.blob], bodies[each.after.blob])
    commits = await _commits(repository, base, tip)
    root = os.fsencode(source)
    present = {path: content(root, path) for path in wanted}
    drifted = [path for path, body in present.items() if body not in wanted[path]]
    if drifted:
        raise Refused(
            f"{_listed(drifted)} changed since the run looked at it, so the patch was not applied.",
            hint="Nothing was changed. Run again, or bring the branch and merge it.",
        )
    to_do = {path: new for path, (_, new) in wanted.items() if present[path] != new}
    replace(root, to_do, {path: wanted[path][0] for path in to_do})
    return Brought(None, None, len(commits), _names(differing), not to_do)


def _foreign(source: Path) -> ForeignGit:
    told: list[str] = []
    foreign = find(source, told)
    if foreign is None:
        why = told[0] if told else f"{source} belongs to no git repository that can be read."
        raise Refused(why, hint=_OTHER_WAY)
    return foreign


async def _commits(repository: PrivateRepository, base: str, tip: str) -> list[str]:
    """The commits of the change, the first one first."""
    listed = await git(repository.path, "rev-list", "--reverse", f"{base}..{tip}")
    return listed.decode("ascii").split()


async def _on_head(
    repository: PrivateRepository, head: str, base: str, commits: list[str], below: bytes
) -> str:
    """The tip of the same commits on the user's own HEAD.

    Raises:
        Refused: a changed file was not committed as the run saw it.
    """
    if base == head:
        return commits[-1]
    prefix = below + b"/" if below else b""
    held = await entries(repository.path, head)
    seen = await entries(repository.path, base)
    touched = {each.path for each in await altered(repository.path, base, commits[-1])}
    loose = sorted(path for path in touched if held.get(prefix + path) != seen.get(path))
    if loose:
        raise Refused(
            f"{_listed(loose)} had changes that were not committed when the run began, so no "
            "commit of yours can carry the branch.",
            hint=_OTHER_WAY,
        )
    tip, previous = head, base
    when = await time_of(repository.path, head)
    for each in commits:
        moved = {
            prefix + one.path: one.after
            for one in await altered(repository.path, previous, each)
            if one.after is not None
        }
        message = await message_of(repository.path, each)
        tip = await graft(repository.path, tip, moved, message, when)
        previous = each
    return tip


async def _carry_over(
    repository: PrivateRepository, foreign: ForeignGit, head: str, tip: str
) -> None:
    """Put the new objects into the user's repository, and see that nothing is missing there."""
    work = repository.path.parent / f".applying-{secrets.token_hex(4)}"
    work.mkdir()
    try:
        look = await _lookout(work, foreign)
        try:
            await git(look[0], "cat-file", "-e", f"{head}^{{tree}}", extra=look[1])
        except WorkspaceError as error:
            raise Refused(
                "The commit that the run began with is no longer in the repository.",
                hint=_OTHER_WAY,
            ) from error
        given = f"{tip}\n^{head}\n".encode("ascii")
        name = await git(
            repository.path, "pack-objects", "--revs", "-q", "--delta-base-offset",
            str(work / "pack"), given=given,
        )  # fmt: skip
        _install(foreign, work, name.decode("ascii").strip())
        await git(look[0], "rev-list", "--objects", "--quiet", tip, f"^{head}", extra=look[1])
    finally:
        with suppress(WorkspaceError):
            remove_tree(work)


async def _lookout(work: Path, foreign: ForeignGit) -> tuple[Path, Mapping[str, str]]:
    """An empty repository of ours that sees the user's objects, and nothing else of theirs."""
    place = work / "lookout.git"
    form = "sha256" if len(foreign.head() or "") == 64 else "sha1"
    await git(
        place, "init", "--quiet", "--bare", "--template=", f"--object-format={form}", str(place),
        cwd=work,
    )  # fmt: skip
    shallow = foreign.shallow()
    if shallow:
        (place / "shallow").write_text(shallow, encoding="ascii")
    objects = quoted(os.fsencode(foreign.objects)).decode("utf-8", "surrogateescape")
    return place, {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}


def _install(foreign: ForeignGit, work: Path, name: str) -> None:
    """Lay the pack beside the user's, its index last: without one it is no pack to git."""
    try:
        with opened(os.fsencode(foreign.objects), b"pack", make=True) as folder:
            for ending in ("pack", "idx"):
                body = (work / f"pack-{name}.{ending}").read_bytes()
                target = f"pack-{name}.{ending}"
                with suppress(FileExistsError):
                    put(folder, target, body, 0o444)
            os.fsync(folder)
    except OSError as error:
        raise _unwritable(foreign, error) from error


def _write_ref(foreign: ForeignGit, branch: str, tip: str) -> None:
    """Write the branch as git does: a lock beside it, filled, then renamed to it."""
    *folders, name = f"refs/heads/{branch}".split("/")
    try:
        with opened(os.fsencode(foreign.common), os.fsencode("/".join(folders)), make=True) as at:
            done = put_under_lock(at, name, f"{tip}\n".encode("ascii"))
    except OSError as error:
        raise _unwritable(foreign, error) from error
    if not done:
        raise Refused(
            f"The branch {branch} is locked by another git ({name}.lock).",
            hint="Try again when that has ended.",
        )


def _unwritable(foreign: ForeignGit, error: OSError) -> WorkspaceError:
    return WorkspaceError(
        f"The repository {foreign.common} cannot be written: {error.strerror or error}.",
        hint="See that you may write there and that nothing in it is a link.",
    )


def _names(differing: tuple[Altered, ...]) -> tuple[str, ...]:
    return tuple(shown(each.path) for each in differing)


def _listed(paths: list[bytes]) -> str:
    more = f" and {len(paths) - _NAMED_MAX} more" if len(paths) > _NAMED_MAX else ""
    return ", ".join(shown(path) for path in paths[:_NAMED_MAX]) + more
