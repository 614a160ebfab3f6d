"""Real connections from real processes of many kinds, and what is found of who made them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from visionflow.interfaces.access.peers import Peer, peer_of

T = TypeVar("T")
PATIENCE_S = 30.0
NOBODY = 65_534
_DIAL = "s = socket.create_connection(({host!r}, {port})); {then}"
_STAY = "sys.stdin.read()"


def run(work: Awaitable[T]) -> T:
    """Run a coroutine to its end, within bounds."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, PATIENCE_S)

    return asyncio.run(bounded())


class Listener(asyncio.Protocol):
    """One connection, taken and held."""

    def __init__(self, arrived: "asyncio.Queue[Listener]") -> None:
        self._arrived = arrived
        self.transport: asyncio.Transport
        self.peer: Peer

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peer = peer_of(transport)
        self._arrived.put_nowait(self)


class Listening:
    """A port that takes connections. An async context."""

    def __init__(self, host: str = "127.0.0.1", path: str | None = None) -> None:
        self._host, self._path = host, path
        self._arrived: asyncio.Queue[Listener] = asyncio.Queue()
        self._taken: list[Listener] = []
        self.port = 0

    async def __aenter__(self) -> "Listening":
        loop = asyncio.get_running_loop()

        def taking() -> Listener:
            return Listener(self._arrived)

        if self._path is not None:
            self._server: Any = await loop.create_unix_server(taking, self._path)
        else:
            self._server = await loop.create_server(taking, self._host, 0)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for each in self._taken:
            each.transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    async def next(self) -> Listener:
        """The next connection."""
        found = await asyncio.wait_for(self._arrived.get(), PATIENCE_S)
        self._taken.append(found)
        return found


@contextmanager
def process(code: str, env: dict[str, str] | None = None) -> "Generator[subprocess.Popen[bytes]]":
    """A Python process that runs this and then stays until the context ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def dialling(port: int, host: str = "127.0.0.1", first: str = "", then: str = _STAY) -> str:
    """Code that connects, after `first`, and then stays."""
    return f"import encodings.idna, os, socket, sys\n{first}\n" + _DIAL.format(
        host=host, port=port, then=then
    )


def dialling_path(path: str, first: str = "") -> str:
    """The same for a unix socket."""
    return (
        f"import os, socket, sys\n{first}\ns = socket.socket(socket.AF_UNIX)\n"
        f"s.connect({path!r})\n{_STAY}"
    )


AS_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"
"""Give up being root."""
