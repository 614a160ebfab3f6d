"""What no peer of a mesh could do is refused before anybody waits for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.mesh_agents import Doubler
from visionflow import AgentOrchestrator, MeshCoordinator, Task, UsageError

TASK = Task(type="double", input=1)


@pytest.mark.parametrize("count", [0, "x", 2.5, True])
def test_a_mesh_of_no_number_of_peers_is_refused(count: Any) -> None:
    with pytest.raises(UsageError, match="at least one peer"):
        asyncio.run(MeshCoordinator().initialize_mesh(count))


def test_a_task_for_a_mesh_without_peers_says_what_to_do() -> None:
    async def main() -> None:
        mesh = MeshCoordinator(agents={"peer_agent": Doubler})
        for _ in range(2):
            with pytest.raises(UsageError, match="has no peers"):
                await mesh.distribute_task(TASK)
            await mesh.aclose()

    asyncio.run(main())


def test_a_capability_that_no_peer_has_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        orchestrator: AgentOrchestrator[Any, Any] = AgentOrchestrator(tmp_path, topology="mesh")
        try:
            mesh = MeshCoordinator(orchestrator, agents={"peer_agent": Doubler})
            with pytest.raises(UsageError, match="has no peers"):
                await mesh.broadcast_task_auction(TASK)
            await asyncio.wait_for(mesh.initialize_mesh(1), 120)
            flying = Task(type="double", input=1, required_capabilities=["fly"])
            with pytest.raises(UsageError, match="asks for fly, and no peer has fly"):
                await mesh.broadcast_task_auction(flying)
            assert not (await orchestrator.fleet()).sync.queries.counts()
        finally:
            await orchestrator.aclose()

    asyncio.run(main())
