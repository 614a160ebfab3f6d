"""The guide's programs, verbatim but for host and port, against a running server."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide_text import ABSENT, GUIDE, block
from serving import Served, serving

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT)
PROGRAM_S_MAX = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("guide-clients")
    workspace = place / "work"
    workspace.mkdir()
    (workspace / "auth.py").write_text(
        '"""Authentication."""\n\n\ndef login(user):\n    return user\n'
    )
    with serving(place / "home", workspace) as found:
        yield found


def run(server: Served, program: str, folder: Path) -> str:
    text = program.replace("multi-agent-container", "127.0.0.1")
    text = text.replace("port=9500", f"port={server.port}")
    file = folder / "program.py"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", str(file)],
        env=server.env, capture_output=True, text=True, timeout=PROGRAM_S_MAX, check=False,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.acceptance("wire-shape")
def test_the_python_client_spawns_an_agent_and_hands_in_a_task(
    server: Served, tmp_path: Path
) -> None:
    said = run(server, block("python", "class MCPClient:"), tmp_path)
    assert said.startswith("Task result: {")
    assert "'taskId': 'task_" in said
    assert "needs_model" in said, "no backend here can implement a service, and it says so"


@pytest.mark.acceptance("python-api")
def test_a_development_team_is_spawned(server: Served, tmp_path: Path) -> None:
    program = block("python", "async def spawn_development_team")
    said = run(server, program + "\nprint(swarm.id, len(team), coordinator.type)\n", tmp_path)
    swarm, count, coordinator = said.split()
    assert swarm.startswith("swarm_")
    assert (count, coordinator) == ("6", "coordinator")


@pytest.mark.acceptance("python-api")
def test_the_researcher_is_spawned_and_answers(server: Served, tmp_path: Path) -> None:
    sample = block("python", "researcher = await orchestrator.spawn_agent(")
    lines = "".join(f"    {line}\n" for line in sample.splitlines())
    program = (
        "import asyncio, json\nfrom visionflow import AgentOrchestrator, Task\n\n"
        "async def main():\n"
        "    orchestrator = AgentOrchestrator(mcp_host='multi-agent-container', mcp_port=9500)\n"
        f"{lines}"
        "    print(json.dumps(result))\n"
        "    await orchestrator.aclose()\n\nasyncio.run(main())\n"
    )
    result = json.loads(run(server, program, tmp_path))
    assert result["research"]["answers"], "it looked the terms up in the workspace"
    assert any("web" in each for each in result["warnings"]), "there is no network, and it says so"


@pytest.mark.acceptance("python-api")
def test_the_readmes_program_runs_against_a_server(server: Served, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    program = next(text for text in blocks if "mcp_host" in text)
    program = program.replace("mcp_port=9500", f"mcp_port={server.port}")
    program = program.replace("MCPClient()", f"MCPClient(port={server.port})")
    said = run(server, program, tmp_path).splitlines()
    assert re.fullmatch(r"agent_\w+ ready", said[0])
    assert "'queued': 0" in said[1]
