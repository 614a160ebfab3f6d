"""A degraded swarm says who is missing now, why, and what to do about it."""

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentStatus
from visionflow.domain.supervision import SupervisionSpec
from visionflow.interfaces.tools.degraded import NAMED_MAX, degraded

WAY_OUT = "agent_restart or agent_terminate each of them."


def given_up(count: int) -> tuple[Calm, list[str]]:
    """Agents with processes of their own, of which the swarm bears no death."""
    world = Calm(supervision=SupervisionSpec(restarts_max=0))
    agents = world.team(count, "python", memory_bytes=1_000_000)
    for agent in agents:
        world.lose(world.state.agents[agent].worker)
    return world, agents


def test_whoever_was_ended_or_restarted_since_is_named_no_more() -> None:
    world, (first, second, third) = given_up(3)
    told = degraded(world.state)
    assert told is not None and all(name in told for name in (first, second, third))
    assert "1 workers died by themselves within 60000 ms" in told and told.endswith(WAY_OUT)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=third))
    world.send(sc.RestartAgent(now_ms=world.now_ms, agent=first))
    told = degraded(world.state)
    assert told is not None and second in told and first not in told and third not in told
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=second))
    assert degraded(world.state) is None
    assert world.state.agents[first].status is not AgentStatus.FAILED


def test_of_many_some_are_named_and_the_rest_is_counted() -> None:
    world, agents = given_up(NAMED_MAX + 2)
    told = degraded(world.state)
    assert told is not None and "; and 2 more. " in told
    assert sum(name in told for name in agents) == NAMED_MAX
