"""Who waits for an agent that failed for good is told so, and what brings it back."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentStatus
from visionflow.interfaces.tools.able import nobody_can


@pytest.mark.parametrize("pinned", [False, True])
def test_a_task_whose_only_agent_has_failed_names_it_and_its_restart(pinned: bool) -> None:
    world = Calm()
    agent = world.team(1, "python")[0]
    state = world.state
    worker = state.workers[state.agents[agent].worker]
    world.send(
        c.ReportAgentDown(
            now_ms=world.now_ms,
            agent=agent,
            worker=worker.id,
            incarnation=worker.incarnation,
            reason="its worker died too often.",
        )
    )
    assert state.agents[agent].status is AgentStatus.FAILED
    told = nobody_can(state, ("python",), state.agents[agent].spec.type, agent if pinned else None)
    assert told is not None
    assert agent in told and "its worker died too often); agent_restart" in told
    assert "There is no agent" not in told
    lacking = nobody_can(state, ("rust",))
    assert lacking is not None and "agent_restart" not in lacking
