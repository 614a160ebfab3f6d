"""Finding the server that a command means: the one named, else this user's, else port 9500 here."""

import os
from pathlib import Path

from visionflow.compose.job.trust import home
from visionflow.domain.errors import UsageError
from visionflow.interfaces.client.calls import MCPClient

DEFAULT_PORT = 9500
SOCKET = Path("server", "mcp.sock")


def client_of(server: str | None, token: str | None = None, *, tcp: bool = False) -> MCPClient:
    """A client for a server given as HOST, HOST:PORT or the path of a socket. `tcp`: never by the
    socket of this user.

    Raises:
        UsageError: it is none of these.
    """
    if server is not None and ("/" in server or server.endswith(".sock")):
        return MCPClient(path=server, token=token)
    if server is not None:
        host, port = _place(server)
        return MCPClient(host, port, token=token)
    socket = home() / SOCKET
    if not tcp and socket.exists():
        return MCPClient(path=socket, token=token)
    return MCPClient(port=default_port(), token=token)


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
