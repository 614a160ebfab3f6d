"""A user of Claude Code and Codex who runs `visionflow` as command lines, in an environment of
nothing but a home, a path and keys. One fake model serves both tools; which conversation is whose
is told by a word in it."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fake_models import Model, Script, Step
from real_clients import environment, program, visionflow

from tests.coding.sample import ACCEPT, make_sample, run_git
from visionflow.compose.job import RunFolder

KEY = "sk-fake-0123456789abcdefghij"
GOAL = "Limit the calls"
RUN_S = 900
"""For a whole run; the machine may be slow."""
BEFORE = '"""How often somebody may call."""\n'
ADDED = """

def limited(calls, most):
    \"\"\"Whether a further call is too many.\"\"\"
    return calls >= most
"""
PATCH = "\n".join(
    (
        "apply_patch <<'END'", "*** Begin Patch", "*** Update File: shop/limits.py", "@@",
        f" {BEFORE.rstrip()}", *(f"+{line}" for line in ADDED.rstrip().split("\n")),
        "*** End Patch", "END",
    )
)  # fmt: skip
"""Codex takes this for its own way of editing and starts no program for it."""
CODEX_CONFIG = """model = "fake"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "CODEX_API_KEY"
"""


def claude(word: str) -> str:
    """Claude Code as `--agent` takes it; its conversation holds the word."""
    return f"claude -p '({word}) {{goal}}'"


def codex(word: str) -> str:
    """The same of Codex."""
    return f"codex exec '({word}) {{goal}}'"


def bash(command: str) -> Step:
    """Claude Code's call that runs a command."""
    return "Bash", {"command": command, "description": "Runs it"}


def shell(command: str) -> Step:
    """Codex's call that runs a command."""
    return "exec_command", {"cmd": command}


def steps(*each: Step) -> Script:
    """A model that does one after the other."""
    return lambda results: each[min(len(results), len(each) - 1)]


def claude_edits(said: str) -> Script:
    """Claude Code looks around, edits with its own tools, and tries what it did."""

    def script(results: list[str]) -> Step:
        place = f"{results[0].strip()}/shop/limits.py" if results else ""
        each: list[Step] = [
            bash("pwd"),
            ("Read", {"file_path": place}),
            ("Edit", {"file_path": place, "old_string": BEFORE, "new_string": BEFORE + ADDED}),
            bash("python3 -c 'from shop.limits import limited; print(limited(3, 3))'"),
            said,
        ]
        return each[len(results)]

    return script


class Ran(NamedTuple):
    """A run that is over."""

    code: int
    folder: RunFolder
    summary: dict[str, Any]
    said: str

    def candidate(self, number: int) -> dict[str, Any]:
        """What the summary tells of one."""
        found = self.summary["contest"]["candidates"]
        return next(each for each in found if each["candidate"] == f"candidate-{number}")


class ToolUser:
    """Somebody with both tools in PATH, a repository, and a home of their own."""

    def __init__(self, folder: Path) -> None:
        self._bin = program("assistants", ".bin/claude").parent
        self.home, self.out = folder / "home", folder / "runs"
        self.home.mkdir()
        self.workspace = make_sample(folder / "shop")

    def environment(self, model: Model) -> dict[str, str]:
        """All that they have in their environment."""
        place = self.home / ".codex/config.toml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(CODEX_CONFIG.format(url=model.url))
        known = environment(
            self.home, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=model.url, CODEX_API_KEY=KEY,
            VISIONFLOW_HOME=str(self.home / ".visionflow"),
        )  # fmt: skip
        return {**known, "PATH": os.pathsep.join((str(self._bin), known["PATH"]))}

    def runs(self, model: Model, agents: Sequence[str], *more: str) -> Ran:
        """A whole run, as its command line tells it."""
        named = [word for agent in agents for word in ("--agent", agent)]
        where = ("--workspace", str(self.workspace))
        words = ("run", GOAL, *named, "--accept", ACCEPT, *where, "--json", *more)
        done = self.visionflow(model, *words)
        assert done.stdout.count("\n") == 1, (done.stdout, done.stderr)
        summary = json.loads(done.stdout)
        folder = RunFolder(self.out / summary["run"])
        return Ran(done.returncode, folder, summary, done.stderr)

    def visionflow(self, model: Model, *words: str) -> "subprocess.CompletedProcess[str]":
        """One command line of ours."""
        return subprocess.run(
            visionflow(*words, "--out", str(self.out)), env=self.environment(model),
            cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_S,
        )  # fmt: skip

    def git(self, *words: str) -> str:
        return run_git(self.workspace, *words)
