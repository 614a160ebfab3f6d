"""Working copies for coding agents: files of a commit with a small git of the agent's own.

A copy's git holds no history: it borrows the objects of the run's private repository, which its
agent may read and not write. It is no worktree of that repository, for then its agent would have
to write there. Nor are files linked between copies, though that would be faster: agents write files
in place, and so into every other copy.

A copy is built under another name and renamed when whole. From then on our git is never started in
it again, for its agent may have written settings that name programs.
"""

import asyncio
import os
import re
import secrets
import shlex
from pathlib import Path

import msgspec

from visionflow.domain.errors import WorkspaceError

from .fence import Copy, Start, place_of_start, start_in
from .files import remove_tree
from .gathering import Gathered, gather_aside
from .git import git, quoted
from .keeping import name_in_ref
from .repository import PrivateRepository

__all__ = ["Copy", "make_copy", "start_again"]

_BUILDING, _GONE = ".building-", ".gone-"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\Z")
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding -crlf\n"
"""Files are what they are in the workspace, whatever a `.gitattributes` in it asks for. Merging is
left to it: the agent may."""
_CONFIG = """[user]
\tname = VisionFlow
\temail = visionflow@localhost
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""


async def make_copy(
    repository: PrivateRepository, folder: Path, *, run: str, task: str, base: str
) -> Copy:
    """A copy of the commit `base` in `folder`, on a branch of its own; one that was finished there
    before is left as it is.

    Beside the folder stands how it began; a folder without that is put aside under another name.
    Killed at any point, this is simply called again.

    Raises:
        WorkspaceError: the run or task cannot name a branch, `base` is no commit, the folder holds
            another copy, git failed, or the disk is full. Nothing then looks finished.
    """
    for name in (run, task):
        if not _PLAIN.match(name):
            raise WorkspaceError(f"{name!r} cannot be part of a branch's name.")
    folder = Path(os.path.abspath(folder))
    found = await git(
        repository.path, "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}"
    )
    branch = f"visionflow/{name_in_ref(run)}/{name_in_ref(task)}"
    # Where git cannot have both names, the agent's own branch is the one that is needed.
    user = None if f"{branch}/".startswith(f"{repository.branch}/") else repository.branch
    copy = Copy(str(folder), run, task, found.decode("ascii").strip(), branch, user)
    there = start_in(folder)
    if there is not None and folder.is_dir():
        if there.copy != copy:
            raise WorkspaceError(
                f"{folder} holds a copy of {there.copy.base} for the task {there.copy.task} "
                f"already, and {copy.base} for {task} was asked for.",
                hint="Use another folder.",
            )
        return copy
    try:
        await _make(repository, copy)
    except OSError as error:
        raise WorkspaceError(
            f"The working copy {folder} cannot be made: {error}.",
            hint="See that there is room on the disk and that the folder can be written.",
        ) from error
    return copy


async def start_again(
    repository: PrivateRepository, copy: Copy, *, attempt: int, goal: str
) -> Gathered:
    """Bring the copy back to how it began, once all that is in it is kept by a ref of `attempt`.

    Killed in the middle it is called again, or `make_copy` is: what was kept stays kept.

    Raises:
        WorkspaceError: what is there cannot be kept, and so was left; or the copy cannot be made.
    """
    folder = Path(copy.folder)
    if not folder.is_dir():
        kept = Gathered(attempt=attempt)
    else:
        kept = await gather_aside(repository, copy, attempt=attempt, goal=goal)
        os.rename(folder, folder.with_name(f"{_GONE}{secrets.token_hex(4)}"))
    await make_copy(repository, folder, run=copy.run, task=copy.task, base=copy.base)
    return kept


async def _make(repository: PrivateRepository, copy: Copy) -> None:
    folder = Path(copy.folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for pattern in (f"{_BUILDING}*", f"{_GONE}*"):
        for rest in folder.parent.glob(pattern):
            await asyncio.to_thread(remove_tree, rest)
    if os.path.lexists(folder):
        # How it began is not known, so what it holds of an agent's work is not either.
        os.rename(folder, folder.with_name(f"{folder.name}.unknown-{secrets.token_hex(4)}"))
    building = folder.with_name(f"{_BUILDING}{secrets.token_hex(4)}")
    try:
        start = await _built(repository, copy, building)
        _write_whole(place_of_start(folder), msgspec.json.encode(start))
        building.rename(folder)
    except BaseException:
        await asyncio.to_thread(remove_tree, building)
        raise


async def _built(repository: PrivateRepository, copy: Copy, building: Path) -> Start:
    inner = building / ".git"
    building.mkdir()
    form = "sha256" if len(copy.base) == 64 else "sha1"
    await git(
        inner, "init", "--quiet", "--template=", f"--object-format={form}",
        "--initial-branch=main", cwd=building,
    )  # fmt: skip
    for name in ("info", "hooks"):
        (inner / name).mkdir(exist_ok=True)
    private = repository.path
    alternates = quoted(os.fsencode(private / "objects")) + b"\n"
    (inner / "objects" / "info" / "alternates").write_bytes(alternates)
    (inner / "info" / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
    for name in ("info/exclude", "shallow"):
        if (private / name).exists():
            (inner / name).write_bytes((private / name).read_bytes())
    with (inner / "config").open("a", encoding="ascii") as config:
        config.write(_CONFIG)
    hook = inner / "hooks" / "commit-msg"
    hook.write_text(_hook(copy), encoding="utf-8")
    hook.chmod(0o755)
    refs = await _refs(repository, copy)
    lines = "".join(f"{target} {name}\n" for name, target in sorted(refs.items()))
    (inner / "packed-refs").write_text(lines, encoding="utf-8")
    (inner / "HEAD").write_text(f"ref: refs/heads/{copy.branch}\n", encoding="utf-8")
    await git(
        inner, "read-tree", "--reset", "-u", copy.base,
        extra={"GIT_WORK_TREE": str(building)}, cwd=building,
    )  # fmt: skip
    return Start(copy, refs, os.fsdecode(alternates))


async def _refs(repository: PrivateRepository, copy: Copy) -> dict[str, str]:
    """The user's branches and tags where they are, the one that is checked out at `base`."""
    listed = await git(
        repository.path, "for-each-ref", "--format=%(objectname) %(refname)",
        "refs/heads", "refs/tags",
    )  # fmt: skip
    refs: dict[str, str] = {}
    for line in listed.splitlines():
        target, _, name = line.partition(b" ")
        ours = name.startswith(b"refs/heads/visionflow/") or name == b"refs/heads/visionflow"
        if name.isascii() and not ours:
            refs[name.decode("ascii")] = target.decode("ascii")
    if copy.user_branch is not None:
        refs[f"refs/heads/{copy.user_branch}"] = copy.base
    refs[f"refs/heads/{copy.branch}"] = copy.base
    return refs


def _hook(copy: Copy) -> str:
    """Says of each commit which task it is of; a commit never fails for its sake."""
    trailers = " ".join(
        f"--trailer {shlex.quote(f'VisionFlow-{name}: {value}')}"
        for name, value in (("Run", copy.run), ("Task", copy.task))
    )
    return (
        f'#!/bin/sh\ngit interpret-trailers --in-place --if-exists doNothing {trailers} "$1"\n'
        "exit 0\n"
    )


def _write_whole(place: Path, body: bytes) -> None:
    partial = place.with_name(f"{place.name}.partial")
    with partial.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(place)
