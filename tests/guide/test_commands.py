"""Every shell command of the guide, one after another and as typed, against one running server."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide_text import ABSENT, GUIDE, commands, tool_of
from serving import Served, serving

from visionflow.interfaces.tools.all import catalogue

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT)
HERE = Path(__file__).parent
DOCKER = """\
#!/usr/bin/env bash
# `docker exec CONTAINER COMMAND` runs the command, `docker logs` prints the server's log.
set -euo pipefail
if [ "$1" = exec ]; then shift 2; exec "$@"; fi
if [ "$1" = logs ]; then cat "$VISIONFLOW_HOME/server/visionflow.log"; exit 0; fi
echo "docker $1 is not here" >&2; exit 64
"""
COMMAND_S_MAX = 120
NOT_BUILT = 69
OTHERS_AGENTS = ('--agentId="agent_1757967065850_dv2zg7"', "--agentId=X")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("guide")
    workspace = place / "work"
    workspace.mkdir()
    (workspace / "auth.py").write_text("def login(user):\n    return user\n")
    shims = place / "bin"
    shims.mkdir()
    (shims / "docker").write_text(DOCKER)
    (shims / "docker").chmod(0o755)
    with serving(place / "home", workspace) as found:
        yield found


def run(server: Served, command: str) -> "subprocess.CompletedProcess[str]":
    """As typed, but for the ports, which are this server's."""
    text = command.replace("localhost:9500", f"localhost:{server.port}")
    text = text.replace("localhost:3000", f"localhost:{server.web_port}")
    env = {**server.env, "PATH": f"{server.home.parent / 'bin'}:{server.env['PATH']}"}
    strict = ("-o", "pipefail") if "jq" in command else ()
    return subprocess.run(
        ["bash", *strict, "-c", text],
        env=env, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False,
    )  # fmt: skip


def meant(server: Served, command: str) -> str:
    """With an agent that there is, where the guide has a placeholder, an agent of its own, or takes
    agents for granted."""
    if "daa_consensus" in command:
        # "all" are the agents of the latest swarm: the one that the guide began last is empty.
        run(server, "mcp__claude-flow__agent_spawn researcher --wait")
        run(server, "mcp__claude-flow__agent_spawn tester --wait")
    for word in OTHERS_AGENTS:
        if word in command:
            spawned = run(server, "mcp__claude-flow__agent_spawn researcher --wait").stdout
            return command.replace(word, f"--agentId={json.loads(spawned)['agentId']}")
    return command


def outside() -> dict[str, str]:
    with (HERE / "commands.toml").open("rb") as file:
        return {each["starts"]: each["why"] for each in tomllib.load(file)["outside"]}


@pytest.mark.acceptance("cli", "wire-http")
def test_every_command_works_as_typed_or_says_what_it_waits_for(server: Served) -> None:
    registry, others = catalogue(), outside()
    told: list[str] = []
    for command in commands():
        if any(command.startswith(start) for start in others):
            continue
        tool = tool_of(command)
        done = run(server, meant(server, command))
        later = tool is not None and tool in registry.later
        if later and done.returncode == NOT_BUILT and "does not exist yet" in done.stderr:
            continue
        if later or done.returncode != 0:
            told.append(
                f"{command!r}: {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}"
            )
        elif "curl" in command and "jsonrpc" in command and "error" in json.loads(done.stdout):
            told.append(f"{command!r}: {done.stdout}")
    assert not told, "\n".join(told)


def test_the_list_of_commands_that_are_others_business_names_none_that_the_guide_lacks() -> None:
    typed = commands()
    stale = [start for start in outside() if not any(each.startswith(start) for each in typed)]
    assert not stale


@pytest.mark.acceptance("cli", "report")
def test_the_jq_lines_give_what_they_ask_for(server: Served) -> None:
    lines = [each for each in commands() if "jq" in each]
    assert len(lines) == 3
    queue, agents, errors = (run(server, each).stdout for each in lines)
    assert {"queued", "running", "blocked", "byPriority"} <= set(json.loads(queue))
    for each in agents.split("}\n")[:-1]:
        assert set(json.loads(each + "}")) == {"id", "active_tasks", "utilization"}
    assert {"total", "rate", "byType", "recent"} <= set(json.loads(errors))


def test_the_log_tells_the_life_of_agents_to_the_guides_greps(server: Served) -> None:
    found = json.loads(run(server, "mcp__claude-flow__agent_spawn researcher --wait").stdout)
    agent = found["agentId"]
    run(server, f"mcp__claude-flow__agent_terminate {agent}")
    typed = next(each for each in outside() if "agent_[agent_id]" in each)
    lines = run(server, typed.replace("agent_[agent_id]", agent)).stdout.splitlines()
    told = [line.split()[4] for line in lines if line.split()[3] == agent]
    assert told[:2] == ["agent_spawned", "agent_ready"] and "agent_terminating" in told
    assert all(line.split()[2] in ("INFO", "WARNING", "ERROR") for line in lines)


def test_the_page_of_the_guides_commands_tells_of_each() -> None:
    page = (HERE.parents[1] / "docs" / "guide-commands.md").read_text()
    registry = catalogue()
    for command in commands():
        tool = tool_of(command)
        if tool is not None:
            waits = registry.later.get(tool)
            row = next((line for line in page.splitlines() if f"`{tool}`" in line), "")
            assert row, f"{tool} has no row"
            assert ("works" in row) == (waits is None), row


def test_who_waited_for_what_cannot_be_done_is_told_by_the_exit_code(server: Served) -> None:
    line = 'mcp__claude-flow__task_orchestrate "Build authentication service"'
    assert run(server, line).returncode == 0
    done = run(server, f"{line} --wait")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "blocked")
