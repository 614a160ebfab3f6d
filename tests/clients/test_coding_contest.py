"""Whole runs with the real Claude Code and Codex as candidates, against fakes of their models."""

import json
import os
import shlex
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_models import Model, Script, Step, served
from real_clients import node, program

from tests.coding.sample import ACCEPT, make_sample, run_git
from visionflow.agents.roles.job import CodingBounds
from visionflow.compose.applying import apply_run
from visionflow.compose.job import CodingWish, Outcome, RunFolder, create_run, execute

pytestmark = pytest.mark.acceptance("coding-agents")
EVERY = os.environ.get("VISIONFLOW_RELEASE") == "1"
TOOLS = ("claude", "codex")
EVERYBODY = ("good", "foreign", "breaks", "hangs", "floods")
"""All of them before a release only: they take minutes."""
SAID = "It is done."
GOOD = (
    "printf '\\n\\ndef limited(calls, most):\\n    return calls >= most\\n' >> shop/limits.py"
    " && git add --all && git commit --quiet -m 'limit the calls'"
)
BREAKS = f"sed -i 's/price \\* count/price + count/' shop/prices.py && {GOOD}"
FOREIGN = f"{GOOD} && git branch --force main HEAD"
FLOOD = "x" * 2_000_000
CODEX = (
    'model = "fake"\nmodel_provider = "fake"\n[model_providers.fake]\nname = "fake"\n'
    'base_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "CODEX_API_KEY"\n'
)


def runs(tool: str, command: str) -> Step:
    """The tool call that runs a command."""
    if tool == "claude":
        return "Bash", {"command": command, "description": "Runs it"}
    return "exec_command", {"cmd": command}


def once(tool: str, command: str, said: str = SAID) -> Script:
    """A model that has one command run and then is done."""
    return lambda results: said if results else runs(tool, command)


class Contestants:
    """Both programs, each candidate with a model of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.programs = {each: program("assistants", f".bin/{each}") for each in TOOLS}
        self.workspace = make_sample(folder / "shop")
        self.home = folder / "me"
        (self.home / ".codex").mkdir(parents=True)
        self._stack = stack
        named = {
            "HOME": str(self.home), "PATH": f"{node().parent}:/usr/local/bin:/usr/bin:/bin",
            "ANTHROPIC_API_KEY": "sk-fake-0123456789abcdefghij",
            "CODEX_API_KEY": "sk-fake-abcdefghij0123456789",
            "VISIONFLOW_HOME": str(folder / "home"),
        }  # fmt: skip
        for name, value in named.items():
            patch.setenv(name, value)

    def command(self, tool: str, script: Script) -> tuple[str, Model]:
        """The command line of a candidate whose model does what the script says."""
        model = self._stack.enter_context(served(script))
        if tool == "claude":
            where = json.dumps({"env": {"ANTHROPIC_BASE_URL": model.url}})
            words = [str(self.programs[tool]), "-p", "{goal}", "--settings", where]
        else:
            (self.home / ".codex/config.toml").write_text(CODEX.format(url=model.url))
            url = f'model_providers.fake.base_url="{model.url}/v1"'
            words = [str(self.programs[tool]), "exec", "-c", url, "{goal}"]
        return shlex.join(words), model

    def run(self, out: Path, *commands: str, **bounds: Any) -> tuple[RunFolder, Outcome]:
        """A run with these candidates."""
        wish = CodingWish(
            agents=commands, accept=(ACCEPT,), bounds=CodingBounds(**{"wall_ms": 240_000, **bounds})
        )
        folder = create_run("Limit the calls", self.workspace, out, coding=wish)
        stop, kill = threading.Event(), threading.Event()
        done = execute(folder, on_progress=lambda _: None, stop=stop, kill=kill)
        return folder, done


@pytest.fixture
def contestants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contestants]:
    with ExitStack() as stack:
        yield Contestants(tmp_path, monkeypatch, stack)


def test_the_good_one_of_claude_code_and_codex_wins_and_is_applied(
    tmp_path: Path, contestants: Contestants
) -> None:
    head = run_git(contestants.workspace, "rev-parse", "HEAD")
    good, _ = contestants.command("claude", once("claude", GOOD))
    breaks, _ = contestants.command("codex", once("codex", BREAKS))
    folder, done = contestants.run(tmp_path / "out", good, breaks)
    contest = done.summary["contest"]
    lines = {each["candidate"]: each for each in contest["candidates"]}
    assert (done.status, done.exit_code, contest["winner"]) == ("completed", 0, "candidate-1")
    assert lines["candidate-1"]["standing"] == "taken"
    assert lines["candidate-2"]["standing"] == "not_good"
    assert any("test_three_cost" in each for each in lines["candidate-2"]["broken"])
    for each in lines.values():
        assert each["tokens"] is not None and each["commits"] == 1 and each["confined"] is True
    assert run_git(contestants.workspace, "rev-parse", "HEAD") == head
    assert run_git(contestants.workspace, "status", "--porcelain") == ""
    applied = apply_run(folder)
    assert applied.brought.files == ("shop/limits.py",)
    shown = run_git(contestants.workspace, "show", f"{applied.brought.branch}:shop/limits.py")
    assert "def limited" in shown


@pytest.mark.parametrize("names", [EVERYBODY if EVERY else EVERYBODY[:2]], ids=len)
def test_each_of_the_others_is_named_for_what_it_did(
    tmp_path: Path, contestants: Contestants, names: tuple[str, ...]
) -> None:
    over = threading.Event()

    def never(results: list[str]) -> Step:
        over.wait(300)
        return SAID

    scripts: dict[str, tuple[str, Script]] = {
        "good": ("codex", once("codex", GOOD)),
        "foreign": ("claude", once("claude", FOREIGN)),
        "breaks": ("claude", once("claude", BREAKS)),
        "hangs": ("codex", never),
        "floods": ("claude", once("claude", "true", FLOOD)),
    }
    commands = [contestants.command(*scripts[name])[0] for name in names]
    out = tmp_path / "out"
    _, done = contestants.run(out, *commands, wall_ms=90_000, output_bytes=1_500_000)
    over.set()
    contest = done.summary["contest"]
    lines = sorted(contest["candidates"], key=lambda each: each["candidate"])
    told = dict(zip(names, lines, strict=True))
    assert contest["winner"] == told["good"]["candidate"]
    assert "branch main" in " ".join(told["foreign"]["violations"])
    ends = {"foreign": "violation", "breaks": "changed", "hangs": "timed_out", "floods": "flooded"}
    assert {name: told[name]["outcome"] for name in names if name != "good"} == {
        name: end for name, end in ends.items() if name in names
    }
    for each in (told[name] for name in names if name == "breaks"):
        assert each["standing"] == "not_good" and each["broken"]
