"""Words of a command line as arguments of a tool, and what the commands around them print."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer

from visionflow.cli.toolwords import example_of, help_of, understand
from visionflow.domain.errors import UsageError
from visionflow.interfaces.tools.all import ORDER, catalogue

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def heard(line: str) -> dict[str, Any]:
    tool, *words = shlex.split(line)
    return understand(catalogue().get(tool), words).arguments


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("swarm_init mesh", {"topology": "mesh"}),
        ("swarm_init --topology=mesh --maxAgents 12", {"topology": "mesh", "maxAgents": 12}),
        ("swarm_init --max-agents=3", {"maxAgents": 3}),
        ("topology_optimize swarm_1 --apply", {"swarmId": "swarm_1", "apply": True}),
        ("coordination_sync swarm_1", {"swarmId": "swarm_1"}),
        ("swarm_init --max_agents=3", {"maxAgents": 3}),
        ("agent_spawn coder --wait", {"agentType": "coder", "wait": True}),
        ("agent_spawn coder --wait false", {"agentType": "coder", "wait": False}),
        ("agent_spawn --type=coder", {"type": "coder"}),
        (
            "agent_spawn coder --capabilities=a,b --wait-timeout 5s",
            {"agentType": "coder", "capabilities": "a,b", "waitTimeout": "5s"},
        ),
        (
            "agent_spawn coder --config='{\"timeout\": 5}'",
            {"agentType": "coder", "config": '{"timeout": 5}'},
        ),
        ("task_orchestrate 'say --not an option'", {"task": "say --not an option"}),
        ("memory_store --key=k --value='{\"a\": [1]}'", {"key": "k", "value": {"a": [1]}}),
        ('memory_store --args=\'{"key": "k", "value": 1}\'', {"key": "k", "value": 1}),
        ("agent_message a '[1, {}]'", {"agentId": "a", "message": [1, {}]}),
        ("agent_message a 'say {'", {"agentId": "a", "message": "say {"}),
        (
            'agent_message a --args=\'{"message": "{\\"text\\":"}\'',
            {"agentId": "a", "message": '{"text":'},
        ),
        (
            'agent_message a --args=\'{"message": "[1]"}\' --type=n',
            {"agentId": "a", "message": "[1]", "type": "n"},
        ),
        ("task_orchestrate '[urgent] mend it'", {"task": "[urgent] mend it"}),
        ("agent_list --capability='[x]'", {"capability": "[x]"}),
    ],
)
def test_words_become_arguments(line: str, arguments: dict[str, Any]) -> None:
    assert heard(line) == arguments


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("task_orchestrate x --idempotencyKey=k", "k"),
        ('task_orchestrate --args=\'{"task": "x", "idempotencyKey": "k"}\'', "k"),
        (
            'task_orchestrate --args=\'{"task": "x", "idempotencyKey": "k"}\' --idempotency-key=l',
            "l",
        ),
        ("task_orchestrate x", None),
    ],
)
def test_a_key_is_taken_as_a_word_and_within_the_object(line: str, key: str | None) -> None:
    tool, *words = shlex.split(line)
    spoken = understand(catalogue().get(tool), words)
    assert (spoken.key, spoken.arguments) == (key, {"task": "x"})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("swarm_init mesh again", "'again' was not expected: TOPOLOGY is there already"),
        ("swarm_list now", "'now' was not expected: what swarm_list takes is written --NAME"),
        ("swarm_init mesh --topology=ring", "given twice"),
        ("swarm_init --topology", "--topology needs a value"),
        ("swarm_init round", "hierarchical, mesh"),
        ("swarm_init --maxAgent=3", "maxAgents"),
        ("swarm_init --maxAgents=many", "maxAgents"),
        ("agent_spawn", "agentType is missing"),
        ("agent_spawn coder --wait=perhaps", "wait"),
        ("memory_store --args='[1]'", "JSON object"),
        ("memory_store k 1 --args='{\"idempotencyKey\": 1}'", "idempotencyKey is 1, not a text"),
    ],
)
def test_a_slip_is_told_without_a_server(line: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        heard(line)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("agent_message a '{\"text\":'", "message begins like JSON and is none: it ends after 8"),
        ("agent_message a '{\"text\" 1}'", "expected ':' (byte 8)"),
        ("memory_store k '[draft] of it'", "(byte 1)"),
        ("agent_inbox a --acknowledge='[17,18'", "it ends after 6 characters"),
        ("daa_communication all '{\"text\":'", "it ends after 8 characters"),
    ],
)
def test_what_begins_like_json_and_is_none_is_refused_with_the_place(line: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        heard(line)
    assert place in str(caught.value)
    assert "message" not in line.split()[0] or "--args" in (caught.value.hint or "")


def test_the_help_of_every_tool_names_its_arguments_and_an_example_that_is_understood() -> None:
    for tool in catalogue().tools.values():
        text = help_of(tool, tool.name)
        for name in tool.input_schema["properties"]:
            if name not in tool.arguments.ALIASES:
                assert f"--{name} " in text, (tool.name, name)
        _, *words = shlex.split(example_of(tool, tool.name))
        understand(tool, words)


def test_every_name_of_the_guide_is_a_program_and_no_other() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    named = [n.removeprefix("mcp__claude-flow__") for n in scripts if n.startswith("mcp__")]
    assert sorted(named) == sorted(ORDER)


def ran(program: str, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(BIN / program), *words],
        env={**os.environ, "MCP_TCP_PORT": "1", **env},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_a_tool_that_does_not_exist_yet_ends_with_69_and_says_what_it_waits_for() -> None:
    for done in (ran("mcp__claude-flow__bottleneck_analyze"), ran("visionflow", "call", "alerts")):
        assert (done.returncode, done.stdout) == (69, "")
        assert "does not exist yet. It comes with" in done.stderr


def test_an_unknown_tool_is_a_slip_with_the_near_one_named() -> None:
    done = ran("visionflow", "call", "swarm_inti")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean swarm_init?" in done.stderr


def test_without_a_server_it_says_so_with_69() -> None:
    done = ran("visionflow", "call", "swarm_list")
    assert (done.returncode, done.stdout) == (69, "")
    assert "visionflow serve" in done.stderr


def test_the_checks_of_the_port_fail_where_nobody_listens() -> None:
    for program in ("mcp-tcp-status", "mcp-tcp-test"):
        done = ran(program)
        assert done.returncode == 1
        assert json.loads(done.stdout)["ok"] is False
    assert ran("mcp-tcp-test", "--nonsense").returncode == 2


def test_a_list_of_tools_goes_into_a_pipe_that_closes_early() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.quote(str(BIN / 'visionflow'))} call | head -1"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage:")


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_stands_in_the_way_of_what_is_waited_for_is_said_to_a_person(
    on_terminal: bool,
) -> None:
    answers: dict[str, dict[str, Any]] = {
        "task_orchestrate": {"warnings": ["first\x1b[31m", "second"], "reason": "second"},
        "task_results": {"reason": "No agent is there.", "status": "queued"},
    }
    said = {
        "task_orchestrate": "warning: first\nwarning: second\n",
        "task_results": "warning: it is queued: No agent is there.\n",
    }

    async def ask(tool: str, server: FakeServer, *more: str) -> tuple[str, str, int | None]:
        mine, theirs = os.openpty()
        try:
            words = (tool, "x", "--wait", "--server", f"127.0.0.1:{server.port}", *more)
            process = await asyncio.create_subprocess_exec(
                BIN / "visionflow", "call", *words, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=theirs if on_terminal else subprocess.PIPE,
            )  # fmt: skip
            told, seen = await asyncio.wait_for(process.communicate(), PATIENCE_S)
            if on_terminal:
                os.set_blocking(mine, False)
                seen = os.read(mine, 10_000).replace(b"\r", b"")
        finally:
            os.close(mine)
            os.close(theirs)
        return told.decode(), seen.decode(), process.returncode

    def script(asked: dict[str, Any]) -> dict[str, Any]:
        return {"result": answers[asked["params"]["name"]]}

    async def use() -> None:
        async with FakeServer(script) as server:
            for tool, answer in answers.items():
                told, seen, code = await ask(tool, server)
                assert json.loads(told) == answer
                assert seen == (said[tool] if on_terminal else "")
                assert code == ("status" in answer), "nobody can do it: there is no result"
            *_, code = await ask("task_results", server, "--wait-timeout", "5s")
            assert code == 0, "so long was to be waited"

    asyncio.run(use())
