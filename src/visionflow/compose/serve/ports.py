"""Opens the server's ports once its core is there, and closes them before it goes.

Which bytes mean what on a port is each face's business.
"""

import asyncio
import importlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from visionflow.compose.serve.later import App, LaterApp, Message, Receive, Send
from visionflow.compose.serve.opening import OpenServer
from visionflow.settings.server import ServerSettings

if TYPE_CHECKING:
    from visionflow.interfaces.access.gate import Gate
    from visionflow.interfaces.mcp.http import App as HttpApp
    from visionflow.interfaces.mcp.socket import Listening as Assistants
    from visionflow.interfaces.tools.tool import Registry

CLOSE_S_MAX = 1.0
"""What requests under way on port 3000 have, to end by themselves."""
STARTED_POLL_S = 0.005


class OpenPorts:
    """Where a server listens."""

    def __init__(self, endpoints: dict[str, str], held: AsyncExitStack) -> None:
        self.endpoints = endpoints
        """By face: `tcp` and `web` as HOST:PORT, `socket` and `assistants` as paths."""
        self._held = held

    async def close(self) -> None:
        """Take no more connections, end those that are open."""
        await self._held.aclose()


async def open_ports(opened: OpenServer, roots: tuple[int, ...] = ()) -> OpenPorts:
    """Listen where the settings say.

    `roots`: pids of processes beside this one that adopt what agents leave behind.

    Raises:
        PortInUse: another process listens there.
        ConfigError: this address is none of ours, or nobody could use it (see the gate).
    """
    from visionflow.interfaces.mcp.dialling import Nameable
    from visionflow.interfaces.tools.all import all_tools
    from visionflow.interfaces.web.app import app as web_app
    from visionflow.interfaces.web.connections import protocol_of
    from visionflow.interfaces.wire.listening import bind, start, start_unix

    server, core = opened.server, opened.core
    settings = server.settings
    registry = all_tools(server)
    async with AsyncExitStack() as opening:
        gate = open_gate(opened, roots)
        opening.callback(gate.close)
        gate.may_bind()
        web_sockets = bind(settings.host, settings.web_port, "--web-port")
        for each in web_sockets:
            opening.callback(each.close)
        names = Nameable(core.store.socket)
        opening.callback(names.close)
        unix = await start_unix(names.name, server, registry, gate, settings)
        opening.push_async_callback(unix.aclose)
        mounted = LaterApp(
            lambda: _mcp(opened, registry, gate),
            lambda error: core.lines.log("error", None, "mcp_failed", f"{error!r}"),
        )
        opening.push_async_callback(mounted.aclose)
        listening = await start(server, registry, gate, settings, mounted)
        opening.push_async_callback(listening.aclose)
        protocol = protocol_of(server, gate)
        await _serve_web(web_app(server, registry, gate), protocol, web_sockets, opening)
        server.endpoints.update(
            tcp=place(settings.host, listening.port),
            web=place(settings.host, web_sockets[0].getsockname()[1]),
            socket=str(core.store.socket),
            assistants=str(core.store.assistants),
        )
        # First of all at the end: what is cut off from then on was not taken back by its client.
        opening.callback(setattr, server, "ready", False)
        return OpenPorts(dict(server.endpoints), opening.pop_all())


async def _mcp(opened: OpenServer, registry: "Registry", gate: "Gate") -> App:
    """The app for /mcp, and with it the socket of assistants."""
    await asyncio.to_thread(importlib.import_module, "visionflow.interfaces.mcp.http")
    from visionflow.interfaces.mcp.http import app
    from visionflow.interfaces.mcp.socket import start

    mounted = app(opened.server, registry, gate)
    assistants = await start(mounted.face, opened.server, gate, opened.core.store.assistants)
    return _Mcp(mounted, assistants)


class _Mcp:
    """Both, ended together."""

    def __init__(self, app: "HttpApp", assistants: "Assistants") -> None:
        self._app = app
        self._assistants = assistants
        self._closed = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def aclose(self) -> None:
        """Harmless the second time."""
        if not self._closed:
            self._closed = True
            await self._assistants.aclose()
            await self._app.aclose()


def open_gate(opened: OpenServer, roots: tuple[int, ...] = ()) -> "Gate":
    """The gate of a server; close it. `roots` as for `open_ports`."""
    from visionflow.interfaces.access.gate import Gate
    from visionflow.interfaces.access.lookups import Lookups
    from visionflow.interfaces.access.tokens import Tokens

    core, settings = opened.core, opened.server.settings
    lookups = Lookups(core.ground.worker_pids, roots)
    return Gate(settings, Tokens(settings.home, core.host.now_ms), lookups, core.fleet)


def place(host: str, port: int) -> str:
    """An address as people and URLs write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def probe(settings: ServerSettings) -> None:
    """See early whether the ports are free; they are opened only when recovery is done.

    Raises:
        PortInUse: another process listens there.
        ConfigError: the host is none of this machine's, or a port is not for us.
    """
    from visionflow.interfaces.wire.listening import bind

    for port, flag in ((settings.tcp_port, "--port"), (settings.web_port, "--web-port")):
        for each in bind(settings.host, port, flag):
            each.close()


async def _serve_web(
    app: Callable[[Message, Receive, Send], Awaitable[None]],
    protocol: type[asyncio.Protocol],
    sockets: list[socket.socket],
    opening: AsyncExitStack,
) -> None:
    """Serve an app with uvicorn on this loop; the signals stay those of the program."""
    import uvicorn

    class Quiet(uvicorn.Server):
        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            await self._serve(sockets)

    config = uvicorn.Config(
        app,
        http=protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=round(CLOSE_S_MAX),
    )
    web = Quiet(config)
    serving = asyncio.ensure_future(web.serve(sockets))

    async def close() -> None:
        web.should_exit = True
        await serving

    opening.push_async_callback(close)
    while not web.started and not serving.done():
        await asyncio.sleep(STARTED_POLL_S)
    if serving.done():
        await serving
