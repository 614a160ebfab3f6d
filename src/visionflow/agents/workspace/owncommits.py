"""The commits that an agent made itself, read from its objects by our git as data."""

import os
import stat
from pathlib import Path

import msgspec

from visionflow.domain.errors import WorkspaceError

from .fence import Copy, Start, fault_of
from .git import git, quoted

SUBJECTS_MAX = 50
_SUBJECT_CHARS_MAX = 200
_OBJECTS_MAX = 1_000_000


class OwnCommits(msgspec.Struct, frozen=True):
    """What there is beyond the copy's base; nothing where its git cannot be read."""

    count: int = 0
    subjects: tuple[str, ...] = ()
    """The last ones, the oldest of them first, one line each."""
    paths: frozenset[bytes] = frozenset()
    """All files of the last one."""
    head: str | None = None
    """The last one; the base where there are none."""
    note: str | None = None
    """Why they cannot be read."""


def unreadable(copy: Copy, start: Start) -> str | None:
    """Why no git of ours may look at the copy's objects; `None` where it may."""
    return fault_of(copy, start) or _odd_object(copy.git.objects)


async def own_commits(repository: Path, copy: Copy, start: Start) -> OwnCommits:
    """Those on the copy's HEAD that no branch or tag had when it began, where it is readable."""
    head = copy.git.head() or copy.git.named(f"refs/heads/{copy.branch}")
    if head is None or head == copy.base:
        return OwnCommits(head=head)
    extra = borrowing(copy)
    known = sorted({copy.base, *start.refs.values()})
    given = "".join(f"{each}\n" for each in (head, *(f"^{each}" for each in known)))
    try:
        counted = await git(
            repository, "rev-list", "--count", "--stdin", given=given.encode("ascii"), extra=extra
        )
        told = await git(
            repository, "log", "--stdin", "-z", "--topo-order", f"--max-count={SUBJECTS_MAX}",
            "--format=%s", "--encoding=UTF-8", "--no-notes", "--no-show-signature", "--no-color",
            "--no-decorate", given=given.encode("ascii"), extra=extra,
        )  # fmt: skip
        names = await git(repository, "ls-tree", "-r", "-z", "--name-only", head, extra=extra)
    except WorkspaceError as error:
        return OwnCommits(head=head, note=f"Its own commits cannot be read. {error.message}")
    subjects = [one_line(each.decode("utf-8", "replace")) for each in told.split(b"\0")]
    paths = frozenset(names.split(b"\0")) - {b""}
    return OwnCommits(int(counted), tuple(each for each in reversed(subjects) if each), paths, head)


def borrowing(copy: Copy) -> dict[str, str]:
    """What lets our git see the objects of a readable copy."""
    place = quoted(os.fsencode(copy.git.objects)).decode("utf-8", "surrogateescape")
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": place}


def one_line(text: str, most: int = _SUBJECT_CHARS_MAX) -> str:
    """A stranger's words on one line, cut, without what steers a terminal."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    words = " ".join(plain.split())
    return words if len(words) <= most else f"{words[: most - 3]}..."


def _odd_object(objects: Path) -> str | None:
    """Something among the objects that git would never put there, and could wait on for ever."""
    seen = 0
    for folder, folders, names in os.walk(objects):
        for name in (*folders, *names):
            seen += 1
            mode = os.lstat(os.path.join(folder, name)).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return "There is something among its git's objects that is no plain file."
    return "Its git has too many objects." if seen > _OBJECTS_MAX else None
