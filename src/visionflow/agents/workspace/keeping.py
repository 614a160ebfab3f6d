"""Work that nobody may lose: refs in the private repository that keep it, and a bundle of them.

Every piece of work of an agent is one commit, named by `refs/visionflow/kept/TASK`; what an attempt
had left before its task was started again, by `refs/visionflow/kept/TASK.ATTEMPT`. No work that one
of them named is ever without a name.
"""

import os
import re
import secrets
import shlex
from collections.abc import Iterable
from pathlib import Path

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.domain.errors import WorkspaceError

from .changes import altered, extent
from .files import remove_tree
from .git import git
from .repository import PrivateRepository

KEPT = "refs/visionflow/kept/"
_TRAILER = re.compile(r"VisionFlow-([A-Za-z]+): (.*)\Z")


class Kept(msgspec.Struct, frozen=True):
    """A piece of work with the ref that keeps it."""

    ref: str
    task: str
    attempt: int | None
    """`None`: its commit does not say."""
    commit: str
    base: str | None
    """What it stands on; `None`: nothing."""
    files: tuple[str, ...]
    insertions: int
    deletions: int
    subject: str
    when_s: int | None
    """When it was last kept, in s since the epoch; `None`: not known. (The commits themselves bear
    the time of their base, so that the same work is the same commit.)"""


class Told(msgspec.Struct, frozen=True):
    """What a commit says of itself."""

    commit: str
    parent: str | None
    subject: str
    trailers: dict[str, str]
    """Ours: those of its last paragraph that begin with `VisionFlow-`, without that."""

    def number(self, name: str) -> int | None:
        """A trailer that is a number; `None` where it is missing or none."""
        said = self.trailers.get(name, "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


class Bundled(msgspec.Struct, frozen=True):
    """A file that holds kept work, to be fetched from as from a repository."""

    file: str
    refs: tuple[str, ...]
    bytes: int
    commands: tuple[str, ...]
    """What brings each of them back as a branch, in a repository that has what they stand on."""


def name_in_ref(name: str) -> str:
    """A plan's name of a task, or a run's id, as part of a ref: dots are escaped, as git does not
    take each of them and as one of ours divides task and attempt."""
    return name.replace(".", "%2E")


def ref_of(task: str, attempt: int | None = None, number: int = 1) -> str:
    """The ref that keeps a task's work, or what one attempt had left when it was started again.

    `number`: which one of that attempt's, from 1.
    """
    ref = f"{KEPT}{name_in_ref(task)}"
    if attempt is None:
        return ref
    return f"{ref}.{attempt}" if number == 1 else f"{ref}.{attempt}-{number}"


async def keep(
    repository: PrivateRepository,
    task: str,
    commit: str,
    attempt: int | None = None,
    number: int = 1,
) -> str:
    """Name the commit by `ref_of` these, whatever that named before; returns the ref.

    Raises:
        WorkspaceError: git failed, as on a full disk.
    """
    ref = ref_of(task, attempt, number)
    await keep_ref(repository.path, ref, commit)
    return ref


async def keep_ref(repository: Path, ref: str, commit: str) -> None:
    """Make a ref of one task's name the commit."""
    # One attempt at a time has a task: a lock there is that of a git that was killed.
    (repository / f"{ref}.lock").unlink(missing_ok=True)
    await git(repository, "update-ref", ref, commit)


async def drop(repository: PrivateRepository, ref: str) -> None:
    """Forget a ref of one task's, whose commit another ref keeps.

    Raises:
        WorkspaceError: git failed.
    """
    (repository.path / f"{ref}.lock").unlink(missing_ok=True)
    await git(repository.path, "update-ref", "-d", ref)


async def kept(repository: PrivateRepository) -> tuple[Kept, ...]:
    """Everything that is kept, by ref.

    Raises:
        WorkspaceError: git failed.
    """
    listed = await git(
        repository.path, "for-each-ref", "--format=%(objectname) %(refname)", KEPT.rstrip("/")
    )
    lines = [line.split(" ", 1) for line in listed.decode("utf-8", "replace").splitlines()]
    told = await told_of(repository, (commit for commit, _ in lines))
    return tuple([await _kept(repository, ref, told[commit]) for commit, ref in lines])


async def told_of(repository: PrivateRepository, commits: Iterable[str]) -> dict[str, Told]:
    """What each of the commits says, by its id.

    Raises:
        WorkspaceError: one of them is not there.
    """
    wanted = sorted(set(commits))
    if not wanted:
        return {}
    printed = await git(
        repository.path, "log", "--no-walk=unsorted", "--stdin", "-z", "--encoding=UTF-8",
        "--no-notes", "--no-show-signature", "--no-color", "--no-decorate",
        "--format=%H%x00%P%x00%s%x00%B",
        given="".join(f"{each}\n" for each in wanted).encode("ascii"),
    )  # fmt: skip
    fields = printed.decode("utf-8", "replace").split("\0")
    found: dict[str, Told] = {}
    for commit, parents, subject, body in zip(*(fields[n::4] for n in range(4)), strict=False):
        found[commit] = Told(commit, (parents.split() or [None])[0], subject, _trailers(body))
    return found


async def bundle(
    repository: PrivateRepository, file: Path, works: Iterable[Kept], base: str | None
) -> Bundled | None:
    """Write the works into a file that git fetches from; `None` where there are none.

    `base`: a commit that whoever fetches has, such as `repository.head`; it and what it stands on
    are left out. `None`: all history is in the file. It is written whole or not at all.

    Raises:
        WorkspaceError: git failed, or the file cannot be written, as on a full disk.
    """
    refs = tuple(sorted({each.ref for each in works}))
    if not refs:
        return None
    file = Path(os.path.abspath(file))
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}.partial")
    given = "".join(f"{each}\n" for each in (*refs, *([f"^{base}"] if base else [])))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for rest in file.parent.glob(f"{file.name}.*.partial*"):
            remove_tree(rest)
        await git(
            repository.path, "bundle", "create", "--quiet", str(partial), "--stdin",
            given=given.encode("utf-8"),
        )  # fmt: skip
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(file)
        size = file.stat().st_size
    except OSError as error:
        raise WorkspaceError(
            f"The bundle {file} cannot be written: {error}.",
            hint="See that there is room on the disk and that the folder can be written.",
        ) from error
    finally:
        for rest in file.parent.glob(f"{partial.name}*"):
            rest.unlink()
    return Bundled(str(file), refs, size, tuple(recovering(str(file), ref) for ref in refs))


def recovering(source: str, ref: str) -> str:
    """The command that brings kept work as a branch into the repository that one stands in.

    `source`: a bundle, or the private repository itself.
    """
    branch = f"refs/heads/recovered/{ref.removeprefix(KEPT)}"
    return f"git fetch {shlex.quote(source)} {shlex.quote(f'{ref}:{branch}')}"


async def _kept(repository: PrivateRepository, ref: str, told: Told) -> Kept:
    differing = await altered(repository.path, told.parent, told.commit) if told.parent else ()
    size = await extent(repository.path, told.parent, told.commit) if told.parent else None
    name, _, attempt = ref.removeprefix(KEPT).partition(".")
    number = attempt.partition("-")[0]
    return Kept(
        ref,
        task=name.replace("%2E", "."),
        attempt=int(number) if number.isdecimal() else told.number("Attempt"),
        commit=told.commit,
        base=told.parent,
        files=tuple(portable_path(os.fsdecode(each.path)) for each in differing),
        insertions=size.insertions if size else 0,
        deletions=size.deletions if size else 0,
        subject=told.subject,
        when_s=_changed_s(repository.path / ref),
    )


def _changed_s(file: Path) -> int | None:
    try:
        return int(file.stat().st_mtime)
    except OSError:
        return None


def _trailers(body: str) -> dict[str, str]:
    last = body.rstrip("\n").rpartition("\n\n")[2].splitlines()
    found = [match for line in last if (match := _TRAILER.match(line))]
    return {match[1]: match[2].strip() for match in found}
