"""The name of a unix socket, and how to reach it. It imports nothing heavy: `visionflow mcp` that
finds a server needs no more than this."""

import asyncio
import os
from pathlib import Path

PATH_BYTES_MAX = 100
"""A socket's name takes 107 bytes on Linux and 103 on macOS."""
LINE_BYTES_MAX = 2**26
"""Of an answer."""


class Nameable:
    """A name by which a socket can be bound or dialled, whatever the length of its path."""

    def __init__(self, path: Path) -> None:
        self._folder: int | None = None
        self.name = str(path)
        if len(os.fsencode(path)) > PATH_BYTES_MAX and os.path.isdir("/proc/self/fd"):
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.name = f"/proc/self/fd/{self._folder}/{path.name}"

    def close(self) -> None:
        """Let go of the folder."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


async def dial(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to it.

    Raises:
        OSError: nobody listens there.
    """
    names = Nameable(path)
    try:
        return await asyncio.open_unix_connection(names.name, limit=LINE_BYTES_MAX)
    finally:
        names.close()
