"""A server for an assistant: the one that runs, else one in this process, for as long as it takes.

The one in this process listens on the same sockets as any, so that a second assistant finds it.
It opens no port. When whoever served goes away, the store is free and this process may take over.
"""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from visionflow.adapters.lock import owner
from visionflow.compose.store import ServerStore
from visionflow.domain.errors import ServerUnreachable, StoreInUse
from visionflow.interfaces.mcp.dialling import Nameable, dial
from visionflow.interfaces.mcp.stdio import Carrier, Stream, Writer, lines_of
from visionflow.settings.server import ServerSettings

if TYPE_CHECKING:
    from visionflow.compose.serve.opening import OpenServer
    from visionflow.interfaces.mcp.socket import Listening

PATIENCE_S = 60.0
"""How long somebody may own the store without answering: a server that recovers, or that ends."""
PAUSE_S, PAUSE_S_MAX = 0.02, 0.5
STARTS_MAX, STARTS_WINDOW_S = 3, 60.0
"""So often this process starts a server; then something is wrong that starting does not mend."""


class Supply:
    """Finds servers, or is one. Belongs to the loop's thread."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._store = ServerStore.of(settings.home)
        self._own: AsyncExitStack | None = None
        self._watching: asyncio.Task[None] | None = None
        self._starts: list[float] = []

    async def connection(self) -> Stream:
        """A connection to whoever serves this home; serve it here when nobody does.

        Raises:
            ServerUnreachable: somebody owns the store and does not answer.
            VisionFlowError: nobody serves it, and it cannot be done here.
        """
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + PATIENCE_S, PAUSE_S
        while True:
            with suppress(OSError):
                return await dial(self._store.assistants)
            await self.close()
            # Who has this lock starts its server again: to be quicker would be its end.
            front = owner(self._store.front_lock)
            taken = (
                None if front is None else f"The process {front.pid} serves {self._store.folder}."
            )
            if taken is None:
                try:
                    await self._serve()
                    continue
                except StoreInUse as error:
                    taken = error.message
            if loop.time() > until:
                raise ServerUnreachable(
                    f"{taken} It does not answer at {self._store.assistants}.",
                    hint="End it, or give this one another --home.",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_S_MAX)

    async def close(self) -> None:
        """End the server in this process, workers included; what is not finished is in the log."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()

    async def _serve(self) -> None:
        from visionflow.compose.serve.opening import open_server

        now = asyncio.get_running_loop().time()
        self._starts = [at for at in self._starts if at > now - STARTS_WINDOW_S]
        if len(self._starts) >= STARTS_MAX:
            raise ServerUnreachable(
                f"The server in this process failed {STARTS_MAX} times within a minute.",
                hint=f"{self._store.lines} may say why.",
            )
        async with AsyncExitStack() as opening:
            opened = await open_server(self._settings, echo=sys.stderr)
            opening.push_async_callback(opened.close)
            self._starts.append(now)
            assistants = await self._listen(opened, opening)
            self._watching = asyncio.ensure_future(_end_when_failed(opened, assistants))
            self._own = opening.pop_all()

    async def _listen(self, opened: "OpenServer", opening: AsyncExitStack) -> "Listening":
        from visionflow.compose.serve.ports import open_gate
        from visionflow.interfaces.mcp.server import Face
        from visionflow.interfaces.mcp.socket import start
        from visionflow.interfaces.tools.all import all_tools
        from visionflow.interfaces.wire.listening import start_unix

        server, names = opened.server, Nameable(self._store.socket)
        opening.callback(names.close)
        registry, gate = all_tools(server), open_gate(opened)
        opening.callback(gate.close)
        unix = await start_unix(names.name, server, registry, gate, server.settings)
        opening.push_async_callback(unix.aclose)
        face = Face(server, registry)
        assistants = await start(face, server, gate, self._store.assistants)
        opening.push_async_callback(assistants.aclose)
        server.endpoints.update(
            socket=str(self._store.socket), assistants=str(self._store.assistants)
        )
        return assistants


async def _end_when_failed(opened: "OpenServer", assistants: "Listening") -> None:
    """A core that can answer nothing more serves nobody: their connections end."""
    await opened.failed()
    await assistants.aclose()


async def assist(settings: ServerSettings, said: int, heard: int) -> None:
    """Carry an assistant's lines until `heard` ends or a signal says so; answers go to `said`.

    Raises:
        VisionFlowError: no server could be had.
        OSError: the assistant does not read any more.
    """
    loop = asyncio.get_running_loop()
    lines = lines_of(heard)
    supply = Supply(settings)
    carrying = asyncio.ensure_future(Carrier(supply.connection, Writer(said)).run(lines))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, carrying.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await carrying
    finally:
        await supply.close()
