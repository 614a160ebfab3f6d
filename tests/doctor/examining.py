"""Makes checks on a place of a test's own, and carries out the command that a finding names."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from visionflow.compose.doctor import Finding, Place, all_checks, examine
from visionflow.interfaces.client.calls import MCPClient

BIN = Path(sys.executable).parent
NOBODYS_PORT = 1


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """That of a user whose home is a folder of the test's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VISIONFLOW", "MCP_", "GIT_", "MAX_AGENTS", "AGENT_TIMEOUT"))
    }
    return {
        **kept,
        "HOME": str(tmp_path / "user"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "VISIONFLOW_HOME": str(tmp_path / "home"),
        **more,
    }


def place(tmp_path: Path, **more: str) -> Place:
    """Where to look: home, workspace and runs in the test's own folder, no server."""
    for name in ("user", "home", "workspace", "tmp"):
        (tmp_path / name).mkdir(exist_ok=True, mode=0o700)
    env = environment(tmp_path, TMPDIR=str(tmp_path / "tmp"), **more)
    return Place(
        home=tmp_path / "home",
        workspace=tmp_path / "workspace",
        out=tmp_path / "workspace" / ".visionflow" / "runs",
        environment=env,
    )


def findings(where: Place, check: str) -> list[Finding]:
    """What one check finds."""
    checks = all_checks(lambda: MCPClient(port=NOBODYS_PORT, retry_attempts=1))
    (made,) = examine(where, [each for each in checks if each.id == check]).checks
    assert made.made, made.told
    return list(made.findings)


def told(where: Place, check: str) -> tuple[bool, str]:
    """Whether a check could be made, and how things stand by it."""
    checks = all_checks(lambda: MCPClient(port=NOBODYS_PORT, retry_attempts=1))
    (made,) = examine(where, [each for each in checks if each.id == check]).checks
    return made.made, made.told


def carry_out(finding: Finding, where: Place) -> None:
    """Run the command that mends it, as a user would type it."""
    assert finding.mend is not None, finding
    done = subprocess.run(
        ["bash", "-c", finding.mend],
        env=dict(where.environment),
        cwd=where.workspace,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def git(folder: Path, *words: str) -> None:
    """Git in a folder of the test's own."""
    subprocess.run(["git", *map(shlex.quote, words)], cwd=folder, check=True, timeout=60)
