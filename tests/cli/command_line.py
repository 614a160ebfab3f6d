"""Runs the command line as its user does, and makes folders of runs without running anything."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.view import as_json, view_of
from visionflow.agents.tools.sarif import sarif
from visionflow.compose.job import RunFolder, create_run

WAIT_S = 60.0
GATES: dict[str, bool | None] = {"tests": True, "syntax": True, "findings": False}
HOSTILE = "evil\x1b[31m\x07name.py"


def visionflow(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    without: tuple[str, ...] = ("NO_COLOR", "FORCE_COLOR", "VISIONFLOW_DEBUG"),
) -> "subprocess.CompletedProcess[str]":
    """Run `visionflow` with these words and wait for it."""
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return subprocess.run(
        [sys.executable, "-P", "-m", "visionflow.cli", *map(str, words)],
        cwd=cwd,
        env={**kept, **(env or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=WAIT_S,
    )


def finished_run(
    workspace: Path, out: Path, *, gates: Mapping[str, bool | None] = GATES, findings: int = 3
) -> RunFolder:
    """A run that is over, as its job would leave it."""
    folder = create_run("Review this repository", workspace, out)
    found = tuple(
        Finding("bandit", "B602", "high", f"Number {n} \x1b[2Jshell", HOSTILE, n + 1)
        for n in range(findings)
    )
    tools = (ToolRun("bandit", "1", found, 1),)
    facts = RunFacts(
        run=folder.run, goal="Review this repository", playbook="test", why="it says so",
        workspace=str(workspace), out=str(folder.path), status="completed", started="",
        seconds=1.5, gates=("findings", *gates), tools=tools,
    )  # fmt: skip
    summary = {**as_json(view_of(facts)), "gates": dict(gates)}
    folder.sarif.write_bytes(sarif(tools))
    folder.report.write_text("# A report\n\nwith \x1b[31mred\x1b[0m words\n", encoding="utf-8")
    folder.page.write_text("<title>A report</title>", encoding="utf-8")
    folder.write_summary(summary)
    folder.mark("completed")
    return folder
