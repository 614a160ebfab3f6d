"""Claude Code and Codex, each with a fake of its model, drive a whole session: a swarm, an agent,
one too many that is refused, a goal, and what came of it. Over /mcp, and over stdio."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_models import Step, served
from real_clients import program, ran, visionflow

GOAL = "How does the calculator add numbers?"
SAID = "That was all of it."
transports = pytest.mark.parametrize("transport", ["http", "stdio"])


def script(results: list[str]) -> Step:
    """What the model does next."""
    steps: list[Step] = [
        ("swarm_init", {"topology": "hierarchical", "maxAgents": 1}),
        ("agent_spawn", {"type": "researcher", "wait": True}),
        ("agent_spawn", {"type": "researcher"}),
        ("swarm_init", {}),
        ("task_orchestrate", {"task": GOAL}),
    ]
    if len(results) < len(steps):
        return steps[len(results)]
    if len(results) == len(steps):
        task = re.search(r"task_[0-9]+_[a-z0-9]+", results[-1])
        assert task is not None, results
        return "task_results", {"taskId": task[0], "wait": True, "waitTimeout": 60}
    return SAID


def check(results: list[dict[str, Any]], failed: list[bool]) -> None:
    """What the assistant got for each call."""
    made, agent, refused, second, plan, result = results
    assert agent["status"] == "ready" and agent["swarmId"] == made["swarmId"]
    assert failed == [False, False, True, False, False, False]
    assert refused["error"]["code"] == "limit_reached"
    assert "at most 1" in refused["error"]["message"] or "limit is 1" in refused["error"]["message"]
    assert plan["status"] == "orchestrating" and plan["swarmId"] == second["swarmId"]
    assert plan["playbook"] == "explain"
    assert result["status"] == "completed" and result["taskId"] == plan["taskId"]
    assert result["result"]["goal"] == GOAL
    assert any(name == "report.md" for name in result["report"]["files"])


def stdio(tmp_path: Path) -> tuple[str, list[str], dict[str, str]]:
    """The command of a stdio server with a home of its own."""
    command = visionflow("mcp", "--workspace", str(tmp_path / "workspace"))
    return sys.executable, command[1:], {"VISIONFLOW_HOME": str(tmp_path / "own")}


@transports
def test_claude_code_drives_a_session(
    transport: str, server: dict[str, Any], tmp_path: Path
) -> None:
    claude = program("assistants", ".bin/claude")
    command, words, environment = stdio(tmp_path)
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    entry: dict[str, Any] = {"type": "http", "url": f"http://{server['tcp']}/mcp"}
    if transport == "stdio":
        entry = {"type": "stdio", "command": command, "args": words, "env": environment}
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"vf": entry}}))
    flags = """--strict-mcp-config --allowedTools mcp__vf --permission-mode dontAsk --max-turns 12
    --model claude-sonnet-4-5 --no-session-persistence --output-format stream-json --verbose"""
    with served(script) as model:
        done = ran(
            [claude, "-p", "Go", "--mcp-config", config, "--setting-sources", "", *flags.split()],
            tmp_path,
            ANTHROPIC_API_KEY="sk-fake",
            ANTHROPIC_BASE_URL=model.url,
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            DISABLE_TELEMETRY="1",
            DISABLE_ERROR_REPORTING="1",
            DISABLE_AUTOUPDATER="1",
            ENABLE_TOOL_SEARCH="false",
        )
    assert done.returncode == 0 and not model.failed, (model.failed, done.stdout, done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    blocks = [
        block
        for event in events
        if event["type"] == "user"
        for block in event["message"]["content"]
        if block["type"] == "tool_result"
    ]
    texts = [
        block["content"] if isinstance(block["content"], str) else block["content"][0]["text"]
        for block in blocks
    ]
    check([json.loads(text) for text in texts], [block.get("is_error", False) for block in blocks])
    assert events[-1]["result"] == SAID


@transports
def test_codex_drives_a_session(transport: str, server: dict[str, Any], tmp_path: Path) -> None:
    codex = program("assistants", ".bin/codex")
    command, words, environment = stdio(tmp_path)
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    entry = f'url = "http://{server["tcp"]}/mcp"'
    if transport == "stdio":
        own = "".join(f'{name} = "{value}"\n' for name, value in environment.items())
        entry = f'command = "{command}"\nargs = {json.dumps(words)}\n'
        entry += f"startup_timeout_sec = 60\nrequired = true\n[mcp_servers.vf.env]\n{own}"
    home = tmp_path / "codex"
    home.mkdir()
    with served(script) as model:
        (home / "config.toml").write_text(
            f"""model = "fake"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[model_providers.fake]
name = "fake"
base_url = "{model.url}/v1"
wire_api = "responses"
env_key = "FAKE_KEY"
[mcp_servers.vf]
{entry}
"""
        )
        done = ran(
            [codex, "exec", "--json", "--skip-git-repo-check", "Go"],
            tmp_path,
            CODEX_HOME=str(home),
            FAKE_KEY="fake",
        )
    assert done.returncode == 0 and not model.failed, (model.failed, done.stdout, done.stderr)
    items = [
        event["item"]
        for event in map(json.loads, done.stdout.splitlines())
        if event["type"] == "item.completed"
    ]
    calls = [item for item in items if item["type"] == "mcp_tool_call"]
    texts = [call["result"]["content"][0]["text"] for call in calls]
    failed = [call["status"] == "failed" for call in calls]
    check([json.loads(text) for text in texts], failed)
    assert items[-1]["type"] == "agent_message" and items[-1]["text"] == SAID
