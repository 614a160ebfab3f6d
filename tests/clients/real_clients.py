"""Programs of others, and a real server for them to talk to. Each runs in an empty environment with
a home of its own, so that no configuration or key of the machine's user is read."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".clients"
PATIENCE_S = 120


def program(group: str, path: str) -> Path:
    """A program that `make programs` installed; skips the test where it is not."""
    found = CLIENTS / group / "node_modules" / path
    if not found.exists():
        pytest.skip(f"clients of the group {group} are not installed (make programs, needs npm)")
    return found


def node() -> Path:
    """The Node of the suites: the machine's may be too old for them."""
    return program("suites", "node/bin/node")


def environment(home: Path, **more: str) -> dict[str, str]:
    """All that a client is told of the machine."""
    path = os.pathsep.join((str(node().parent), "/usr/local/bin", "/usr/bin", "/bin"))
    return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", **more}


def ran(command: list[str | Path], home: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a client to its end."""
    return subprocess.run(
        [str(word) for word in command],
        env=environment(home, **more),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def visionflow(*words: str) -> list[str]:
    """A command line of ours."""
    return [sys.executable, "-P", "-m", "visionflow.cli", *words]


def workspace(folder: Path) -> Path:
    """A small repository."""
    folder.mkdir()
    (folder / "calc.py").write_text(
        'def add(a, b):\n    """Adds two numbers."""\n    return a + b\n'
    )
    (folder / "README.md").write_text("# Calc\n\nThe calculator adds numbers.\n")
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a"]
    for words in (["init", "-q", "."], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=folder, check=True, timeout=PATIENCE_S)
    return folder


@contextmanager
def served(folder: Path) -> Generator[dict[str, Any]]:
    """`visionflow serve` on free ports; what it says of itself."""
    command = visionflow("serve", "--port", "0", "--web-port", "0", "--json")
    home = folder / "home"
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--workspace", str(workspace(folder / "workspace"))],
            env={**os.environ, "VISIONFLOW_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, (folder / "serve.log").read_text()
            yield json.loads(line)
        finally:
            server.terminate()
            try:
                server.wait(30)
            finally:
                server.kill()
                server.wait(10)
                assert server.stdout is not None
                server.stdout.close()
