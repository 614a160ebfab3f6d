"""Merges two commits of the private repository without any working tree.

Git's own merge is asked (`merge-tree --write-tree`), for text line by line, whatever the attributes
of the files say: a driver or a rule of a stranger's decides nothing. History stays one line: what
was merged becomes a new commit on the branch, with the message of the work and trailers that tell
which commit it was. The same branch and the same work give the same commit.
"""

import re
from pathlib import Path

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.domain.errors import WorkspaceError

from .changes import Entry, contents
from .git import git

GIT_VERSION_MIN = "2.38"
"""The first that merges without a working tree."""
SIDES_MAX = 12
"""Of one merge; more files in conflict than this are not shown with their text."""
_NOT_SHOWN = f"[not shown: more than {SIDES_MAX} files are in conflict]\n"
SIDE_CHARS_MAX = 20_000
_CONTEXT_LINES = 30
_WHO = b"VisionFlow <visionflow@localhost>"
_KIND = re.compile(r"CONFLICT \(([^)]+)\)")
_MODULE = "160000"
_USAGE = 129
"""What git ends with where it does not know an option."""


class Clash(msgspec.Struct, frozen=True):
    """One file that two commits cannot both have as they are."""

    path: str
    ours: str | None
    """As the branch has it, cut; `None`: it is gone there, or no text."""
    theirs: str | None
    base: str | None
    kind: str
    """What git calls it: `content`, `modify/delete`, `add/add`, ..."""


class Merged(msgspec.Struct, frozen=True):
    """What a merge gave."""

    tree: str | None
    """`None`: there are conflicts."""
    conflicts: tuple[Clash, ...] = ()


class Work(msgspec.Struct, frozen=True):
    """A commit that is to be merged, and what its successor on the branch will say."""

    task: str
    commit: str
    author: bytes
    """With its time, as git writes it."""
    when: bytes
    """When it was committed: seconds since the epoch, as digits."""
    message: bytes


async def merge(repository: Path, ours: str, theirs: str) -> Merged:
    """Both changes together, from where their histories part.

    Raises:
        WorkspaceError: git is too old, or the two have no commit in common.
    """
    try:
        printed = await git(
            repository, "merge-tree", "--write-tree", "-z", "--messages", ours, theirs,
            statuses=(0, 1, _USAGE),
        )  # fmt: skip
    except WorkspaceError as error:
        raise WorkspaceError(f"{ours} and {theirs} cannot be merged: {error.message}") from error
    tree, _, rest = printed.partition(b"\0")
    if not re.fullmatch(rb"[0-9a-f]{40,64}", tree):
        version = (await git(repository, "version")).decode("utf-8", "replace").strip()
        raise WorkspaceError(
            f"{version} cannot merge without a working tree.",
            hint=f"Install git {GIT_VERSION_MIN} or newer.",
        )
    # A list of files in conflict, each closed by NUL, one more NUL, then what git says of it.
    listed, told = (b"", rest[1:]) if rest[:1] == b"\0" else rest.split(b"\0\0", 1)
    stages, messages = _stages(listed), _messages(told)
    if not stages and not any(kind for _, kind in messages):
        return Merged(tree.decode("ascii"))
    return Merged(None, await _sides(repository, stages, messages))


async def work_of(repository: Path, task: str, commit: str) -> Work:
    """What is to be known of a commit before it is merged.

    Raises:
        WorkspaceError: there is no such commit.
    """
    body = await git(repository, "cat-file", "commit", commit)
    head, _, message = body.partition(b"\n\n")
    fields = dict(line.split(b" ", 1) for line in head.splitlines() if b" " in line)
    committer = fields.get(b"committer", b"").split()
    when = committer[-2] if len(committer) > 2 and committer[-2].isdigit() else b"0"
    trailed = await git(
        repository, "interpret-trailers", "--no-divider",
        "--if-exists", "doNothing", "--trailer", f"VisionFlow-Task: {task}",
        "--if-exists", "addIfDifferent", "--trailer", f"VisionFlow-Commit: {commit}",
        given=message.rstrip() + b"\n",
    )  # fmt: skip
    author = fields.get(b"author", _WHO + b" " + when + b" +0000")
    return Work(task, commit, author, when, trailed)


async def put_on(repository: Path, ours: str, tree: str, work: Work) -> str:
    """The commit on `ours` that brings the work, whose merge gave `tree`."""
    lines = (
        b"tree " + tree.encode("ascii"),
        b"parent " + ours.encode("ascii"),
        b"author " + work.author,
        b"committer " + _WHO + b" " + work.when + b" +0000",
        b"",
        work.message,
    )
    words = ("hash-object", "-t", "commit", "-w", "--stdin")
    printed = await git(repository, *words, given=b"\n".join(lines))
    return printed.decode("ascii").strip()


async def is_ancestor(repository: Path, commit: str, tip: str) -> bool:
    """Whether the history of `tip` holds the commit.

    Raises:
        WorkspaceError: one of them is not there.
    """
    parted = await git(repository, "rev-list", "--max-count=1", commit, f"^{tip}", "--")
    return not parted.strip()


async def make_safe(repository: Path, base: str, tip: str) -> None:
    """Write all that `tip` has beyond `base` once more in one file that is safe on the disk.

    A merge writes its objects one by one, and git lets go of those before the disk has them.
    """
    if base != tip:
        await git(
            repository, "pack-objects", "-q", "--revs", str(repository / "objects/pack/pack"),
            given=f"{tip}\n^{base}\n".encode("ascii"),
        )  # fmt: skip


def _stages(listed: bytes) -> dict[bytes, dict[int, Entry]]:
    """What the base (1), ours (2) and theirs (3) have of each file in conflict."""
    found: dict[bytes, dict[int, Entry]] = {}
    for line in listed.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if path:
            mode, blob, stage = about.decode("ascii").split()
            found.setdefault(path, {})[int(stage)] = Entry(mode, blob)
    return found


def _messages(told: bytes) -> list[tuple[tuple[bytes, ...], str | None]]:
    """(paths, kind of conflict) of all that git says; no kind where it is none."""
    fields = told.strip(b"\0").split(b"\0")
    found: list[tuple[tuple[bytes, ...], str | None]] = []
    at = 0
    while at < len(fields) and fields[at].isdigit():
        end = at + 1 + int(fields[at])
        kind, said = (part.decode("utf-8", "replace") for part in fields[end : end + 2])
        # The short kind says `contents` for several; the sentence tells them apart.
        match = _KIND.match(kind if "binary" in kind else said) or _KIND.match(kind)
        found.append((tuple(fields[at + 1 : end]), match[1] if match else None))
        at = end + 2
    return found


async def _sides(
    repository: Path,
    stages: dict[bytes, dict[int, Entry]],
    messages: list[tuple[tuple[bytes, ...], str | None]],
) -> tuple[Clash, ...]:
    kinds: dict[bytes, str] = {}
    for paths, kind in messages:
        for path in paths if kind else ():
            kinds.setdefault(path, kind or "")
    paths = sorted(stages or kinds)
    shown = paths[:SIDES_MAX]
    entries = [entry for path in shown for entry in stages.get(path, {}).values()]
    bodies = await contents(repository, (e.blob for e in entries if e.mode != _MODULE))
    found: list[Clash] = []
    for path in paths:
        kept = stages.get(path, {})
        texts = {
            stage: _text(bodies.get(entry.blob)) if path in shown else _NOT_SHOWN
            for stage, entry in kept.items()
        }
        base, ours, theirs = cut(texts.get(1), texts.get(2), texts.get(3))
        name = portable_path(path.decode("utf-8", "surrogateescape"))
        found.append(Clash(name, ours, theirs, base, kinds.get(path) or _kind(kept)))
    return tuple(found)


def _kind(stages: dict[int, Entry]) -> str:
    """Of a file that no sentence of git's names, such as one whose mode alone is at odds."""
    if {1, 2, 3} <= stages.keys():
        return "content"
    return "add/add" if 1 not in stages else "modify/delete"


def _text(body: bytes | None) -> str | None:
    if body is None or b"\0" in body:
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def cut(*texts: str | None) -> tuple[str | None, ...]:
    """Long texts without the lines at beginning and end that all of them have, then cut.

    Texts that are short enough together stay whole.
    """
    present = [text.splitlines(keepends=True) for text in texts if text is not None]
    if max((len(text or "") for text in texts), default=0) <= SIDE_CHARS_MAX:
        return texts
    head = _alike(present)
    rest = [lines[head:] for lines in present]
    tail = _alike([lines[::-1] for lines in rest])
    head, tail = max(0, head - _CONTEXT_LINES), max(0, tail - _CONTEXT_LINES)
    return tuple(None if text is None else _middle(text, head, tail) for text in texts)


def _alike(texts: list[list[str]]) -> int:
    """How many lines at their beginning all have in common; none where there is but one."""
    count = 0
    for lines in zip(*texts, strict=False):
        if len(texts) == 1 or len(set(lines)) > 1:
            break
        count += 1
    return count


def _middle(text: str, head: int, tail: int) -> str:
    lines = text.splitlines(keepends=True)
    body = "".join(lines[head : len(lines) - tail])
    if len(body) > SIDE_CHARS_MAX:
        body = body[:SIDE_CHARS_MAX] + "\n[cut here]\n"
    before = f"[{head} lines before, the same on all sides]\n" if head else ""
    after = f"[{tail} lines after, the same on all sides]\n" if tail else ""
    return before + body + after
