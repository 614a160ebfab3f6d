"""What stands for the contents of a tree's files in keys of the cache, known by git's own ids.

So a gate need not read all files of two copies to find that nothing but one of them changed.
"""

import asyncio
import os
from pathlib import Path

import msgspec

from visionflow.agents.tools.portions import digest_of
from visionflow.agents.tools.text import read_plain, write_whole
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.compose.gate.state import State

_FILE = "digests.msgpack"


class Digests:
    """Of the files of one state's trees. Read once, kept at the end."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._place = state.folder / _FILE
        self._before = self._read()
        self._now: dict[str, str] = {}

    async def of(self, tree: str, folder: Path) -> dict[str, str]:
        """The digest of each plain file of `tree`, which `folder` is a copy of.

        Raises:
            WorkspaceError: git failed.
        """
        listed = await self._state.git("ls-tree", "-r", "-z", "--full-tree", tree)
        return await asyncio.to_thread(self._all, listed, folder)

    def keep(self) -> None:
        """Remember those that were asked for."""
        if self._now != self._before:
            write_whole(self._place, msgspec.msgpack.encode(self._now))

    def _all(self, listed: bytes, folder: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in listed.split(b"\0"):
            about, _, path = line.partition(b"\t")
            if not about.startswith(b"100"):
                continue
            name = about.rpartition(b" ")[2].decode("ascii")
            digest = self._before.get(name) or self._now.get(name) or _made(folder, path)
            if digest is not None:
                self._now[name] = found[os.fsdecode(path)] = digest
        return found

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.msgpack.decode(self._place.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            return {}


def _made(folder: Path, path: bytes) -> str | None:
    content = read_plain(folder / os.fsdecode(path), FILE_BYTES_MAX + 1)
    return None if content is None or len(content) > FILE_BYTES_MAX else digest_of(content)
