"""Votes at the edges: of swarms that end, of agents that come, of too much to choose from."""

import msgspec

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.domain.votes import Choice, Matter, Opinion, Terms, VoteSpec
from visionflow.engine.audit import audit

TERMS = Terms(timeout_ms=10_000)
OF_RESULT = VoteSpec("consensus", "Is it right?", (), terms=TERMS, matter=Matter.TASK_RESULT)


def done(world: World, task: str, result: bytes) -> None:
    """A task that is held ends with this."""
    attempt = world.state.tasks[task].attempt
    payload = Payload(inline=result)
    report = c.ReportResult(
        now_ms=world.now_ms, task=task, attempt=attempt, result=payload, duration_us=50_000
    )
    assert world.send(report).code is None


def sound(world: World) -> None:
    assert not audit(world.state)
    assert world.state.digest() == world.replay().digest()


def test_a_vote_that_ends_with_its_swarm_says_so() -> None:
    world = World()
    vote = world.ask(*world.team(3), asked=True, terms=TERMS)
    done(world, f"{vote}.1", msgspec.msgpack.encode(Opinion(Choice.APPROVE, "tests")))
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
    decided = world.last(e.VoteDecided)
    assert decided.reason == "its swarm was ended"
    assert (decided.tally.approve, decided.tally.abstain) == (1, 2)
    sound(world)


def test_options_that_are_too_many_are_not_said_to_be_named_twice() -> None:
    world = World()
    world.ask(*world.team(2), asked=True, options=tuple(f"option {n}" for n in range(101)))
    assert world.answer.message is not None
    assert "101 options; 100 are the most" in world.answer.message


def test_an_agent_that_is_still_coming_up_is_asked_about_a_result_too() -> None:
    world = World()
    world.team(1, "python")
    late = world.spawn("review")
    root, parts = world.plan([{"capabilities": ("python",)}], consensus=OF_RESULT)
    assert world.state.agents[late].status is not AgentStatus.READY
    done(world, parts[0][0], b"\x01")
    assert world.status(root) is TaskStatus.ORCHESTRATING
    assert world.last(e.VoteOpened).spec.electorate == (late,)
    sound(world)
