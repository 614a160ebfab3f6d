"""The fixtures of the conformance suites behind our own app, on a free port.

    python tests/clients/fixture_server.py

It prints its address and ends when its standard input ends. Nothing of VisionFlow runs behind it:
what it serves is the protocol.
"""

import asyncio
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from conformance_fixtures import Events, guest, install

from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.lookups import Lookups
from visionflow.interfaces.access.tokens import Tokens
from visionflow.interfaces.mcp.http import App
from visionflow.interfaces.mcp.server import Face
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.tool import Registry
from visionflow.settings.server import ServerSettings

RETRY_MS = 100


class Silent:
    """An audit that nobody reads."""

    def offer_access(self, *told: Any, **more: Any) -> None:
        """Forget it."""

    def offer_call(self, *told: Any, **more: Any) -> None:
        """Forget it."""


def open_gate(home: str) -> Gate:
    """A gate that knows our own user."""
    return Gate(ServerSettings(home=home), Tokens(home), Lookups(), Silent())


def fixture_app(gate: Gate) -> App:
    """Our app with nothing of its own and the fixtures as its guest."""
    server = SimpleNamespace(
        settings=gate.settings,
        ready=True,
        now_ms=lambda: time.time_ns() // 1_000_000,
        swarms=SimpleNamespace(all=list),
        jobs=SimpleNamespace(runs=list),
    )
    face = Face(cast(Server, server), Registry([]), guest())
    install(face.protocol)
    return App(face, gate, gate.settings.frame_bytes_max, Events(), RETRY_MS)


async def serve() -> None:
    """Serve until standard input ends."""
    with tempfile.TemporaryDirectory() as home:
        gate = open_gate(home)
        app = fixture_app(gate)
        config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}/mcp", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
        await app.aclose()
        server.should_exit = True
        await serving
        gate.close()


if __name__ == "__main__":
    asyncio.run(serve())
