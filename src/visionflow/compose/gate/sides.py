"""The two sides that a gate compares: a commit of the user's repository, and the working tree.

By default base is the merge base of HEAD and the ref, so that only what this branch brings is
looked at and not what the other one got since; a ref that HEAD holds already is that by itself.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from visionflow.agents.gate.results import Base
from visionflow.agents.tools.delta import DIFF_OPTIONS, FileDiff, diff_of
from visionflow.agents.tools.text import show_path
from visionflow.agents.workspace.foreign import ForeignGit, find
from visionflow.compose.gate.disk import read_disk
from visionflow.compose.gate.state import State
from visionflow.domain.errors import WorkspaceError

_NAME = re.compile(r"(?P<name>[^~^:@\s]+|@|[^~^:\s]*[^~^:\s@{}])(?P<way>(?:~\d*|\^\d*)*)\Z")
_ID = re.compile(r"[0-9a-f]{4,64}\Z")
_NO_COMMIT = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without a file."""


class Sides(msgspec.Struct, frozen=True):
    """Both sides as trees, and how they differ."""

    base: Base
    base_tree: str
    head: str | None
    head_tree: str
    dirty: bool
    diff: tuple[FileDiff, ...]
    notes: tuple[str, ...]


def source_of(workspace: Path) -> tuple[Path, ForeignGit]:
    """The real path of a folder, and the git working tree that it is part of.

    Raises:
        WorkspaceError: it cannot be read, or belongs to none.
    """
    try:
        source = workspace.resolve(strict=True)
        with os.scandir(source):
            pass
    except (OSError, RuntimeError) as error:
        raise WorkspaceError(
            f"{workspace} cannot be used as a workspace: {error}.",
            hint="Name a folder that exists and that you may read.",
        ) from error
    told: list[str] = []
    foreign = find(source, told)
    if foreign is None:
        why = f" {' '.join(told)}" if told else ""
        raise WorkspaceError(
            f"{workspace} belongs to no git repository, so there is nothing to compare with.{why}",
            hint="Run `git init` and commit once.",
        )
    if foreign.bare:
        raise WorkspaceError(f"{workspace} is a bare repository: it has no files to look at.")
    return source, foreign


async def sides_of(
    state: State, source: Path, ref: str, direct: bool, exclude: Iterable[Path]
) -> Sides:
    """Find both sides and compare them. `direct`: with the ref itself, not with the merge base.

    Raises:
        WorkspaceError: the ref names no commit, or its files are not there.
    """
    foreign = state.foreign
    head = foreign.head()
    await state.prepare(head)
    notes: list[str] = []
    if foreign.shallow():
        notes.append("The history is shallow: it begins where it was cut off.")
    base = await _base(state, ref, head, direct, notes)
    below = b"" if source == foreign.top else os.fsencode(source.relative_to(foreign.top))
    base_root = await _root(state, base.commit, below)
    head_root = base_root if base.commit == head else await _root(state, head, below)
    disk = await read_disk(state, source, below, head_root, exclude)
    base_tree = base_root or _NO_COMMIT[state.form]
    patch = b""
    if base_tree != disk.tree:
        patch = await state.git("diff-tree", *DIFF_OPTIONS, base_tree, disk.tree)
    try:
        diff = diff_of(patch)
    except ValueError as error:
        raise WorkspaceError(f"What git says of the change cannot be read: {error}.") from error
    if below:
        number = await _elsewhere(state, base.commit, head, below, exclude)
        folder = show_path(os.fsdecode(below))
        files = "1 changed file" if number == 1 else f"{number} changed files"
        notes.append(f"Only {folder}/ was looked at; {files} elsewhere in the repository not.")
    return Sides(base, base_tree, head, disk.tree, disk.dirty, diff, (*notes, *disk.notes))


async def _elsewhere(
    state: State, base: str, head: str | None, below: bytes, exclude: Iterable[Path]
) -> int:
    """How many files differ that do not lie in the folder."""
    base_root = await _root(state, base, b"") or _NO_COMMIT[state.form]
    head_root = await _root(state, head, b"")
    disk = await read_disk(state, state.foreign.top, b"", head_root, exclude, "all.msgpack")
    if disk.tree == base_root:
        return 0
    words = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", base_root, disk.tree)
    names = (await state.git(*words)).split(b"\0")
    return sum(bool(name) and not name.startswith(below + b"/") for name in names)


async def _base(state: State, ref: str, head: str | None, direct: bool, notes: list[str]) -> Base:
    if head is None and ref in ("HEAD", "@"):
        notes.append("There is no commit yet: all of it is new.")
        return Base(ref, "", merge_base=False)
    commit = await _commit(state, ref)
    if direct or head is None or commit == head:
        return Base(ref, commit, merge_base=False)
    found = await state.git("merge-base", head, commit, statuses=(0, 1))
    parted = found.decode("ascii").partition("\n")[0]
    if not parted:
        notes.append(f"HEAD and {ref} share no commit that is there: compared with {ref} itself.")
    return Base(ref, parted or commit, merge_base=bool(parted) and parted != commit)


async def _commit(state: State, ref: str) -> str:
    """The id of the commit that the words name.

    Raises:
        WorkspaceError: they name none.
    """
    match = _NAME.match(ref)
    if match is None:
        raise _unknown(ref, "it is none of the forms that are understood")
    name, way = match["name"], match["way"]
    start = state.foreign.named(name) or (name if _ID.match(name) else None)
    if start is None:
        raise _unknown(ref, "no branch, tag or commit has this name")
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{start}{way}^{{commit}}")
    found = await state.git(*words, statuses=(0, 1, 128))
    lines = found.decode("ascii", "replace").split()
    if not lines:
        raise _unknown(ref, "its commit is not in this repository")
    return lines[-1]


def _unknown(ref: str, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"The base {ref!r} cannot be found: {why}.",
        hint="Name a branch, a tag, a commit, HEAD~1 or the like; "
        "`git fetch origin BRANCH` brings what is not there, and a shallow clone has little.",
    )


async def _root(state: State, commit: str | None, below: bytes) -> str | None:
    """The tree of the folder in a commit, `None` where it has none."""
    if not commit:
        return None
    name = f"{commit}:{os.fsdecode(below)}" if below else f"{commit}^{{tree}}"
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", name)
    found = (await state.git(*words, statuses=(0, 1, 128))).decode("ascii", "replace").split()
    if not found and not below:
        raise WorkspaceError(
            f"The files of commit {commit} are not in this repository.",
            hint="Fetch them; a partial clone lacks some.",
        )
    return found[-1] if found else None
