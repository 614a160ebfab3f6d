"""Commits on a run's private repository: the files as an agent changed them, its branch, its patch.

A commit is made from its parent and the contents of the changed files, never from whatever a
folder holds. The same parent, contents and message give the same id whoever makes it and how often,
so a step that was killed is simply done again. What the contents should be is not decided here.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from visionflow.domain.errors import WorkspaceError

from .git import git, quoted
from .repository import PrivateRepository

_WHO = b"VisionFlow <visionflow@localhost>"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\Z")
_PLAIN_FILE = ("100644", "100755")
_LINK, _SUBMODULE = "120000", "160000"
_MESSAGE_BYTES_MAX = 10_000
PATCH_OPTIONS = (
    "-r", "-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color",
    "--no-renames", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """A file as a tree holds it."""

    mode: str
    blob: str

    @property
    def plain(self) -> bool:
        """Whether it is a regular file, no link and no submodule."""
        return self.mode in _PLAIN_FILE

    @property
    def link(self) -> bool:
        """Whether it is a symbolic link; its blob holds where it leads."""
        return self.mode == _LINK

    @property
    def submodule(self) -> bool:
        """Whether it names a commit of another repository."""
        return self.mode == _SUBMODULE

    @property
    def executable(self) -> bool:
        """Whether it is a file that may be executed."""
        return self.mode == "100755"


class Altered(msgspec.Struct, frozen=True):
    """A file in which two trees differ; `None` where one of them does not have it."""

    path: bytes
    before: Entry | None
    after: Entry | None


class Extent(msgspec.Struct, frozen=True):
    """How large a change is. A binary file counts no lines."""

    insertions: int
    deletions: int


def branch_of(run: str) -> str:
    """The branch of a run's change, without `refs/heads/`; of one task's of it for `RUN-TASK`.

    Git has no branch `visionflow/RUN/TASK` beside a branch `visionflow/RUN`.

    Raises:
        WorkspaceError: it cannot be part of a branch's name.
    """
    if not _NAME.match(run) or run.endswith(".lock"):
        raise WorkspaceError(f"{run!r} cannot name a branch.")
    return f"visionflow/{run}"


async def start_of(repository: PrivateRepository) -> str:
    """The commit that changes stand on: the source's HEAD where the snapshot holds the very same
    files, so that the commits fit the user's own history; else the snapshot."""
    head, snapshot = repository.head, repository.snapshot
    if head is not None and head != snapshot:
        trees = await git(repository.path, "rev-parse", f"{head}^{{tree}}", f"{snapshot}^{{tree}}")
        if len(set(trees.split())) == 1:
            return head
    return snapshot


async def entries(repository: Path, tree: str) -> dict[bytes, Entry]:
    """Every file of the tree, by its path."""
    found: dict[bytes, Entry] = {}
    listed = await git(repository, "ls-tree", "-r", "-z", "--full-tree", tree)
    for line in listed.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if path:
            mode, _, blob = about.decode("ascii").split()
            found[path] = Entry(mode, blob)
    return found


async def contents(repository: Path, blobs: Iterable[str]) -> dict[str, bytes]:
    """The content of each blob, by its id.

    Raises:
        WorkspaceError: there is no such blob.
    """
    wanted = sorted(set(blobs))
    if not wanted:
        return {}
    given = "".join(f"{blob}\n" for blob in wanted).encode("ascii")
    printed = await git(repository, "cat-file", "--batch", given=given)
    found: dict[str, bytes] = {}
    at = 0
    for blob in wanted:
        end = printed.index(b"\n", at)
        words = printed[at:end].decode("ascii", "replace").split()
        if len(words) != 3 or words[1] != "blob":
            raise WorkspaceError(f"The private repository has no blob {blob}.")
        size = int(words[2])
        found[blob] = printed[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return found


async def commit(
    repository: Path, parent: str, changed: Mapping[bytes, bytes], message: str
) -> str:
    """A commit on `parent` in which the files of `changed` hold these contents.

    Files keep their modes. Contents that the parent has already change nothing; where all are
    such, the parent itself is returned. Author, committer and time are the same every time: the
    time is the parent's.

    Raises:
        WorkspaceError: the parent has no plain file of such a path, or git failed.
    """
    present = await entries(repository, parent)
    absent = [path for path in changed if path not in present or not present[path].plain]
    if absent:
        raise WorkspaceError(f"{absent[0]!r} is no plain file of {parent}; it cannot be changed.")
    old = await contents(repository, (present[path].blob for path in changed))
    new = {path: body for path, body in changed.items() if old[present[path].blob] != body}
    if not new:
        return parent
    modes = {path: present[path].mode.encode("ascii") for path in new}
    when = await time_of(repository, parent)
    given = _stream(parent, new, modes, message, when)
    words = ("fast-import", "--quiet", "--done", "--force")
    printed = await git(repository, *words, given=given)
    return printed.decode("ascii").strip()


async def graft(
    repository: Path,
    parents: tuple[str, ...],
    changed: Mapping[bytes, Entry | None],
    message: bytes,
    when: bytes,
) -> str:
    """A commit with these entries in place of those of its first parent, made as `commit` does.

    `None` takes a path away. For carrying a commit over to other parents: the blobs are in the
    repository already.
    """
    lines = [*_opening(parents[0], message, when)]
    lines += [b"merge " + each.encode("ascii") for each in parents[1:]]
    # What goes makes room: a file may become a folder, and a folder a file.
    gone = [b"D " + quoted(path) for path, entry in sorted(changed.items()) if entry is None]
    lines += gone
    for path, entry in sorted(changed.items()):
        if entry is not None:
            lines.append(f"M {entry.mode} {entry.blob} ".encode("ascii") + quoted(path))
    given = b"\n".join([*lines, *_CLOSING])
    printed = await git(repository, "fast-import", "--quiet", "--done", "--force", given=given)
    return printed.decode("ascii").strip()


async def altered(repository: Path, before: str, after: str) -> tuple[Altered, ...]:
    """The files in which two trees differ, by path."""
    raw = await git(
        repository, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index",
        before, after,
    )  # fmt: skip
    fields = raw.split(b"\0")
    found: list[Altered] = []
    for about, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, new_mode, old, new, _ = about.decode("ascii").lstrip(":").split()
        found.append(Altered(path, _entry(old_mode, old), _entry(new_mode, new)))
    return tuple(sorted(found, key=lambda each: each.path))


async def extent(repository: Path, before: str, after: str) -> Extent:
    """How many lines came and went."""
    raw = await git(
        repository, "diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff",
        "--no-textconv", before, after,
    )  # fmt: skip
    came = went = 0
    for line in raw.split(b"\0"):
        words = line.split(b"\t")
        if len(words) == 3 and words[0].isdigit() and words[1].isdigit():
            came, went = came + int(words[0]), went + int(words[1])
    return Extent(came, went)


async def patch(repository: Path, before: str, after: str) -> bytes:
    """The difference as `git apply` takes it; the same for the same two trees."""
    return await git(repository, "diff-tree", *PATCH_OPTIONS, before, after)


async def name_branch(repository: Path, run: str, tip: str) -> str:
    """Make the run's branch name `tip`, whatever it named before; returns its name."""
    branch = branch_of(run)
    # Nobody else writes this ref, so a lock there is that of a git that was killed.
    (repository / f"refs/heads/{branch}.lock").unlink(missing_ok=True)
    await git(repository, "update-ref", f"refs/heads/{branch}", tip)
    return branch


async def time_of(repository: Path, commit_id: str) -> bytes:
    """When it was committed: seconds since the epoch, as digits."""
    body = await git(repository, "cat-file", "commit", commit_id)
    for line in body.split(b"\n\n", 1)[0].splitlines():
        words = line.split()
        if words[:1] == [b"committer"] and len(words) > 2 and words[-2].isdigit():
            return words[-2]
    return b"0"


async def message_of(repository: Path, commit_id: str) -> bytes:
    """What a commit says."""
    body = await git(repository, "cat-file", "commit", commit_id)
    return body.partition(b"\n\n")[2]


_CLOSING = (b"get-mark :1", b"done", b"")


def _opening(parent: str, message: bytes, when: bytes) -> list[bytes]:
    who = _WHO + b" " + when + b" +0000"
    return [
        b"commit refs/visionflow/change/%d" % os.getpid(),  # a killed git leaves its lock
        b"mark :1",
        b"author " + who,
        b"committer " + who,
        b"data %d" % len(message),
        message,
        b"from " + parent.encode("ascii"),
    ]


def _stream(
    parent: str,
    changed: Mapping[bytes, bytes],
    modes: Mapping[bytes, bytes],
    message: str,
    when: bytes,
) -> bytes:
    text = message.encode("utf-8", "replace")[:_MESSAGE_BYTES_MAX].rstrip() + b"\n"
    parts = _opening(parent, text, when)
    for path, body in sorted(changed.items()):
        parts += [b"M " + modes[path] + b" inline " + quoted(path), b"data %d" % len(body), body]
    return b"\n".join([*parts, *_CLOSING])


def _entry(mode: str, blob: str) -> Entry | None:
    return None if set(mode) == {"0"} else Entry(mode, blob)
