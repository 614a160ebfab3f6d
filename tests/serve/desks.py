"""Calls of tools on a core, as a client of a server makes them; and a workspace to work on."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Caller, Role
from visionflow.interfaces.tools.agents import agent_tools
from visionflow.interfaces.tools.orchestrating import orchestration_tools
from visionflow.interfaces.tools.results import result_tools
from visionflow.interfaces.tools.swarms import swarm_tools
from visionflow.interfaces.tools.tasks import task_tools
from visionflow.interfaces.tools.tool import Call, Registry

CALLER = Caller(name="local:tests", role=Role.ADMIN, face="python", client="tests")
SMALL = {
    "README.md": "# tidy\n\nIt doubles numbers.\n",
    "tidy.py": 'def double(n):\n    """Twice n."""\n    return 2 * n\n',
}
"""Quick to explain: nothing to test."""
AGENTS = """\
agent_templates:
  teller:
    class: jobs_agents.py:Teller
  second:
    class: jobs_agents.py:Teller
  waiter:
    class: jobs_agents.py:Waiter
  failer:
    class: jobs_agents.py:Failer
"""


class Desk:
    """The tools of one core."""

    def __init__(self, opened: OpenServer, caller: Caller = CALLER) -> None:
        self.opened = opened
        server = opened.server
        self.caller = caller
        self.registry = Registry(
            [
                *swarm_tools(server),
                *agent_tools(server),
                *orchestration_tools(server),
                *task_tools(server),
                *result_tools(server),
            ]
        )
        self.progress: list[tuple[float | None, str]] = []

    def prepared(self, **more: Any) -> Call:
        """A call to hand to `call` as `by`, so that a test can take it back."""
        return Call(self.caller, on_progress=self._hear, **more)

    def _hear(self, fraction: float | None, note: str) -> None:
        self.progress.append((fraction, note))

    async def call(self, tool: str, by: Call | None = None, /, **given: Any) -> dict[str, Any]:
        """What a client gets: the result as plain values."""
        made = self.registry.prepare(tool, given, self.caller)
        if by is None:
            by = self.prepared()
        by.key = made.key
        result = await self.registry.finish(made, by)
        return msgspec.json.decode(msgspec.json.encode(result), type=dict[str, Any])


def workspace_in(folder: Path, files: dict[str, str] | None = None) -> Path:
    """The workspace of `settings_in`, as a repository with these files."""
    place = folder / "workspace"
    place.mkdir(exist_ok=True)
    for name, text in (SMALL if files is None else files).items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    words = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for line in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words, *line], cwd=place, check=True, timeout=60)
    return place


def agents_file(folder: Path) -> str:
    """A file of templates for the agents of `jobs_agents.py`."""
    code = (Path(__file__).parent / "jobs_agents.py").read_text()
    (folder / "jobs_agents.py").write_text(code)
    path = folder / "agents.yaml"
    path.write_text(AGENTS)
    return str(path)
