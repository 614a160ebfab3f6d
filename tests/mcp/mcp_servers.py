"""A whole core behind /mcp, and `visionflow mcp` as a process, for tests."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.client.stdio import StdioServerParameters
from mcp_faces import over_http

from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.compose.serve.ports import open_gate
from visionflow.interfaces.mcp.http import app
from visionflow.interfaces.tools.all import all_tools
from visionflow.settings.server import ServerSettings

AGENTS = Path(__file__).parents[1] / "serve" / "jobs_agents.py"
GOAL = "How does the calculator add numbers?"


def prepared(folder: Path) -> Path:
    """A repository to work on, and a file of templates with the agents of `jobs_agents.py`."""
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "calc.py").write_text('def add(a, b):\n    """Adds."""\n    return a + b\n')
    (workspace / "README.md").write_text("# Calc\n\nThe calculator adds numbers.\n")
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a"]
    for words in (["init", "-q", "."], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=workspace, check=True, timeout=60)
    (folder / "agents.yaml").write_text(
        "agent_templates:\n"
        f"  teller:\n    class: {AGENTS}:Teller\n"
        f"  waiter:\n    class: {AGENTS}:Waiter\n"
    )
    return workspace


def settings_of(folder: Path) -> ServerSettings:
    """Settings of a server that keeps everything in this folder."""
    return ServerSettings(
        home=str(folder / "home"),
        workspaces=(str(folder / "workspace"),),
        agents_file=str(folder / "agents.yaml"),
        tcp_port=0,
        web_port=0,
    )


@asynccontextmanager
async def core_served(folder: Path, kill: bool = False) -> AsyncIterator[tuple[str, OpenServer]]:
    """The core of this folder behind `/mcp`: its address, and itself. `kill`: its workers are not
    waited for at the end."""
    opened = await open_server(settings_of(folder))
    gate = open_gate(opened)
    try:
        async with over_http(app(opened.server, all_tools(opened.server), gate)) as url:
            yield url, opened
    finally:
        gate.close()
        await opened.close(kill)


def command(folder: Path) -> list[str]:
    """`visionflow mcp` for this folder."""
    words = ["mcp", "--workspace", str(folder / "workspace")]
    return [
        *(sys.executable, "-P", "-m", "visionflow.cli", *words),
        *("--agents", str(folder / "agents.yaml")),
    ]


def parameters(folder: Path) -> StdioServerParameters:
    """The same for the official client."""
    first, *rest = command(folder)
    environment = {**os.environ, "VISIONFLOW_HOME": str(folder / "home")}
    return StdioServerParameters(command=first, args=rest, env=environment)


def waiting(folder: Path, name: str = "go") -> dict[str, Any]:
    """A task that says that it is here, and goes on once its file is there."""
    given = {"here": str(folder / f"{name}.here"), "go": str(folder / name)}
    return {"task": {"description": "wait", "agentType": "waiter", "input": given}}


class Lines:
    """`visionflow mcp` spoken to by hand, in the handshake's era."""

    def __init__(self, folder: Path) -> None:
        with (folder / "assistant.log").open("ab") as log:
            self.process = subprocess.Popen(
                command(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "VISIONFLOW_HOME": str(folder / "home")},
            )
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}}
        self.say(0, "initialize", {**hello, "clientInfo": {"name": "lines", "version": "1"}})
        assert self.hear()["result"]["serverInfo"]["name"] == "visionflow"
        self.say(None, "notifications/initialized", {})

    def say(self, number: int | None, method: str, params: dict[str, Any]) -> None:
        """Send a message."""
        told = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            told["id"] = number
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, number: int, name: str, **arguments: Any) -> None:
        """Call a tool."""
        self.say(number, "tools/call", {"name": name, "arguments": arguments})

    def hear(self) -> dict[str, Any]:
        """The next message."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended"
        return json.loads(line)

    def result(self, number: int) -> dict[str, Any]:
        """What a call gave; it must be the next answer."""
        told = self.hear()
        assert told["id"] == number, told
        return told["result"]["structuredContent"]

    def hang_up(self) -> None:
        """Say nothing any more."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def rest(self) -> bytes:
        """What it said until its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def end(self) -> None:
        """See to it that it is gone."""
        self.process.kill()
        self.process.wait(30)
        assert self.process.stdin is not None and self.process.stdout is not None
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
