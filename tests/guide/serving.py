"""A real server for tests of the guide: `visionflow serve`, on ports of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
START_S_MAX = 60
STOP_S_MAX = 30


class Served:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]", said: dict[str, Any], home: Path) -> None:
        self.process = process
        self.said = said
        self.home = home

    @property
    def port(self) -> int:
        return int(str(self.said["tcp"]).rsplit(":", 1)[-1])

    @property
    def web_port(self) -> int:
        return int(str(self.said["web"]).rstrip("/").rsplit(":", 1)[-1])

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command that means this server."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("VISIONFLOW", "MCP_"))}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return {
            **kept, "PATH": path, "VISIONFLOW_HOME": str(self.home), "MCP_TCP_PORT": str(self.port),
        }  # fmt: skip


@contextmanager
def serving(home: Path, workspace: Path, *flags: str) -> Iterator[Served]:
    """Start it, and end it in order."""
    argv = [
        str(BIN / "visionflow"), "serve", "--home", str(home), "--port", "0", "--web-port", "0",
        "--workspace", str(workspace), "--json", *flags,
    ]  # fmt: skip
    log = home.parent / "serve.err"
    with log.open("w") as errors:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start: {log.read_text()}"
        yield Served(process, json.loads(line), home)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
