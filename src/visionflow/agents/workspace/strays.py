"""Commits of an agent's that are in none of its files: in a stash, on a branch, under a tag.

Making them is against the rules, losing them would be against ours: they are copied into the
private repository and kept by refs of their own. No result holds them.
"""

import re
from pathlib import Path

from visionflow.agents.findings import portable_path
from visionflow.domain.errors import WorkspaceError

from .fence import Copy, Start
from .git import git
from .history import copy_objects
from .keeping import keep_ref, ref_of
from .owncommits import borrowing
from .repository import PrivateRepository

STRAYS_MAX = 20
_PACK_BYTES_MAX = 1 << 30
_SHOWN = 10
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


async def keep_strays(
    repository: PrivateRepository, copy: Copy, start: Start, head: str | None, attempt: int
) -> tuple[str, ...]:
    """Keep what the refs of a readable copy name beyond its `head`; one sentence for each.

    What cannot be kept, or is more than 20, is told of and left in the copy.

    Raises:
        WorkspaceError: git failed on the private repository.
    """
    known = {copy.base, *start.refs.values(), *([head] if head else [])}
    found = {
        name: at
        for name, at in sorted(copy.git.as_they_stand().items())
        if name.startswith(("refs/heads/", "refs/tags/", "refs/stash"))
        and _ID.match(at)
        and at not in known
    }
    more = len(found) - STRAYS_MAX
    told = [f"{more} more of its refs were not kept."] if more > 0 else []
    for name, at in list(found.items())[:STRAYS_MAX]:
        ref = f"{ref_of(copy.task, attempt)}-{at[:_SHOWN]}"
        try:
            if await _is_kept(repository.path, copy, start, head, at, ref):
                told.append(f"{name} of its git is in none of its files; it is kept by {ref}.")
        except WorkspaceError as error:
            told.append(f"{name} of its git, at {at[:_SHOWN]}, cannot be kept. {error.message}")
    return tuple(portable_path(each) for each in told)


async def _is_kept(
    repository: Path, copy: Copy, start: Start, head: str | None, at: str, ref: str
) -> bool:
    """Keep it; `False` where it is part of the agent's own line or of what there was before."""
    before = [f"^{each}" for each in sorted({copy.base, *start.refs.values()})]
    lines = [at, *before, *([f"^{head}"] if head else [])]
    given = "".join(f"{each}\n" for each in lines).encode("ascii")
    words = ("rev-list", "--max-count=1", "--stdin")
    if not await git(repository, *words, given=given, extra=borrowing(copy)):
        return False
    checks = ("--strict", f"--max-input-size={_PACK_BYTES_MAX}")
    await copy_objects(repository, copy.git, [at, *before], checks)
    await keep_ref(repository, ref, at)
    return True
