"""Finding the server that a command means: the one named, else this user's, else port 9500 here."""

import os
import socket as sockets
import time
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.lock import owner
from visionflow.compose.job.trust import home
from visionflow.domain.errors import ServerUnreachable, UsageError
from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.mcp.dialling import Nameable

DEFAULT_PORT = 9500
SOCKET = Path("server", "mcp.sock")
FRONT_LOCK = Path("server", "front.lock")
STARTING_S_MAX = 10.0
"""How long a server that its front starts, for the first time or again, is waited for."""
POLL_S = 0.1


def client_of(
    server: str | None, token: str | None = None, *, tcp: bool = False, waits: bool = True
) -> MCPClient:
    """A client for a server given as HOST, HOST:PORT or the path of a socket. `tcp`: never by the
    socket of this user. A server of this user that is being started is waited for; with `waits`
    false it is not.

    Raises:
        UsageError: it is none of these.
        ServerUnreachable: the server of this user is being started, and does not come up.
    """
    if server is not None and ("/" in server or server.endswith(".sock")):
        return MCPClient(path=server, token=token)
    if server is not None:
        host, port = _place(server)
        return MCPClient(host, port, token=token)
    socket = home() / SOCKET
    if not tcp and waits:
        _await_start(socket)
    if not tcp and socket.exists():
        return MCPClient(path=socket, token=token)
    return MCPClient(port=default_port(), token=token)


def _await_start(socket: Path) -> None:
    """Another server, at the port where one is by default, must not get what was meant for it."""
    until = time.monotonic() + STARTING_S_MAX
    while (front := owner(home() / FRONT_LOCK)) is not None and not _listens(socket):
        if time.monotonic() > until:
            raise ServerUnreachable(
                f"The server of {home()} is being started by process {front.pid}, and is not up "
                f"after {STARTING_S_MAX:g} s.",
                hint=f"Try again; {home() / 'server' / 'visionflow.log'} may say why it is not.",
            )
        time.sleep(POLL_S)


def _listens(path: Path) -> bool:
    with suppress(OSError), sockets.socket(sockets.AF_UNIX) as end:
        names = Nameable(path)
        try:
            # A server that is busy may have no room for one more at the moment: it listens.
            end.setblocking(False)
            end.connect(names.name)
        except BlockingIOError:
            return True
        finally:
            names.close()
        return True
    return False


def default_port() -> int:
    """`MCP_TCP_PORT`, or 9500.

    Raises:
        UsageError: that is no port.
    """
    return _port(os.environ.get("MCP_TCP_PORT") or str(DEFAULT_PORT), "MCP_TCP_PORT")


def _place(server: str) -> tuple[str, int]:
    text = server.removeprefix("http://").removeprefix("tcp://").rstrip("/")
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host:
        raise UsageError(f"--server is {server!r}.", hint="Write HOST:PORT, or a socket's path.")
    return host, _port(port, "--server") if port else default_port()


def _port(text: str, what: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise UsageError(f"{what}: {text!r} is no port.", hint="A port is between 1 and 65535.")
    return int(text)
