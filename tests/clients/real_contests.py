"""A user with Claude Code and Codex in PATH, whose candidates each have a fake of their model."""

import json
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest
from fake_models import Model, Script, Step, served
from real_clients import node, program

from tests.coding.sample import make_sample
from visionflow.agents.command.profiles import PROFILES

TOOLS = ("claude", "codex")
SAID = "It is done."
GOOD = (
    "printf '\\n\\ndef limited(calls, most):\\n    return calls >= most\\n' >> shop/limits.py"
    " && git add --all && git commit --quiet -m 'limit the calls'"
)
KEYS = {
    "ANTHROPIC_API_KEY": "sk-fake-0123456789abcdefghij",
    "CODEX_API_KEY": "sk-fake-abcdefghij0123456789",
}
_CODEX = """model = "fake"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
env_key = "CODEX_API_KEY"
"""
"""Where its model is, each candidate is told on its command line."""


def runs(tool: str, command: str) -> Step:
    """The tool call that runs a command."""
    if tool == "claude":
        return "Bash", {"command": command, "description": "Runs it"}
    return "exec_command", {"cmd": command}


def once(tool: str, command: str, said: str = SAID) -> Script:
    """A model that has one command run and then is done."""
    return lambda results: said if results else runs(tool, command)


class Contestants:
    """Both programs, the sample as the user's repository, and a home of the user's own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        found = {program("assistants", f".bin/{each}").parent for each in TOOLS}
        self.workspace = make_sample(folder / "shop")
        self.home = folder / "me"
        (self.home / ".codex").mkdir(parents=True)
        (self.home / ".codex/config.toml").write_text(_CODEX)
        self._stack = stack
        for tool in TOOLS:
            for name in (*PROFILES[tool].env, *PROFILES[tool].homes):
                patch.delenv(name, raising=False)
        path = [*map(str, sorted(found)), str(node().parent), "/usr/local/bin:/usr/bin:/bin"]
        named = {"HOME": str(self.home), "VISIONFLOW_HOME": str(folder / "home"), **KEYS}
        for name, value in {**named, "PATH": ":".join(path)}.items():
            patch.setenv(name, value)

    def command(self, tool: str, script: Script, *words: str) -> tuple[str, Model]:
        """The command line of a candidate whose model does what the script says; `words`: of its
        own, before the goal."""
        model = self._stack.enter_context(served(script))
        if tool == "claude":
            where = json.dumps({"env": {"ANTHROPIC_BASE_URL": model.url}})
            command = [tool, "-p", *words, "{goal}", "--settings", where]
        else:
            url = f'model_providers.fake.base_url="{model.url}/v1"'
            command = [tool, "exec", "-c", url, *words, "{goal}"]
        return shlex.join(command), model
