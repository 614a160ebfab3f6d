"""`visionflow serve` as a process, for tests: started, spoken to over its port, ended, killed."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
HERE = Path(__file__).parent
AGENTS = """\
agent_templates:
  echo: {{class: {here}/serve_agents.py:Echo}}
  where: {{class: {here}/serve_agents.py:Where}}
  waiter: {{class: {here}/serve_agents.py:Waiter}}
  clerk: {{class: {here}/effect_agents.py:Clerk}}
"""


def free_port() -> int:
    """One that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Served:
    """A server's processes. `told` is what it said of itself at its (last) start."""

    def __init__(self, process: "subprocess.Popen[bytes]", lines: Path) -> None:
        self.process = process
        self._lines = lines
        self.told: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """Of the server itself, which the front keeps going."""
        return int(self.told["pid"])

    @property
    def said(self) -> str:
        """What it said on standard error."""
        return self._lines.read_text(errors="replace")

    def started(self) -> dict[str, Any]:
        """Wait until it is up, for the first time or once more."""
        output = self.process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], PATIENCE_S)
        line = output.readline() if ready else b""
        if not line:
            raise AssertionError(f"the server did not come up:\n{self.said}")
        self.told = json.loads(line)
        return self.told

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's result, over a connection of its own."""
        host, _, port = self.told["tcp"].rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
            request = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": tool, "arguments": arguments},
            }
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as replies:
                reply = json.loads(replies.readline())
        if "error" in reply:
            raise AssertionError(f"{tool}: {reply['error']}")
        return reply["result"]

    def kill_server(self) -> None:
        """Kill the server with -9, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not alive(self.pid))

    def kill_front(self) -> None:
        """Kill the front with -9."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask for its end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def serving(
    folder: Path, *flags: str, environment: Mapping[str, str] | None = None, start: bool = True
) -> Generator[Served]:
    """A server on free ports whose home, workspace and templates lie in this folder."""
    (folder / "workspace").mkdir(exist_ok=True)
    templates, lines = folder / "agents.yaml", folder / "said.txt"
    templates.write_text(AGENTS.format(here=HERE))
    argv = [sys.executable, "-m", "visionflow.cli", "serve", "--json"]
    given = {
        "--port": "0",
        "--web-port": "0",
        "--home": str(folder / "home"),
        "--workspace": str(folder / "workspace"),
        "--agents": str(templates),
    }
    for name, value in given.items():
        if name not in flags:
            argv += [name, value]
    with lines.open("ab") as said:
        process = subprocess.Popen(
            [*argv, *flags],
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, **(environment or {})},
        )
    served = Served(process, lines)
    try:
        if start:
            served.started()
        yield served
    finally:
        with suppress(subprocess.TimeoutExpired):
            served.end()
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def alive(pid: int) -> bool:
    """Whether there is such a process that runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def until(true: Callable[[], bool]) -> None:
    """Wait until it is so, for a bounded time."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come to be in time")
        time.sleep(0.02)
