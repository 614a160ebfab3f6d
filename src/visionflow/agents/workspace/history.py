"""Copies the history of a stranger's repository into the private one, objects only.

The objects are read through git's alternates by our own git with our own configuration; the
stranger's configuration, hooks and attributes are never looked at, nor does the owner of the
files matter.
"""

import asyncio
import os
from pathlib import Path

from visionflow.domain.errors import WorkspaceError

from .foreign import ForeignGit
from .git import COMMAND_SECONDS_MAX, arguments, ended, environment, failed, git, quoted


async def copy_history(repository: Path, foreign: ForeignGit, head: str, notes: list[str]) -> None:
    """Make HEAD's history, branches and tags part of the private repository.

    Raises:
        WorkspaceError: not even HEAD's history is whole.
    """
    shallow = foreign.shallow()
    if shallow:
        (repository / "shallow").write_text(shallow, encoding="ascii")
        notes.append("The history is shallow: it begins where it was cut off.")
    refs = foreign.refs()
    try:
        await copy_objects(repository, foreign, [head, *refs.values()])
    except WorkspaceError as error:
        refs = {}
        notes.append(f"Only the history of HEAD was taken: {error.message}")
        await copy_objects(repository, foreign, [head])
    if refs:
        await _name(repository, refs, notes)


async def _name(repository: Path, refs: dict[str, str], notes: list[str]) -> None:
    lines = "".join(f"create {name} {target}\n" for name, target in refs.items())
    try:
        await git(repository, "update-ref", "--stdin", given=lines.encode("utf-8"))
    except WorkspaceError as error:
        notes.append(f"Branches and tags were left out: {error.message}")


async def copy_objects(
    repository: Path, foreign: ForeignGit, ids: list[str], checks: tuple[str, ...] = ()
) -> None:
    """Pack what the ids reach, and index the pack in the private repository.

    An id with `^` before it is not wanted, nor what it reaches. `checks`: further words for
    `git index-pack`.

    Raises:
        WorkspaceError: objects are missing, are not as they should be, or git failed.
    """
    objects = quoted(os.fsencode(foreign.objects)).decode("utf-8", "surrogateescape")
    extra = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
    out, into = os.pipe()
    try:
        pack = await asyncio.create_subprocess_exec(
            *arguments("pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"),
            env=environment(repository, extra),
            cwd=repository,
            stdin=asyncio.subprocess.PIPE,
            stdout=into,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(into)
        into = -1
        try:
            await _indexed(repository, pack, out, ids, checks)
        finally:
            await ended(pack)
    finally:
        for each in (out, into):
            if each >= 0:
                os.close(each)


async def _indexed(
    repository: Path,
    pack: asyncio.subprocess.Process,
    out: int,
    ids: list[str],
    checks: tuple[str, ...],
) -> None:
    index = await asyncio.create_subprocess_exec(
        *arguments("index-pack", "--stdin", *checks),
        env=environment(repository),
        cwd=repository,
        stdin=out,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            wanted = "".join(f"{each}\n" for each in dict.fromkeys(ids)).encode("ascii")
            (_, packing), (_, indexing) = await asyncio.gather(
                pack.communicate(wanted), index.communicate()
            )
    except TimeoutError:
        raise WorkspaceError("Copying the history took too long and was ended.") from None
    finally:
        await ended(index)
    if pack.returncode != 0:
        raise failed("pack-objects", pack.returncode, packing)
    if index.returncode != 0:
        raise failed("index-pack", index.returncode, indexing)
