"""The hub: takes connections from the workers, in the orchestrator's loop.

It keeps nothing: what must not be lost is numbered by those who talk. Every connection shows who
it is before anything else, may only say and hear what it was granted, and is cut off when it
does not read, does not keep to the format, or does not introduce itself in time.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.hub.connection import Connection, HubCounts
from visionflow.adapters.hub.exchange import Exchange
from visionflow.adapters.hub.guard import (
    EVERYTHING,
    FOLDER_PREFIX,
    Claim,
    Grant,
    Verify,
    check_socket_path,
    make_private,
)
from visionflow.adapters.hub.link import SEND_BYTES_MAX
from visionflow.adapters.hub.local import LocalBus


class Hub:
    """Routes messages. Make it inside the running loop that it is to live in."""

    def __init__(
        self,
        verify: Verify | None = None,
        on_disconnect: Callable[[str], None] | None = None,
        send_bytes_max: int = SEND_BYTES_MAX,
    ) -> None:
        """Without `verify` every process of this user may say and hear everything.

        `on_disconnect` gets the sender name of each connection that was let in and is gone, and
        was in no room of its own.
        """
        self.counts = HubCounts()
        self._rooms: dict[str, Exchange] = {"": Exchange()}
        self._verify = verify
        self._on_gone: dict[str, Callable[[str], None]] = {}
        if on_disconnect is not None:
            self._on_gone[""] = on_disconnect
        self._send_bytes_max = send_bytes_max
        self._loop = asyncio.get_running_loop()
        self._connections: dict[Connection, None] = {}
        self._server: asyncio.AbstractServer | None = None
        self._path: str | None = None

    async def listen(self, path: str) -> None:
        """Take connections at this path, in a folder that becomes private to the user.

        A socket that a dead orchestrator left there is replaced.

        Raises:
            ConfigError: the path is too long, or its folder is somebody else's.
        """
        check_socket_path(path)
        make_private(Path(path).parent)
        self._server = await self._loop.create_unix_server(self._accept, path)
        os.chmod(path, 0o600)
        self._path = path

    def local(self) -> LocalBus:
        """An end of the bus inside this process, without a socket."""
        return LocalBus(self._rooms[""])

    def open_room(self, name: str, on_disconnect: Callable[[str], None]) -> LocalBus:
        """An end inside this process of a room: nothing said there is heard outside of it.

        `on_disconnect` is as for the hub, for the connections in there.
        """
        exchange = self._rooms[name] = Exchange()
        self._on_gone[name] = on_disconnect
        return LocalBus(exchange)

    def close_room(self, name: str) -> None:
        """Cut off whoever is in there, and let nobody in any more."""
        self._rooms.pop(name, None)
        self._on_gone.pop(name, None)
        for connection in list(self._connections):
            if connection.room == name:
                connection.link.close()

    def disconnect(self, sender: str, room: str = "") -> None:
        """Cut off the connections of this sender, that of its heartbeat too, in this room."""
        for connection in list(self._connections):
            if connection.room == room and connection.sender in (sender, f"{sender}.beat"):
                connection.link.drop("the orchestrator ended this connection")

    async def close(self) -> None:
        """Close all connections and remove the socket, with its folder where that is ours."""
        if self._path is not None:
            place = Path(self._path)
            place.unlink(missing_ok=True)
            if place.parent.name.startswith(FOLDER_PREFIX):
                with suppress(OSError):
                    place.parent.rmdir()
            self._path = None
        for connection in list(self._connections):
            connection.link.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self) -> asyncio.Protocol:
        return Connection(
            self._rooms.get,
            self.counts,
            self._admit,
            self._joined,
            self._left,
            self._send_bytes_max,
        ).link

    def _admit(self, claim: Claim) -> Grant | None:
        return EVERYTHING if self._verify is None else self._verify(claim)

    def _joined(self, connection: Connection) -> None:
        self.counts.connections += 1
        self._connections[connection] = None

    def _left(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        gone = self._on_gone.get(connection.room)
        if gone is not None and connection.sender is not None:
            gone(connection.sender)
