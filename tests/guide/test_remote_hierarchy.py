"""The coordinator of a hierarchy over a real server: seats come with agents, tasks with calls."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.guide.serving import serving
from visionflow import AgentOrchestrator, HierarchicalCoordinator, Task, UsageError

AGENTS = Path(__file__).parents[1] / "api" / "hierarchy_agents.py"
WAIT_S = 120.0
WORKER = {"type": "adder", "config": {}}
PROJECT = {
    "teams": [{"name": "sums", "lead_type": "head", "config": {}, "workers": [WORKER, WORKER]}]
}


@pytest.mark.acceptance("hierarchy")
def test_a_hierarchy_of_a_server_is_built_and_worked_with_from_python(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    templates = tmp_path / "agents.yaml"
    templates.write_text(
        "agent_templates:\n"
        f'  adder: {{class: "{AGENTS}:Adder"}}\n'
        f'  head: {{class: "{AGENTS}:Head"}}\n',
        encoding="utf-8",
    )

    async def use(port: int) -> None:
        orchestrator: Any = AgentOrchestrator(mcp_host="127.0.0.1", mcp_port=port)
        coordinator = HierarchicalCoordinator(orchestrator)
        try:
            await coordinator.build_hierarchy(PROJECT)
            lead = coordinator.hierarchy["team_leads"][0]
            workers = [each.id for each in coordinator.hierarchy["workers"][lead.id]]
            known = await coordinator.teams()
            assert known["manager"] == coordinator.hierarchy["manager"].id
            assert known["teams"] == {"sums": {"lead": lead.id, "members": workers}}
            task = Task(type="add", input=[1, 2, 3], required_capabilities=["adding"])
            done = await coordinator.delegate_task(task)
            assert done.accepted and done.result["total"] == 6 and len(done.parts) == 2
            assignment = await coordinator.hierarchy["manager"].assign_to_team(task)
            parts = await coordinator.get_team_lead(assignment).distribute_work(task)
            assert [member.id for member, _ in parts] == workers

            fleet = await orchestrator.fleet()
            here = {"swarmId": fleet.swarm}
            star = {**here, "apply": True, "topology": "star"}
            assert (await fleet.client.call("swarm_status", here))["warnings"] == []
            await fleet.client.call("topology_optimize", star)
            told = await fleet.client.call("swarm_status", here)
            assert "topology is star, so no work is given to a team (sums)" in told["warnings"][0]
            with pytest.raises(UsageError, match="topology of this swarm is star"):
                await coordinator.delegate_task(task)
            with pytest.raises(UsageError, match="topology of this swarm is star"):
                await HierarchicalCoordinator(orchestrator).build_hierarchy(PROJECT)
            assert len((await fleet.client.call("agent_list", here))["agents"]) == len(
                told["agents"]
            )
        finally:
            await orchestrator.aclose()

    with serving(tmp_path / "home", workspace, "--agents", str(templates)) as served:
        asyncio.run(asyncio.wait_for(use(served.port), WAIT_S))
