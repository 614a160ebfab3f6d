"""The real Claude Code and Codex as coding agents of ours: confined, with a home of their own, in a
working copy, against a fake of their model."""

import asyncio
import inspect
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_models import Model, Refused, Step, served
from real_clients import node, program

from tests.coding.sample import make_sample
from visionflow.adapters.confine import OsSandbox
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents import PermanentFailure, Task
from visionflow.agents.base import AgentContext, current_attempt
from visionflow.agents.candidates.values import Attempted
from visionflow.agents.command.agent import CommandAgent
from visionflow.compose.local_asking import LocalAsking

KEY = "sk-fake-0123456789abcdefghij"
SAID = "It is done."
tools = pytest.mark.parametrize("tool", ["claude", "codex"])
pytestmark = pytest.mark.acceptance("coding-agents", "confine")
CODEX_CONFIG = """model = "fake"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "CODEX_API_KEY"
"""


class Attempt:
    """Steps without a worker: each runs, none is remembered."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.asking = LocalAsking()

    async def step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        value = await call(*args) if inspect.iscoroutinefunction(call) else call(*args)
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))

    def progress(self, fraction: float | None, note: str) -> None:
        self.notes.append(note)


class Run:
    """A user with a tool, a workspace, and a run on it."""

    def __init__(self, tool: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.tool, self.folder = tool, folder
        self.program = program("assistants", f".bin/{tool}")
        self.home = folder / "user"
        self.home.mkdir()
        (self.home / "diary.txt").write_text("nobody's business\n")
        self.workspace = make_sample(folder / "shop")
        self.task = folder / "run" / "state" / "coding" / "candidate-1"
        self._patch = patch

    def attempt(self, model: Model, until: Callable[[], bool] | None = None) -> Attempted | None:
        """Do the task once; where `until` comes true before, it is cancelled."""
        self._environment(model)
        sandbox = OsSandbox()
        context = AgentContext(
            folder=self.folder / "agent", blobs=MemoryBlobs(), open_sandbox=lambda: sandbox,
            write_log=lambda *_: None,
        )  # fmt: skip
        config = {"command": f"{self.program} {'-p' if self.tool == 'claude' else 'exec'} {{goal}}"}
        agent = CommandAgent("a", "a", "coder", config, context)
        state = self.folder / "run" / "state"
        given = {
            "workspace": str(self.workspace), "repository": str(state / "repository"),
            "folder": str(state / "coding"), "governor": str(self.folder / "governor"),
            "plan_task": "candidate-1", "run": "r1", "goal": "Add a file with one line",
        }  # fmt: skip
        return asyncio.run(self._done(agent, Task(id="t", type="implement", input=given), until))

    async def _done(
        self, agent: CommandAgent, task: Task, until: Callable[[], bool] | None
    ) -> Attempted | None:
        current_attempt.set(Attempt())  # pyright: ignore[reportArgumentType]
        work = asyncio.ensure_future(agent.process_task(task))
        deadline = time.monotonic() + 240
        while not work.done() and time.monotonic() < deadline:
            if until is not None and until():
                break
            await asyncio.sleep(0.05)
        if work.done():
            return msgspec.convert((await work)["attempted"], Attempted)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return None

    def _environment(self, model: Model) -> None:
        named = {"HOME": str(self.home), "PATH": f"{node().parent}:/usr/local/bin:/usr/bin:/bin"}
        if self.tool == "claude":
            named |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.url}
        else:
            named |= {"CODEX_API_KEY": KEY}
            (self.home / ".codex").mkdir(exist_ok=True)
            (self.home / ".codex/config.toml").write_text(CODEX_CONFIG.format(url=model.url))
        named["VISIONFLOW_HOME"] = str(self.folder / "secret-home")
        for name, value in named.items():
            self._patch.setenv(name, value)

    def runs(self, command: str) -> Step:
        """The tool call that runs a command."""
        if self.tool == "claude":
            return "Bash", {"command": command, "description": "Runs it"}
        return "exec_command", {"cmd": command}

    def steps(self, *commands: str) -> Callable[[list[str]], Step]:
        """A model that has these commands run and then is done."""

        def script(results: list[str]) -> Step:
            return self.runs(commands[len(results)]) if len(results) < len(commands) else SAID

        return script

    def left_alive(self) -> list[int]:
        """Processes that work in the task's folder."""
        found: list[int] = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.task) in os.readlink(each / "cwd"):
                    found.append(int(each.name))
            except OSError:
                continue
        return found


@tools
def test_it_works_in_its_copy_and_nowhere_else(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tool, tmp_path, monkeypatch)
    diary = run.home / "diary.txt"
    script = run.steps(
        "printf one > new.txt && git add new.txt && git commit -qm 'a file' && git status",
        f"cat {diary}; echo more >> {diary}; env",
    )
    with served(script) as model:
        done = run.attempt(model)
    assert done is not None
    assert (done.outcome, done.reason, done.violations) == ("changed", None, ())
    assert (done.files, done.commits, done.profile) == (("new.txt",), 1, tool)
    assert done.summary == SAID
    assert done.usage.output_tokens == len(model.asked) == 3
    assert done.session is not None
    assert any(each.startswith("files by") for each in done.held)
    assert not any(each.startswith("network by") for each in done.held)
    assert diary.read_text() == "nobody's business\n"
    assert "nobody's business" not in json.dumps(model.asked)
    assert "TERM=dumb" in json.dumps(model.asked[-1])
    assert "VISIONFLOW_HOME" not in json.dumps(model.asked[-1])
    everything = [each for each in (tmp_path / "run").rglob("*") if each.is_file()]
    assert not [each for each in everything if KEY.encode() in each.read_bytes()]
    assert not (run.task / "home").exists()


@tools
def test_interrupted_it_goes_on_with_its_own_session(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tool, tmp_path, monkeypatch)
    hung: list[str] = []

    def script(results: list[str]) -> Step:
        """It hangs once. Whether the tool still wrote down the result of what was interrupted is
        its own affair, so the results do not tell that."""
        if not results:
            return run.runs("printf one > first.txt")
        if not hung:
            hung.append("tail -f /dev/null")
            return run.runs(hung[0])
        if len(hung) == 1:
            hung.append("printf two > second.txt")
            return run.runs(hung[1])
        return SAID

    with served(script) as model:
        gone = run.attempt(model, until=lambda: len(model.asked) >= 2 and _hangs(run))
        assert gone is None
        assert run.left_alive() == []
        done = run.attempt(model)
    assert done is not None
    assert (done.outcome, done.goes) == ("changed", ("started", "resumed")), done
    assert {"first.txt", "second.txt"} <= set(done.files)
    assert "You were interrupted" in json.dumps(model.asked[-1])


def _hangs(run: Run) -> bool:
    return any(
        b"tail\x00-f" in Path(f"/proc/{each}/cmdline").read_bytes() for each in run.left_alive()
    )


@tools
def test_a_key_that_is_refused_fails_it_with_the_providers_words(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tool, tmp_path, monkeypatch)
    answer = Refused(401, "authentication_error", "invalid x-api-key")
    words = {"claude": "Invalid API key", "codex": "invalid x-api-key"}[tool]
    with served(lambda results: answer) as model, pytest.raises(PermanentFailure, match=words):
        run.attempt(model)
    assert len(model.refused) <= 6
    assert run.left_alive() == []


@tools
def test_one_that_moves_a_foreign_branch_is_named_for_it(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tool, tmp_path, monkeypatch)
    script = run.steps(
        "printf one > new.txt; git branch -f main $(git commit-tree -m x HEAD^{tree})"
    )
    with served(script) as model:
        done = run.attempt(model)
    assert done is not None
    assert done.outcome == "violation"
    assert [each.rule for each in done.violations] == ["foreign_branch"]
