"""Who answers MCP calls beside us, and how each is started and reached."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec

import msgspec

from bench.processes import ROOT, NotThere, end
from bench.wire_client import Target
from bench.wire_server import Core, call, kept_on, peopled

MODERN = "2026-07-28"
HANDSHAKE = "2025-06-18"
STATUS = "swarm_status"
CLAUDE_FLOW = "BENCH_CLAUDE_FLOW"
"""The environment variable with a command that serves claude-flow's MCP over stdio."""


class Side(msgspec.Struct, frozen=True):
    """A server that is up, and what to ask it."""

    target: Target
    request: str
    pid: int | None = None
    """A process that serves, beside one that the client starts."""
    before: tuple[str, ...] = ()
    """Said before what is measured."""

    def reached(self, connections: int) -> Target:
        """Over so many connections."""
        return msgspec.structs.replace(self.target, connections=connections)


def modern(port: int, tool: str = STATUS) -> Target:
    """`/mcp` without a session, as current SDKs ask."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    return Target("http", port, "/mcp", headers)


def modern_request(tool: str = STATUS) -> str:
    """A call that stands alone."""
    prefix = "io.modelcontextprotocol/"
    return (
        f'{{"id":#,"jsonrpc":"2.0","method":"tools/call","params":{{"name":"{tool}",'
        f'"arguments":{{}},"_meta":{{"{prefix}protocolVersion":"{MODERN}",'
        f'"{prefix}clientInfo":{{"name":"bench","version":"1"}},'
        f'"{prefix}clientCapabilities":{{}}}}}}}}'
    )


INITIALIZE = (
    f'{{"id":#,"jsonrpc":"2.0","method":"initialize","params":{{"protocolVersion":"{HANDSHAKE}",'
    '"capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}'
)
OPENING = (INITIALIZE, '{"jsonrpc":"2.0","method":"notifications/initialized"}')


def plain_request(tool: str = STATUS) -> str:
    """A call within a session."""
    return (
        f'{{"id":#,"jsonrpc":"2.0","method":"tools/call","params":{{"name":"{tool}",'
        '"arguments":{}}}'
    )


@contextmanager
def ours_stdio(core: Core) -> Generator[Side]:
    """`visionflow mcp`, which carries lines to a running server: the cost of both is told."""
    with peopled(core) as server:
        argv = (sys.executable, "-m", "visionflow.cli", "mcp")
        target = _stdio(argv, core, {"VISIONFLOW_HOME": str(server.home)})
        yield Side(target, plain_request(), server.pid)


@contextmanager
def peer_http(which: str, core: Core) -> Generator[Side]:
    """The plain SDK's server, or FastMCP's, over HTTP."""
    _installed(which)
    argv = [sys.executable, "-m", "bench.peers.mcp_peer", which, "http"]
    with kept_on(core.server):
        child = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=_env()
        )
    try:
        line = b"" if child.stdout is None else child.stdout.readline()
        if not line:
            raise NotThere(f"the server of {which} did not start")
        yield Side(modern(int(line)), modern_request(), child.pid)
    finally:
        end(child)
        if child.stdout is not None:
            child.stdout.close()


@contextmanager
def peer_stdio(which: str, core: Core) -> Generator[Side]:
    """The same over stdio."""
    _installed(which)
    argv = (sys.executable, "-m", "bench.peers.mcp_peer", which, "stdio")
    yield Side(_stdio(argv, core, _env()), plain_request())


@contextmanager
def claude_flow(core: Core) -> Generator[Side]:
    """claude-flow's own server over stdio, where the environment says how it is started."""
    command = os.environ.get(CLAUDE_FLOW)
    if not command:
        raise NotThere(
            f"it has 348 MB, so it is installed by whoever wants it: set {CLAUDE_FLOW} to the "
            "command that serves it, such as 'DIR/node_modules/.bin/claude-flow mcp start'"
        )
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        target = _stdio(tuple(shlex.split(command)), core, {"HOME": folder}, folder)
        init = call("swarm_init", {"topology": "hierarchical"})
        yield Side(target, plain_request(), before=(init,))


def _stdio(
    argv: tuple[str, ...], core: Core, env: dict[str, str], folder: str | None = None
) -> Target:
    return Target("stdio", argv=argv, env=env, core=core.server, folder=folder, opening=OPENING)


def _installed(which: str) -> None:
    if which == "fastmcp" and find_spec("fastmcp") is None:
        raise NotThere("fastmcp is not installed; `make bench` installs it")


def _env() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(each for each in paths if each)}
