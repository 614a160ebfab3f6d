"""What an agent did to its copy's git beyond its own branch: read as data, git is never started.

Its own branch may move as it likes. Whatever else says something different than at the start is a
violation that names what was moved, from where to where. What the sandbox prevents is no concern
of this.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.domain.errors import WorkspaceError

from .foreign import ForeignGit, plain_text

VIOLATIONS_MAX = 20
_FOLDERS = ("objects", "objects/info", "refs", "refs/heads", "refs/tags")
_KINDS = {"refs/heads/": "branch", "refs/tags/": "tag"}
_SHOWN = 10


class Violation(msgspec.Struct, frozen=True):
    """Something that an agent did outside of what was its own."""

    rule: Literal[
        "foreign_branch", "foreign_head", "stash", "foreign_tag", "outside", "git_broken",
        "credential",
    ]  # fmt: skip
    message: str
    """One sentence that names what was moved and from where to where."""


class Copy(msgspec.Struct, frozen=True):
    """A working copy that an agent has for itself. Made by `candidates.make_copy`."""

    folder: str
    """Absolute. Only the agent's commands write below it once it is made."""
    run: str
    task: str
    base: str
    """The commit that it began on, in the private repository."""
    branch: str
    """The agent's own, without `refs/heads/`; the only one that it may move."""
    user_branch: str | None = None
    """The branch that the user's workspace is on: in the copy it names `base`."""

    @property
    def git(self) -> ForeignGit:
        """Its git folder as data."""
        top = Path(self.folder)
        return ForeignGit(top=top, folder=top / ".git", common=top / ".git", bare=False)


class Start(msgspec.Struct, frozen=True):
    """How a copy was when it was made; kept beside it, out of its agent's reach."""

    copy: Copy
    refs: dict[str, str]
    """Every ref in it with the id that it names."""
    alternates: str
    """Where its git finds the objects that it borrows."""


def place_of_start(folder: Path) -> Path:
    """The file with the `Start` of the copy in `folder`."""
    return folder.with_name(f"{folder.name}.start.json")


def start_in(folder: Path) -> Start | None:
    """How the copy in `folder` was when it was made; `None` where none was."""
    try:
        return msgspec.json.decode(place_of_start(folder).read_bytes(), type=Start)
    except (OSError, msgspec.DecodeError):
        return None


def fence(copy: Copy) -> tuple[Violation, ...]:
    """Everything in the copy's git that was its agent's to leave alone, at most 20 and a count.

    Raises:
        WorkspaceError: it is not known how the copy was when it was made.
    """
    start = start_in(Path(copy.folder))
    if start is None:
        raise WorkspaceError(
            f"How the copy {copy.folder} began is not known: {place_of_start(Path(copy.folder))} "
            "cannot be read.",
            hint="Start the task again.",
        )
    broken = fault_of(copy, start)
    if broken is not None:
        return (Violation("git_broken", broken),)
    found = [*_head(copy), *_refs(copy, start), *_worktrees(copy)]
    more = len(found) - VIOLATIONS_MAX
    if more > 0:
        rest = Violation(found[VIOLATIONS_MAX].rule, f"There are {more} more of the kind.")
        found = [*found[:VIOLATIONS_MAX], rest]
    return tuple(found)


def fault_of(copy: Copy, start: Start) -> str | None:
    """Why the copy's git cannot be read as the one that it was given; `None` where it can."""
    git = copy.git.folder
    what = _kind_of(git)
    if what != "folder":
        return f"Its .git is {what} now, and was a folder."
    for name in _FOLDERS:
        what = _kind_of(git / name)
        if what != "folder":
            return f".git/{name} is {what} now, and was a folder."
    if _kind_of(git / "reftable") != "gone":
        return "Its git keeps its refs in another form now (reftable), which is not read."
    if _kind_of(git / "commondir") != "gone":
        return "Its git was turned into a worktree of another one (.git/commondir)."
    if _kind_of(git / "packed-refs") not in ("a file", "gone"):
        return f".git/packed-refs is {_kind_of(git / 'packed-refs')} now, and was a file."
    if not plain_text(git / "HEAD").strip():
        return "Its .git/HEAD is gone or says nothing."
    if plain_text(git / "objects/info/alternates") != start.alternates:
        return "It changed where its git finds the objects that it borrows (alternates)."
    if _own(copy) not in copy.git.as_they_stand():
        return f"Its own branch {copy.branch} is gone."
    return None


def _own(copy: Copy) -> str:
    return f"refs/heads/{copy.branch}"


def _head(copy: Copy) -> Iterator[Violation]:
    said = plain_text(copy.git.folder / "HEAD").strip()
    if said == f"ref: {_own(copy)}":
        return
    name = said.removeprefix("ref:").strip()
    where = f"the commit {name[:_SHOWN]}, on no branch"
    if said.startswith("ref:"):
        where = f"the branch {_shown(name.removeprefix('refs/heads/'))}"
    yield Violation("foreign_head", f"It left its branch {copy.branch} for {where}.")


def _refs(copy: Copy, start: Start) -> Iterator[Violation]:
    now = copy.git.as_they_stand()
    if "refs/stash" in now and now["refs/stash"] != start.refs.get("refs/stash"):
        yield Violation(
            "stash", f"It left a stash ({_at(now['refs/stash'])}), which is in none of its files."
        )
    for name in sorted({*start.refs, *now}):
        kind = next((kind for prefix, kind in _KINDS.items() if name.startswith(prefix)), None)
        before, after = start.refs.get(name), now.get(name)
        if kind is None or name == _own(copy) or before == after:
            continue
        what = f"the {kind} {_shown(name.split('/', 2)[2])}"
        if before is None:
            said = f"It made {what} at {_at(after)}, which is not its own."
        elif after is None:
            said = f"It deleted {what}, which was at {_at(before)}."
        else:
            said = f"It moved {what}, which is not its own, from {_at(before)} to {_at(after)}."
        yield Violation("foreign_tag" if kind == "tag" else "foreign_branch", said)


def _worktrees(copy: Copy) -> Iterator[Violation]:
    folder = copy.git.folder / "worktrees"
    if _kind_of(folder) not in ("folder", "gone"):
        yield Violation("git_broken", f".git/worktrees is {_kind_of(folder)}.")
        return
    names = sorted(os.listdir(folder)) if _kind_of(folder) == "folder" else []
    for name in names:
        place = plain_text(folder / name / "gitdir").strip().removesuffix("/.git")
        head = plain_text(folder / name / "HEAD").strip().removeprefix("ref: refs/heads/")
        yield Violation(
            "foreign_head",
            f"It made a worktree of its own at {_shown(place) or 'an unknown place'}, "
            f"with {_at(head) or 'nothing'} checked out.",
        )


def _at(said: str | None) -> str:
    """An id or the name of a ref, short enough for a sentence."""
    text = (said or "").removeprefix("ref:").strip()
    return text[:_SHOWN] if _is_id(text) else _shown(text)


def _is_id(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")


def _shown(text: str) -> str:
    """A stranger's name on one line, cut."""
    plain = "".join(each if each.isprintable() else "?" for each in portable_path(text))
    return plain if len(plain) <= 200 else f"{plain[:200]}..."


def _kind_of(place: Path) -> str:
    try:
        mode = os.lstat(place).st_mode
    except OSError:
        return "gone"
    if stat.S_ISDIR(mode):
        return "folder"
    return "a link" if stat.S_ISLNK(mode) else "a file" if stat.S_ISREG(mode) else "something else"
