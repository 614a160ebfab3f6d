"""Opens the port that three speakers share, and the unix socket; closes them in order.

uvicorn runs on the loop that is there, without handlers for signals: those belong to the program.
"""

import asyncio
import errno
import resource
import socket
import stat
from contextlib import suppress
from pathlib import Path

import uvicorn

from visionflow.domain.errors import ConfigError, PortInUse, StoreInUse, VisionFlowError
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.tool import Registry
from visionflow.interfaces.wire.desk import Desk
from visionflow.interfaces.wire.lines import Floor, LineProtocol
from visionflow.interfaces.wire.posting import App, Front
from visionflow.interfaces.wire.sniffing import Port, SniffingProtocol
from visionflow.settings.server import ServerSettings

BACKLOG = 1_024
KEEP_ALIVE_S = 75
CLOSE_S_MAX = 2
"""What is under way when the server closes may take so long to be answered."""
SWEEP_S = 5.0
FILES_BESIDE = 512
"""Open files that a server has beside its connections."""


class NotStarted(VisionFlowError):
    """The app that is mounted did not start."""

    code = "not_started"


class Listening:
    """An open port."""

    def __init__(
        self, port: int, floor: Port, web: "_Uvicorn", serving: "asyncio.Task[None]"
    ) -> None:
        self.port = port
        self.floor = floor
        """Its connections."""
        self._web = web
        self._serving = serving
        self._sweeping = asyncio.ensure_future(_sweep(floor))

    async def aclose(self) -> None:
        """Take no more connections, answer what is under way within a while, close them all."""
        self._web.stop_accepting()
        self._sweeping.cancel()
        await self.floor.aclose(CLOSE_S_MAX)
        self._web.stop()
        await asyncio.wait((self._serving,), timeout=CLOSE_S_MAX)
        # To an app this looks like a client that is gone; it is not cancelled in the middle.
        for each in list(self.floor.others):
            each.transport.abort()
        await self._serving
        await self.floor.desk.aclose()
        with suppress(asyncio.CancelledError):
            await self._sweeping


class UnixListening:
    """An open unix socket."""

    def __init__(self, path: Path, floor: Floor, server: asyncio.AbstractServer) -> None:
        self.path = path
        self.floor = floor
        self._server = server
        self._sweeping = asyncio.ensure_future(_sweep(floor))

    async def aclose(self) -> None:
        """The same as of a port; the socket's file goes too."""
        self._server.close()
        self._sweeping.cancel()
        await self.floor.aclose(CLOSE_S_MAX)
        await self._server.wait_closed()
        await self.floor.desk.aclose()
        with suppress(FileNotFoundError):
            self.path.unlink()
        with suppress(asyncio.CancelledError):
            await self._sweeping


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._over = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Without its handlers for signals."""
        try:
            await self._serve(sockets)
        finally:
            self.up.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise NotStarted("The app at /mcp did not start; the log says why.") from error
        self.up.set()

    async def main_loop(self) -> None:
        seconds = 0
        while not await self.on_tick(seconds * 10):
            seconds += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 1)

    def stop_accepting(self) -> None:
        for each in self.servers:
            each.close()

    def stop(self) -> None:
        self.should_exit = True
        self._over.set()


async def start(
    server: Server,
    registry: Registry,
    gate: Gate,
    settings: ServerSettings,
    mounted: App | None = None,
    version: str = "",
) -> Listening:
    """Listen on the port of the settings. `mounted`: the ASGI app for /mcp and /.well-known.

    Raises:
        PortInUse: another process listens there.
        ConfigError: the host is none of this machine's, or the port is not for us.
    """
    desk = Desk(registry, gate, depth_max=settings.depth_max, version=version or _version())
    port = Port(
        desk,
        gate,
        server.connections,
        settings.frame_bytes_max,
        lines_served=settings.enable_tcp,
    )

    class Bound(SniffingProtocol):
        pass

    Bound.port = port
    front = Front(
        desk, gate, desk.version, settings.frame_bytes_max, mounted,
        lines_served=settings.enable_tcp,
    )  # fmt: skip
    config = uvicorn.Config(
        front,
        http=Bound,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2 * CLOSE_S_MAX,
        backlog=BACKLOG,
    )
    make_room(settings.connections_max)
    sockets = bind(settings.host, settings.tcp_port)
    number = sockets[0].getsockname()[1]
    web = _Uvicorn(config)
    serving = asyncio.ensure_future(web.serve(sockets))
    try:
        await web.up.wait()
        if serving.done():
            serving.result()
    except BaseException:
        serving.cancel()
        for each in sockets:
            each.close()
        raise
    return Listening(number, port, web, serving)


async def start_unix(
    path: str | Path, server: Server, registry: Registry, gate: Gate, settings: ServerSettings
) -> UnixListening:
    """Listen on a unix socket, for this user alone.

    Raises:
        StoreInUse: another process listens on it.
    """
    found = Path(path)
    await _clear(found)
    desk = Desk(registry, gate, depth_max=settings.depth_max, version=_version())
    floor = Floor(desk, gate, server.connections, settings.frame_bytes_max)
    # The folder above it is this user's alone, so nobody comes in before the mode is set.
    made = await asyncio.get_running_loop().create_unix_server(
        lambda: LineProtocol(floor, "socket"), str(found), backlog=BACKLOG
    )
    found.chmod(0o600)
    return UnixListening(found, floor, made)


async def _clear(path: Path) -> None:
    """Take away the socket of a process that is dead."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StoreInUse(f"{path} is no socket.", hint="Move it away.")
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        path.unlink(missing_ok=True)
        return
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    raise StoreInUse(f"Another server listens on {path}.", hint="Stop it first.")


def bind(host: str, port: int, flag: str = "--port") -> list[socket.socket]:
    """Sockets that listen on all addresses of a host, on one port, which `flag` chooses.

    Raises:
        PortInUse, ConfigError: see `start`.
    """
    try:
        infos = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(
            f"The host {host!r} is no address of this machine: {error.strerror}.",
            hint="Use --host 127.0.0.1 for this machine alone.",
        ) from error
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in infos):
            at = port if port or not sockets else sockets[0].getsockname()[1]
            made = socket.create_server((address[0], at), family=family, backlog=BACKLOG)
            # asyncio sends small writes at once only where a socket says that it is TCP's; else the
            # body of each HTTP answer would wait 40 ms for the client to acknowledge its head.
            made = socket.socket(family, made.type, socket.IPPROTO_TCP, made.detach())
            made.setblocking(False)
            sockets.append(made)
    except OSError as error:
        for each in sockets:
            each.close()
        raise _refused(host, port, flag, error) from error
    return sockets


def _refused(host: str, port: int, flag: str, error: OSError) -> VisionFlowError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"{where} is in use by another process.",
            hint=f"Stop that one, or take another port with {flag} (0: any that is free).",
        )
    return ConfigError(
        f"{where} cannot be listened on: {error.strerror or error}.",
        hint="Use --host 127.0.0.1 for this machine alone, and a port above 1023.",
    )


def make_room(connections: int) -> None:
    """Have the kernel allow as many open files as so many connections need, if it may: many
    systems begin with 1,024, and a server out of files takes no connection at all."""
    wanted = connections + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


async def _sweep(floor: Floor) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S)
        floor.sweep(loop.time())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("visionflow")
    except PackageNotFoundError:
        return "unknown"
