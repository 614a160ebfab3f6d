"""The generic peer: it does what the role would do that knows a task's type."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_roles import task_for
from tool_projects import write
from unconfined import UnconfinedSandbox

from visionflow.agents import BaseAgent
from visionflow.agents.base import PermanentFailure
from visionflow.agents.roles.analyst import AnalystAgent
from visionflow.agents.roles.peer_agent import PeerAgent
from visionflow.compose.local import local_agent
from visionflow.domain.errors import VisionFlowError

pytestmark = pytest.mark.acceptance("mesh")


def done(kind: type[BaseAgent], folder: Path, task: Any, config: Any = None) -> Any:
    async def work() -> Any:
        async with local_agent(kind, config, folder=folder, open_sandbox=UnconfinedSandbox) as it:
            return await it.process_task(task)

    return asyncio.run(work())


def test_it_does_what_the_role_does_that_knows_the_type(tmp_path: Path) -> None:
    files = {"a.py": "x = 1\n", "tests/test_a.py": "def test_a(): pass\n"}
    task = task_for(write(tmp_path / "ws", files), "analyse")
    own = done(AnalystAgent, tmp_path / "own", task)
    found = done(PeerAgent, tmp_path / "peer", task)
    assert found["metrics"] == own["metrics"]


def test_it_offers_what_its_roles_offer() -> None:
    assert {"testing", "review", "research", "analysis", "code"} <= set(PeerAgent.capabilities)


@pytest.mark.parametrize(
    ("config", "kind", "word"),
    [
        ({"roles": ["reviewer"]}, "analyse", "cannot do tasks of type 'analyse'"),
        ({"roles": ["dreamer"]}, "analyse", "'dreamer'"),
        ({"consensus_protocol": "raft"}, "analyse", "'raft'"),
        ({"peer_discovery": False}, "analyse", "peer_discovery False"),
    ],
)
def test_what_it_cannot_honour_it_refuses(
    tmp_path: Path, config: dict[str, object], kind: str, word: str
) -> None:
    project = write(tmp_path / "ws", {"a.py": "x = 1\n"})
    with pytest.raises((PermanentFailure, VisionFlowError), match=word):
        done(PeerAgent, tmp_path / "peer", task_for(project, kind), config)
