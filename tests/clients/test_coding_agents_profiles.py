"""The real Claude Code and Codex, run with the words that our profiles make for them against a
fake of their model: they edit, go on with a conversation, and what their provider refuses is seen
as they say it."""

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_models import Model, Refused, Step, served
from real_clients import environment, program

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.detect import signs_of
from visionflow.agents.command.profiles import PROFILES, SCRIPT, credentials_of
from visionflow.agents.command.reading import Reader, reader_of
from visionflow.agents.command.roles import Role, roles_in
from visionflow.agents.command.template import argv_of, template_of

PATIENCE_S = 120
GOAL = "Add a file with one line"
SAID = "I fixed the 429 handling: a rate limit error now waits."
tools = pytest.mark.parametrize("tool", ["claude", "codex"])
CODEX_CONFIG = """model = "fake"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "CODEX_API_KEY"
"""


class Run:
    """A tool with a home and a workspace of its own."""

    def __init__(self, tool: str, folder: Path) -> None:
        self.program = program("assistants", f".bin/{tool}")
        self.profile = PROFILES[tool]
        self.home, self.workspace = folder / "home", folder / "workspace"
        self.home.mkdir()
        self.workspace.mkdir()

    def go(
        self,
        model: Model,
        *,
        given: str | None = None,
        session: str | None = None,
        before: Usage | None = None,
        roles: Mapping[str, Role] | None = None,
        until: str | None = None,
    ) -> tuple[Reader, int | None]:
        """Run to its end, or to the first permanent refusal, or until it does what `until` says,
        where it is ended with all its processes."""
        template = template_of(given or self.profile.name, roles or {})
        words = argv_of(
            template, goal=GOAL, workspace=str(self.workspace), context="", session=session
        )
        reader = reader_of(self.profile, before or Usage())
        process = subprocess.Popen(
            [str(self.program), *words[1:]],
            env={**environment(self.home), **self.profile.set, **self._provider(model)},
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with process, selectors.DefaultSelector() as ready:
            for name in ("stdout", "stderr"):
                ready.register(getattr(process, name), selectors.EVENT_READ, name)
            while ready.get_map():
                found = ready.select(PATIENCE_S)
                refused = reader.refusal is not None and reader.refusal.kind == "permanent"
                if not found or refused or (until and until in reader.note):
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                for key, _ in found:
                    # Small pieces: lines and characters are broken anywhere.
                    data = os.read(key.fd, 333)
                    reader.feed(key.data, data)
                    if not data:
                        ready.unregister(key.fileobj)
        code = process.returncode if process.returncode >= 0 else None
        reader.close(code)
        return reader, code

    def _provider(self, model: Model) -> dict[str, str]:
        if self.profile.name == "claude":
            return {"ANTHROPIC_API_KEY": "sk-fake", "ANTHROPIC_BASE_URL": model.url}
        (self.home / ".codex").mkdir(exist_ok=True)
        (self.home / ".codex/config.toml").write_text(CODEX_CONFIG.format(url=model.url))
        return {"CODEX_API_KEY": "sk-fake"}

    def runs(self, command: str) -> Step:
        """The tool call that runs a command."""
        if self.profile.name == "claude":
            return "Bash", {"command": command, "description": "Runs it"}
        return "exec_command", {"cmd": command}

    def writes(self, name: str, text: str) -> Step:
        """The tool call that makes a file."""
        place = self.workspace / name
        if self.profile.name == "claude":
            return "Write", {"file_path": str(place), "content": text}
        return "exec_command", {"cmd": f"printf '%s' '{text}' > '{place}'"}


def test_variables_of_every_profile_are_told_apart_from_secrets() -> None:
    for profile in PROFILES.values():
        assert set(profile.secrets) <= set(profile.env)
        assert not any(name.endswith("_URL") for name in profile.secrets)
        assert set(profile.signs) <= {*profile.env, *profile.files}
    assert SCRIPT.env == ()


@tools
@pytest.mark.acceptance("coding-agents")
def test_it_edits_without_being_asked_and_its_figures_are_read(tool: str, tmp_path: Path) -> None:
    run = Run(tool, tmp_path)
    with served(lambda results: SAID if results else run.writes("new.txt", "one")) as model:
        reader, code = run.go(model)
    assert code == 0 and not model.failed, (model.failed, reader.said)
    assert (run.workspace / "new.txt").read_text() == "one"
    assert reader.said == SAID and reader.refusal is None
    assert reader.session and reader.note
    assert reader.usage.input_tokens == reader.usage.output_tokens == len(model.asked) == 2
    cost = reader.usage.cost_microdollars
    assert cost is None if tool == "codex" else cost is not None and cost > 0
    assert GOAL in json.dumps(model.asked[0])


@tools
@pytest.mark.acceptance("coding-agents")
def test_it_goes_on_with_a_conversation_and_each_go_has_its_own_figures(
    tool: str, tmp_path: Path
) -> None:
    run = Run(tool, tmp_path)
    with served(lambda results: SAID if results else run.writes("new.txt", "one")) as model:
        first, _ = run.go(model)
        second, code = run.go(model, session=first.session, before=first.usage)
    assert code == 0 and not model.failed, second.said
    assert second.session == first.session
    assert first.usage.input_tokens == first.usage.output_tokens == 2
    assert second.usage.input_tokens == second.usage.output_tokens == 1
    if tool == "claude":
        costs = (first.usage.cost_microdollars, second.usage.cost_microdollars)
        assert costs[0] == 2 * (costs[1] or 0) > 0
    told = json.dumps(model.asked[-1])
    assert "You were interrupted" in told and SAID in told


@tools
@pytest.mark.acceptance("coding-agents")
def test_killed_in_the_middle_it_goes_on_with_its_conversation(tool: str, tmp_path: Path) -> None:
    run = Run(tool, tmp_path)

    def script(results: list[str]) -> Step:
        steps = [run.writes("new.txt", "one"), run.runs("sleep 600")]
        return steps[len(results)] if len(results) < len(steps) else SAID

    with served(script) as model:
        first, code = run.go(model, until="sleep 600")
        assert code is None and first.session is not None
        second, code = run.go(model, session=first.session, before=first.usage)
    assert code == 0 and second.said == SAID, (model.failed, second.said)
    assert second.session == first.session
    assert first.usage.output_tokens is None
    told = json.dumps(model.asked[-1])
    assert "new.txt" in told and "You were interrupted" in told


PERMANENT = {
    "a bad key": Refused(401, "authentication_error", "invalid x-api-key"),
    "an unknown model": Refused(
        404, "model_not_found", "The model nope does not exist or you do not have access to it."
    ),
    "no access": Refused(403, "permission_error", "Your account does not have access."),
}
NO_MONEY = {
    "claude": Refused(
        400, "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
    ),
    "codex": Refused(
        429, "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
}  # fmt: skip
OWN_WORDS = {
    ("claude", "a bad key"): "Invalid API key",
    ("claude", "an unknown model"): "issue with the selected model",
    ("claude", "no money"): "Credit balance is too low",
    ("codex", "no money"): "Quota exceeded",
}
"""Where a tool puts what its provider said into words of its own."""


@tools
@pytest.mark.parametrize("why", [*PERMANENT, "no money"])
@pytest.mark.acceptance("coding-agents")
def test_a_permanent_refusal_is_seen_after_a_few_requests_with_its_words(
    tool: str, why: str, tmp_path: Path
) -> None:
    answer = NO_MONEY[tool] if why == "no money" else PERMANENT[why]
    with served(lambda results: answer) as model:
        reader, _ = Run(tool, tmp_path).go(model)
    assert reader.refusal is not None, reader.said
    assert reader.refusal.kind == "permanent"
    assert OWN_WORDS.get((tool, why), answer.message) in reader.refusal.message
    assert 1 <= len(model.refused) <= 6
    assert reader.usage.output_tokens in (None, 0)


@tools
def test_a_refusal_that_asks_for_patience_is_told_while_the_tool_waits_and_at_its_end(
    tool: str, tmp_path: Path
) -> None:
    busy = {
        "claude": Refused(529, "overloaded_error", "Overloaded"),
        "codex": Refused(503, "server_is_overloaded", "Overloaded"),
    }[tool]
    with served(lambda results: busy) as model:
        reader, code = Run(tool, tmp_path).go(model)
    assert code == 1
    assert reader.refusal is not None and reader.refusal.kind == "throttled"
    assert len(model.refused) > 1


def test_claude_tells_how_long_its_provider_asked_to_wait(tmp_path: Path) -> None:
    answer = Refused(429, "rate_limit_error", "Too many requests.", {"retry-after": "1"})
    with served(lambda results: answer) as model:
        reader, _ = Run("claude", tmp_path).go(model)
    refusal = reader.refusal
    assert refusal is not None and refusal.kind == "throttled"
    assert "Too many requests." in refusal.message
    assert refusal.wait_ms is not None and refusal.wait_ms >= 1_000


@tools
def test_a_refusal_that_passed_by_is_none(tool: str, tmp_path: Path) -> None:
    left = [2]
    busy = Refused(429, "rate_limit_error", "Too many requests.", {"retry-after": "1"})

    def script(results: list[str]) -> Step:
        left[0] -= 1
        return SAID if left[0] < 0 else busy

    with served(script) as model:
        reader, code = Run(tool, tmp_path).go(model)
    assert code == 0 and reader.said == SAID
    assert len(model.refused) == 2 and reader.refusal is None


def test_claude_without_any_key_says_so_at_once(tmp_path: Path) -> None:
    class Keyless(Run):
        def _provider(self, model: Model) -> dict[str, str]:
            return {"ANTHROPIC_BASE_URL": model.url}

    with served(lambda results: SAID) as model:
        reader, code = Keyless("claude", tmp_path).go(model)
    assert reader.refusal is not None and reader.refusal.kind == "permanent"
    assert "Not logged in" in reader.refusal.message
    assert not model.asked and code != 0


LOGINS: dict[str, dict[str, Any]] = {
    "claude": {
        "claudeAiOauth": {
            "accessToken": "sk-of-the-login",
            "refreshToken": "sk-to-renew-it",
            "expiresAt": 4_000_000_000_000,
            "scopes": ["user:inference"],
        }
    },
    "codex": {"OPENAI_API_KEY": "sk-of-the-login"},
}


@tools
@pytest.mark.acceptance("coding-agents")
def test_a_copy_of_the_files_that_its_profile_names_lets_it_in(tool: str, tmp_path: Path) -> None:
    users = tmp_path / "users-home"
    place = users / {"claude": ".claude/.credentials.json", "codex": ".codex/auth.json"}[tool]
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(LOGINS[tool]))
    (place.parent / "history.jsonl").write_text("private")

    class LoggedIn(Run):
        def _provider(self, model: Model) -> dict[str, str]:
            if tool == "codex":
                config = f'openai_base_url = "{model.url}/v1"\n'
                (users / ".codex/config.toml").write_text(config)
            for name, source in credentials_of(self.profile, users, {}):
                (self.home / name).parent.mkdir(exist_ok=True)
                (self.home / name).write_bytes(source.read_bytes())
            return {"ANTHROPIC_BASE_URL": model.url} if tool == "claude" else {}

    run = LoggedIn(tool, tmp_path)
    with served(lambda results: SAID) as model:
        reader, code = run.go(model)
    assert code == 0 and reader.refusal is None, reader.said
    assert set(model.keys) == {"Bearer sk-of-the-login"}
    assert signs_of(run.profile, users, {}) == (str(place.relative_to(users)),)


def test_claude_is_a_role_with_its_prompt_its_tools_and_its_model(tmp_path: Path) -> None:
    run = Run("claude", tmp_path)
    folder = run.workspace / ".claude" / "agents"
    folder.mkdir(parents=True)
    (folder / "reviewer.md").write_text(
        "---\nname: reviewer\ndescription: Looks at changes\ntools: Read, Write\n"
        "model: claude-haiku-4-5\n---\n\nYou are the strictest of all reviewers.\n"
    )
    with served(lambda results: SAID if results else run.writes("new.txt", "one")) as model:
        reader, code = run.go(model, given="@reviewer", roles=roles_in(run.workspace, None))
    assert code == 0 and reader.said == SAID, (model.failed, reader.said)
    asked = model.asked[0]
    assert "You are the strictest of all reviewers." in json.dumps(asked["system"])
    assert asked["model"].startswith("claude-haiku-4-5")
    assert {tool["name"] for tool in asked["tools"]} == {"Read", "Write"}
    assert (run.workspace / "new.txt").read_text() == "one"


@tools
@pytest.mark.parametrize("goal", ["--version", "doctor", "resume"])
def test_a_goal_is_never_an_option_or_a_command_of_the_tool(
    tool: str, goal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.GOAL", goal)
    with served(lambda results: SAID) as model:
        reader, code = Run(tool, tmp_path).go(model)
    assert code == 0 and reader.said == SAID
    assert goal in json.dumps(model.asked[0])
