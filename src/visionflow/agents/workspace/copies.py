"""Copies of a commit of the private repository for whoever looks at it: the files, no history.

Each is laid out anew by our own git from outside, so that nothing an agent or a test left there
before is seen. One that git has to be read in gets the least that is a repository: HEAD, and where
the objects are.
"""

import asyncio
import os
from pathlib import Path

from .files import remove_tree
from .git import git, quoted


async def lay_out(repository: Path, commit: str, folder: Path) -> Path:
    """Make `folder` hold the files of `commit` and nothing else.

    Raises:
        WorkspaceError: there is no such commit, or git failed.
    """
    index = folder.with_name(f"{folder.name}.index")
    await asyncio.to_thread(_emptied, folder, index)
    extra = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(folder)}
    try:
        await git(repository, "read-tree", "--reset", "-u", commit, extra=extra, cwd=folder)
    finally:
        index.unlink(missing_ok=True)
    return folder


def make_readable(repository: Path, commit: str, folder: Path) -> None:
    """Put a `.git` into `folder` in which `commit` is checked out, its objects borrowed."""
    place = folder / ".git"
    (place / "refs" / "heads").mkdir(parents=True)
    (place / "objects" / "info").mkdir(parents=True)
    objects = quoted(os.fsencode(os.path.realpath(repository / "objects")))
    (place / "objects" / "info" / "alternates").write_bytes(objects + b"\n")
    shallow = repository / "shallow"
    if shallow.is_file():
        (place / "shallow").write_bytes(shallow.read_bytes())
    (place / "HEAD").write_text(f"{commit}\n", encoding="ascii")


def _emptied(folder: Path, index: Path) -> None:
    remove_tree(folder)
    for each in (index, index.with_name(f"{index.name}.lock")):
        each.unlink(missing_ok=True)
    folder.mkdir(parents=True)
