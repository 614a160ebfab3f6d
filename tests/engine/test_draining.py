"""An agent that is told to finish first gets nothing more, finishes, and leaves."""

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.state import Answer


def drain(world: World, agent: str, command: str | None = None) -> Answer:
    return world.send(
        c.TerminateAgent(now_ms=world.now_ms, agent=agent, drain=True, command=command)
    )


def test_a_draining_agent_finishes_what_it_holds_and_gets_nothing_more() -> None:
    world = World()
    (agent,) = world.team(1)
    held = world.submit()
    assert world.state.tasks[held].agent == agent
    drain(world, agent)
    waiting = world.submit()
    world.complete(held)
    assert world.status(held) is TaskStatus.COMPLETED
    assert world.status(waiting) is TaskStatus.QUEUED
    assert world.state.agents[agent].status is AgentStatus.READY
    world.tick()
    assert world.state.agents[agent].status is AgentStatus.TERMINATING
    world.settle()
    assert agent not in world.state.agents
    assert agent not in world.state.draining
    assert world.of(e.AttemptFailed) == []
    assert world.audit() == []


def test_an_idle_agent_that_is_told_to_drain_ends_at_once() -> None:
    world = World()
    (agent,) = world.team(1)
    drain(world, agent)
    assert world.state.agents[agent].status is AgentStatus.TERMINATING
    assert world.of(e.AgentDraining) == []


def test_draining_is_told_once_and_a_repeated_command_gets_its_first_answer() -> None:
    world = World()
    (agent,) = world.team(1)
    world.submit()
    assert drain(world, agent, "k").code is None
    assert drain(world, agent, "k").code is None
    assert drain(world, agent).code == "already_ended"
    assert len(world.of(e.AgentDraining)) == 1


def test_draining_survives_a_crash_and_a_replay() -> None:
    world = World()
    (agent,) = world.team(1)
    world.submit()
    drain(world, agent)
    world.send(c.Recover(now_ms=world.now_ms))
    again = world.replay()
    assert again.digest() == world.state.digest()
    assert list(again.draining) == [agent]
    world.tick()
    world.settle()
    assert agent not in world.state.agents
    assert world.audit() == []


def test_an_end_without_patience_overrules_draining() -> None:
    world = World()
    first, second = world.team(2)
    held = next(iter(world.state.agents[first].open), None) or world.submit()
    holder = world.state.tasks[held].agent
    assert holder in (first, second)
    drain(world, holder)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=holder))
    world.settle()
    assert holder not in world.state.agents
    assert world.state.tasks[held].agent not in (None, holder)
    assert world.audit() == []


def test_one_that_was_to_move_and_whose_process_dies_while_it_drains_ends_where_it_is() -> None:
    world = World()
    (agent,) = world.team(1)
    world.submit(agent=agent)
    world.update(agent, memory_bytes=1_000_000)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent, drain=True))
    worker = world.state.agents[agent].worker
    world.lose(worker)
    world.now_ms += 5_000
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert agent in world.state.moving and world.audit() == []
    world.tick()
    world.settle()
    assert agent not in world.state.agents and world.audit() == []
    assert not world.of(e.AgentMoved)
