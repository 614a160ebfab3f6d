"""The program of the server: `python -P -m visionflow.cli.server`, started by a front.

It recovers what the store holds, and only then opens its ports. The front tells it over a pipe to
stop or to kill; at the pipe's end it ends at once, and its workers wait for the next server as long
as they have grace. When it can write nothing more it ends with 70, and the front starts it again.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import msgspec

from visionflow.cli.front import FAIL_STOP, HEARD, KILL, STOP, handed_over
from visionflow.cli.telling import teller, unexpected
from visionflow.cli.terminal import say
from visionflow.domain.errors import VisionFlowError
from visionflow.settings.server import ServerSettings

if TYPE_CHECKING:
    from visionflow.compose.serve.opening import OpenServer

ORDER = "VISIONFLOW_SERVER"
FRONT_GONE = 85
"""Nobody reads it: the front would."""
ENDED_AT_ONCE = 130


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to serve, and how to tell where."""

    settings: ServerSettings
    json: bool = False
    """Print the addresses as one line of JSON on standard output."""
    import_paths: tuple[str, ...] = ()
    """Where classes of agents are looked for, after what Python knows by itself."""
    origins: dict[str, str] = {}
    """Where each setting came from."""


class Wishes:
    """What the front and the system want of this process, from any thread and signal handler."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._wake: Callable[[], None] | None = None

    def stop(self) -> None:
        """End in order."""
        self._stop.set()
        if self._wake is not None:
            self._wake()

    async def stopped(self) -> None:
        """Wait until the end is wanted."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # The loop is closed: it has ended already.
                loop.call_soon_threadsafe(told.set)

        self._wake = wake
        if not self._stop.is_set():
            await told.wait()


def main() -> NoReturn:
    """Serve until told to stop; ends the process."""
    wishes = Wishes()

    def on_end(number: int, frame: FrameType | None) -> None:
        wishes.stop()

    # The front heard Ctrl-C too and says over the pipe what it means. A handler, not SIG_IGN,
    # which worker processes would inherit.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    code, tell = FAIL_STOP, say
    try:
        order, pipe = handed_over(ORDER, Order, "The server's process", "serve")
        tell = teller(order.settings.log_format, "server")
        sys.path.extend(path for path in order.import_paths if path not in sys.path)
        _listen(pipe, wishes)
        code = asyncio.run(_serve(order, wishes))
    except VisionFlowError as error:
        tell(f"visionflow: {error}")
        code = error.status
    except Exception as error:
        tell(unexpected(error))
        if os.environ.get("VISIONFLOW_DEBUG") == "1":
            tell("".join(traceback.format_exception(error)))
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # From in here: a thread that somebody left behind must not keep the process.
    os._exit(code)


def _listen(pipe: int, wishes: Wishes) -> None:
    def listen() -> None:
        while said := os.read(pipe, 16):
            if KILL in said:
                # The log has all that was told to anybody; the front ends our workers.
                os._exit(ENDED_AT_ONCE)
            if STOP in said:
                wishes.stop()
        os._exit(FRONT_GONE)

    threading.Thread(target=listen, name="front", daemon=True).start()


async def _serve(order: Order, wishes: Wishes) -> int:
    from visionflow.agents import trying
    from visionflow.compose.serve.opening import open_server
    from visionflow.compose.serve.ports import open_ports, probe

    probe(order.settings)
    opened = await open_server(order.settings, echo=sys.stderr)
    opened.server.origins = order.origins
    try:
        _log_into(opened)
        ports = await open_ports(opened, roots=(os.getppid(),))
    except BaseException:
        await opened.leave(kill=True)
        raise
    gc.collect()
    gc.freeze()
    _announce(order, opened, ports.endpoints)
    failure = await _until_over(opened, wishes)
    trying.give_up()
    if failure is not None:
        teller(order.settings.log_format, "server")(f"visionflow: {failure}")
        with suppress(Exception):
            await ports.close()
            await opened.leave(kill=True)
        return FAIL_STOP
    if order.settings.keep_workers:
        await asyncio.gather(ports.close(), opened.leave())
        return 0
    # Together: workers may take eight seconds of the ten that a graceful end has.
    await asyncio.gather(ports.close(), opened.end_workers())
    await opened.close()
    return 0


async def _until_over(opened: "OpenServer", wishes: Wishes) -> BaseException | None:
    """Wait for the wish to end, or for the failure that ends it."""
    stopped = asyncio.ensure_future(wishes.stopped())
    failed = asyncio.ensure_future(opened.failed())
    await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
    failure = failed.result() if failed.done() else None
    for each in (stopped, failed):
        each.cancel()
    await asyncio.gather(stopped, failed, return_exceptions=True)
    return failure


def _log_into(opened: "OpenServer") -> None:
    """What libraries log goes to the server's lines, from warnings on."""
    import logging

    lines = opened.core.lines

    class IntoLines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.exc_info is not None and record.exc_info[1] is not None:
                error = record.exc_info[1]
                text = f"{text}: {type(error).__name__}: {error}"
            level = "error" if record.levelno >= logging.ERROR else "warning"
            lines.log(level, None, record.name, text)

    root = logging.getLogger()
    root.handlers[:] = [IntoLines(level=logging.WARNING)]
    root.setLevel(logging.WARNING)


def _announce(order: Order, opened: "OpenServer", endpoints: dict[str, str]) -> None:
    from importlib.metadata import version

    settings, tcp, web = order.settings, endpoints["tcp"], endpoints["web"]
    lines = opened.core.lines
    if settings.log_format == "text":
        spoken = "MCP, POST / and JSON-RPC lines" if settings.enable_tcp else "MCP and POST /"
        say(f"VisionFlow {version('visionflow')}, process {os.getpid()}, home {settings.home}")
        say(f"  clients    {tcp}  ({spoken}; MCP at http://{tcp}/mcp)")
        say(f"  web        http://{web}  (/health, /ready, /api)")
        say(f"  socket     {endpoints['socket']}")
        say(f"  workspace  {', '.join(settings.workspaces)}")
        if not settings.allow_unauthenticated:
            say("  Without a token only this user's programs on this machine may call.")
    if settings.allow_unauthenticated:
        told = "VISIONFLOW_ALLOW_UNAUTHENTICATED: whoever reaches a port is served as admin"
        lines.log("warning", None, "unauthenticated", told)
    lines.log("info", None, "listening", f"clients {tcp}, web {web}, process {os.getpid()}")
    if order.json:
        told = {**endpoints, "pid": os.getpid(), "home": settings.home}
        print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    main()
