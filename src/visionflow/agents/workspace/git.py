"""Runs git so that nothing but the private repository decides what it does.

No configuration of the machine or the user is read, hooks and fsmonitor are off, nothing asks,
nothing reaches the network. Git is our own tool here: it is never started inside a folder that a
stranger wrote to without naming the private repository, so that no stranger's configuration is
ever found.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from visionflow.domain.errors import WorkspaceError

COMMAND_SECONDS_MAX = 900
_ERROR_BYTES_MAX = 2000

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.protectNTFS=false",
    "core.commitGraph=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "safe.directory=*",
    "safe.bareRepository=all",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "advice.detachedHead=false",
)


def arguments(*words: str) -> list[str]:
    """The whole command line of `git WORDS`."""
    settings = [part for each in _SETTINGS for part in ("-c", each)]
    return ["git", "--no-pager", *settings, *words]


def environment(repository: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment; nothing of the caller's is taken but PATH."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(repository),
        "XDG_CONFIG_HOME": str(repository),
        "LC_ALL": "C",
        "GIT_DIR": str(repository),
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_ASKPASS": "true",
        "GIT_PROTOCOL_FROM_USER": "0",
        **(extra or {}),
    }


async def git(
    repository: Path,
    *words: str,
    given: bytes = b"",
    extra: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    statuses: tuple[int, ...] = (0,),
) -> bytes:
    """What the command prints, `given` on its standard input.

    Raises:
        WorkspaceError: it ended with another status than `statuses`, or took too long.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments(*words),
            env=environment(repository, extra),
            cwd=cwd or repository.parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise WorkspaceError(
            f"git {words[0]} could not be started: {error}.", hint="Install git."
        ) from error
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            printed, complaint = await process.communicate(given)
    except TimeoutError:
        raise WorkspaceError(
            f"git {words[0]} took longer than {COMMAND_SECONDS_MAX} s and was ended."
        ) from None
    finally:
        await ended(process)
    if process.returncode not in statuses:
        raise failed(words[0], process.returncode, complaint)
    return printed


async def ended(process: asyncio.subprocess.Process) -> None:
    """Kill the process where it still runs; return when it is gone."""
    if process.returncode is None:
        process.kill()
        await asyncio.shield(process.wait())


def failed(word: str, status: int | None, complaint: bytes) -> WorkspaceError:
    text = complaint[-_ERROR_BYTES_MAX:].decode("utf-8", "replace").strip()
    return WorkspaceError(f"git {word} ended with {status}: {text or 'it gave no reason'}.")


def quoted(path: bytes) -> bytes:
    """A path the way git reads it in quotes: any byte but NUL is possible."""
    escaped = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
