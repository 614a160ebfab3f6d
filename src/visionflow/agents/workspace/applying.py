"""Brings a change out of the private repository into the user's own, because the user asked for it.

Git is not started in the user's repository here either: its configuration could name programs. No
branch that is there is moved, none is checked out, and nothing is merged or pushed. To the working
tree files are only written where each is as the run found it. Whoever calls sees to it that no two
calls on one private repository are under way at once; one that was killed is settled by the next.
"""

import os
from pathlib import Path

import msgspec

from visionflow.domain.errors import Refused

from .branching import OTHER_WAY, foreign_of, make_branch, sweep
from .changes import Entry, altered, branch_of, entries, graft, message_of, time_of
from .filing import fill, take_back
from .git import git
from .journal import Journal, drop_journal, new_mark, read_journal, write_journal
from .pieces import listed, outward_links, refuse_unfit
from .repository import PrivateRepository
from .scan import folders_of, shown


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
    outward: tuple[str, ...] = ()
    """Links among the files that lead out of the workspace, or into its `.git`."""
    notes: tuple[str, ...] = ()
    """What became of an earlier call that was killed."""


async def bring_branch(
    repository: PrivateRepository, source: Path, name: str, base: str, tip: str
) -> Brought:
    """Make the branch `visionflow/NAME` in the repository that `source` belongs to.

    Raises:
        Refused: there is no such repository or no commit in it, the change stands on files that
            were not committed or is none that can be brought, or a branch of the name is there
            already. Nothing was changed.
        WorkspaceError: git failed, or the repository cannot be written.
    """
    foreign = foreign_of(source)
    head = repository.head
    if head is None:
        raise Refused("The repository had no commit that a branch could stand on.", hint=OTHER_WAY)
    branch = branch_of(name)
    below = b"" if foreign.bare else os.fsencode(source.relative_to(foreign.top))
    below = b"" if below == b"." else below
    refuse_unfit(await altered(repository.path, base, tip))
    outward = tuple(shown(path) for path in await outward_links(repository.path, base, tip))
    commits = await _commits(repository, base, tip)
    ref = await _on_head(repository, head, base, commits, below)
    notes = await _settled(repository, None)
    files = await _names(repository, head, ref)
    moved = foreign.head() != head
    there = foreign.named(f"refs/heads/{branch}")
    if there is not None and there != ref:
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
        journal = Journal(new_mark(), "branch", str(source), base, tip, branch, ref)
        write_journal(repository, journal)
        try:
            await make_branch(repository, foreign, head, journal)
        finally:
            drop_journal(repository)
    return Brought(branch, ref, len(commits), files, there is not None, moved, outward, notes)


async def change_files(repository: PrivateRepository, source: Path, base: str, tip: str) -> Brought:
    """Write the changed files into the folder `source`: all of them or none.

    Each must be what it was when the run began, or already what it is to be. Permissions are kept
    but for what the change says of them. A call that was killed is finished by the same call, and
    taken back by any other.

    Raises:
        Refused: a file is another one now; all such are named, and nothing was changed, or after
            a killed call everything else was.
        WorkspaceError: a file cannot be written; the message tells how things are.
    """
    commits = await _commits(repository, base, tip)
    outward = tuple(shown(path) for path in await outward_links(repository.path, base, tip))
    this = Journal("", "files", str(source), base, tip)
    notes = await _settled(repository, this)
    killed = read_journal(repository.path.parent)
    changed = await fill(repository, source, base, tip, killed)
    if killed is not None and changed:
        notes = (*notes, "An apply that was killed half way was finished.")
    files = await _names(repository, base, tip)
    return Brought(None, None, len(commits), files, not changed, False, outward, notes)


async def _settled(repository: PrivateRepository, this: Journal | None) -> tuple[str, ...]:
    """Clear up after a call that was killed, unless `this` is the same and finishes it."""
    killed = read_journal(repository.path.parent)
    sweep(repository, killed)
    if killed is None or (this is not None and killed.same(this)):
        return ()
    told = await take_back(repository, killed) if killed.way == "files" else None
    drop_journal(repository)
    return () if told is None else (told,)


async def _commits(repository: PrivateRepository, base: str, tip: str) -> list[str]:
    """The commits of the change, each after those that it stands on."""
    listed_ones = await git(
        repository.path, "rev-list", "--topo-order", "--reverse", f"{base}..{tip}"
    )
    return listed_ones.decode("ascii").split()


async def _parents(repository: PrivateRepository, commit: str) -> list[str]:
    told = await git(repository.path, "rev-list", "--parents", "--max-count=1", commit)
    return told.decode("ascii").split()[1:]


async def _on_head(
    repository: PrivateRepository, head: str, base: str, commits: list[str], below: bytes
) -> str:
    """The tip of the same commits on the user's own HEAD.

    Raises:
        Refused: a changed file was not committed as the run saw it.
    """
    if not commits:
        raise Refused("There is no commit to bring.", hint="Nothing was changed.")
    if base == head:
        return commits[-1]
    prefix = below + b"/" if below else b""
    loose = await _loose(repository, head, base, commits[-1], prefix)
    if loose:
        raise Refused(
            f"{listed(loose)} had changes that were not committed when the run began, so no "
            "commit of yours can carry the branch.",
            hint=OTHER_WAY,
        )
    when = await time_of(repository.path, head)
    carried = {base: head}
    for each in commits:
        parents = await _parents(repository, each)
        moved = {
            prefix + one.path: one.after for one in await altered(repository.path, parents[0], each)
        }
        onto = tuple(dict.fromkeys(carried.get(parent, head) for parent in parents))
        message = await message_of(repository.path, each)
        carried[each] = await graft(repository.path, onto, moved, message, when)
    return carried[commits[-1]]


async def _loose(
    repository: PrivateRepository, head: str, base: str, tip: str, prefix: bytes
) -> list[bytes]:
    """Paths of the change where HEAD has something else than the run found."""
    held = await entries(repository.path, head)
    seen = await entries(repository.path, base)
    touched = {each.path: each for each in await altered(repository.path, base, tip)}
    loose = {path for path in touched if held.get(prefix + path) != seen.get(path)}
    folders = folders_of(held)
    changed = {prefix + path for path in touched}
    for path, each in touched.items():
        if each.after is None:
            continue
        on_the_way = folders_of((prefix + path,))
        if any(above in held and above not in changed for above in on_the_way):
            loose.add(path)
        if prefix + path in folders and not _only(held, prefix + path + b"/", changed):
            loose.add(path)
    return sorted(loose)


def _only(held: dict[bytes, Entry], folder: bytes, changed: set[bytes]) -> bool:
    return all(path in changed for path in held if path.startswith(folder))


async def _names(repository: PrivateRepository, before: str, after: str) -> tuple[str, ...]:
    return tuple(shown(each.path) for each in await altered(repository.path, before, after))
