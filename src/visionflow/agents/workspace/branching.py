"""Makes a branch in a stranger's repository without starting git there.

The objects are packed by our git in our repository and the pack is put beside the others; the
branch is written as git writes one, under its lock. Everything is complete under another name
before it gets its own, and a journal names what a killed call may have left.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from visionflow.domain.errors import Refused, WorkspaceError

from .files import remove_tree
from .foreign import ForeignGit, find
from .git import git, quoted
from .journal import WORK, Journal
from .placing import opened, put_under_lock, put_whole
from .repository import PrivateRepository

OTHER_WAY = "With --to-working-tree the files themselves are changed, where they are as they were."
_PACK = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


def foreign_of(source: Path) -> ForeignGit:
    """The repository that the folder belongs to.

    Raises:
        Refused: there is none that can be read.
    """
    told: list[str] = []
    foreign = find(source, told)
    if foreign is None:
        why = told[0] if told else f"{source} belongs to no git repository that can be read."
        raise Refused(why, hint=OTHER_WAY)
    return foreign


def sweep(repository: PrivateRepository, killed: Journal | None) -> None:
    """Remove what a killed call left: in our own folder all, in the user's what `killed` names.

    Nobody else may be at it: the caller sees to that.
    """
    for left in repository.path.parent.glob(f"{WORK}*"):
        with suppress(WorkspaceError, OSError):
            remove_tree(left)
    if killed is None or killed.branch is None or killed.ref is None:
        return
    foreign = find(Path(killed.source), [])
    if foreign is None:
        return
    with suppress(OSError), opened(os.fsencode(foreign.objects), b"pack") as at:
        os.unlink(_half(killed), dir_fd=at)
    *folders, name = f"refs/heads/{killed.branch}.lock".split("/")
    with (
        suppress(OSError),
        opened(os.fsencode(foreign.common), os.fsencode("/".join(folders))) as at,
    ):
        lock = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        with open(lock, "rb") as file:
            ours = f"{killed.ref}\n".encode("ascii").startswith(file.read(1_000))
        if ours:
            os.unlink(name, dir_fd=at)


def _half(journal: Journal) -> str:
    """The name of a pack that is being written; git itself clears such away in the end."""
    return f"tmp_pack_{journal.mark}"


async def make_branch(
    repository: PrivateRepository, foreign: ForeignGit, head: str, journal: Journal
) -> None:
    """Bring what the branch holds above `head`, and then the branch.

    Raises:
        Refused: `head` is not there any more, or another git holds the branch's lock.
        WorkspaceError: git failed, or the repository cannot be written.
    """
    assert journal.branch is not None and journal.ref is not None
    await _carry_over(repository, foreign, head, journal)
    _write_ref(foreign, journal.branch, journal.ref)


async def _carry_over(
    repository: PrivateRepository, foreign: ForeignGit, head: str, journal: Journal
) -> None:
    """Put the new objects into the user's repository, and see that nothing is missing there."""
    tip, work = journal.ref, repository.path.parent / f"{WORK}{journal.mark}"
    assert tip is not None
    work.mkdir()
    try:
        look = await _lookout(work, foreign)
        try:
            await git(look[0], "cat-file", "-e", f"{head}^{{tree}}", extra=look[1])
        except WorkspaceError as error:
            raise Refused(
                "The commit that the run began with is no longer in the repository.",
                hint=OTHER_WAY,
            ) from error
        given = f"{tip}\n^{head}\n".encode("ascii")
        name = await git(
            repository.path, "pack-objects", "--revs", "-q", "--delta-base-offset",
            str(work / "pack"), given=given,
        )  # fmt: skip
        _install(foreign, work, name.decode("ascii").strip(), _half(journal))
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


def _install(foreign: ForeignGit, work: Path, name: str, half: str) -> None:
    """Lay the pack beside the user's, its index last: without one it is no pack to git.

    A pack is named for its bytes, so one of the name is the same, or what a broken disk left.
    """
    if not _PACK.match(name):
        raise WorkspaceError(f"git named a pack {name!r}.")
    try:
        with opened(os.fsencode(foreign.objects), b"pack", make=True) as folder:
            for ending in ("pack", "idx"):
                body = (work / f"pack-{name}.{ending}").read_bytes()
                put_whole(folder, f"pack-{name}.{ending}", body, 0o444, half)
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
