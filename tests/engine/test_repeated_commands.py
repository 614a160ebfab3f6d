"""Commands with an id are carried out once; bounds refuse with their name; deciding is pure."""

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import refusal
from visionflow.domain.limits import ANSWER_AGE_MS_MAX, INLINE_BYTES_MAX, Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Payload, TaskSpec
from visionflow.engine.decide import handle
from visionflow.engine.evolve import evolve, open_record
from visionflow.engine.state import Denial


def submit(world: World, command: str | None, **fields: object) -> c.SubmitTask:
    return c.SubmitTask(now_ms=world.now_ms, spec=TaskSpec(**fields), command=command)


def test_a_repeated_command_gets_its_first_answer_and_nothing_happens() -> None:
    world = World()
    first = world.send(submit(world, "cmd_1", id="t1"))
    length = len(world.log)
    world.now_ms += 5_000
    again = world.send(submit(world, "cmd_1", id="t2"))
    assert again == first and again.subject == "t1"
    assert len(world.log) == length and "t2" not in world.state.tasks


def test_a_command_that_was_refused_is_decided_anew_and_from_then_on_it_is_known() -> None:
    world = World(limits=Limits(queue_max=1))
    world.team(1)
    world.submit(id="t1")
    for _ in range(2):
        assert world.send(submit(world, "cmd_1", id="t2")).code == "limit_reached"
    assert [refused.asked for refused in world.of(e.CommandRefused)] == ["cmd_1", "cmd_1"]
    assert "cmd_1" not in world.state.answers
    world.complete("t1")
    first = world.send(submit(world, "cmd_1", id="t2"))
    assert (first.code, first.subject) == (None, "t2")
    assert world.send(submit(world, "cmd_1", id="t3")) == first
    assert len(world.of(e.CommandRefused)) == 2


def test_a_refusal_in_a_log_of_before_stays_the_answer_to_its_command() -> None:
    world = World()
    open_record(world.state, world.now_ms)
    told = e.CommandRefused(code="limit_reached", message="no room", command="cmd_1")
    evolve(world.state, told)
    again = world.send(submit(world, "cmd_1", id="t1"))
    assert (again.code, again.message) == ("limit_reached", "no room")
    assert "t1" not in world.state.tasks


def test_what_to_do_about_a_refusal_is_told_apart_from_why() -> None:
    world = World(limits=Limits(agents_max=0))
    agent = AgentSpec(id="agent_x", type="coder", name="x", class_path="m:C")
    answer = world.send(c.SpawnAgent(now_ms=world.now_ms, spec=agent))
    assert isinstance(answer, Denial) and answer.code is not None
    error = refusal(answer.code, answer.message or "", answer.hint)
    assert error.hint == "Terminate one, or raise the limit."
    assert error.message == "The swarm has 0 agents; its limit is 0."
    assert str(error) == answer.message


def test_each_kind_of_command_that_carries_an_id_answers_the_same_twice() -> None:
    world = World()
    world.team(1)
    now = world.now_ms
    agent = AgentSpec(id="agent_x", type="coder", name="x", class_path="m:C")
    sequence: list[c.AnyCommand] = [
        submit(world, "c1", id="t1"),
        c.SubmitPlan(now_ms=now, spec=TaskSpec(id="p"), phases=(), command="c2"),
        c.SpawnAgent(now_ms=now, spec=agent, command="c3"),
        c.CancelTask(now_ms=now, task="t1", command="c4"),
        c.TerminateAgent(now_ms=now, agent="agent_x", command="c5"),
        c.CreateSwarm(now_ms=now, spec=SwarmSpec(id="again"), command="c6"),
        c.CloseSwarm(now_ms=now, reason="done", command="c7"),
    ]
    for command in sequence:
        first = world.send(command)
        length = len(world.log)
        assert world.send(command) == first
        # What is refused is refused again, on record; what was done is not done again.
        assert len(world.log) == length + (first.code is not None), command


def test_answers_are_forgotten_with_age() -> None:
    world = World()
    world.send(submit(world, "old", id="t1"))
    world.now_ms += ANSWER_AGE_MS_MAX + 1
    world.send(submit(world, "young", id="t2"))
    assert list(world.state.answers) == ["young"]
    assert world.send(submit(world, "old", id="t1")).code == "duplicate_id"


def test_the_number_of_answers_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visionflow.engine.evolve.table.ANSWERS_MAX", 10)
    world = World()
    for number in range(30):
        world.send(submit(world, f"cmd_{number}", id=f"t{number}"))
    assert list(world.state.answers) == [f"cmd_{number}" for number in range(20, 30)]


def test_a_command_without_an_id_is_carried_out_each_time() -> None:
    world = World()
    world.send(submit(world, None, id="t1"))
    assert world.send(submit(world, None, id="t1")).code == "duplicate_id"
    assert not world.state.answers


def test_a_payload_above_the_inline_bound_is_refused() -> None:
    world = World()
    large = Payload(inline=bytes(INLINE_BYTES_MAX + 1))
    for fields in ({"input": large}, {"config": large}):
        assert world.send(submit(world, None, id="t", **fields)).code == "payload_too_large"
    exact = Payload(inline=bytes(INLINE_BYTES_MAX))
    assert world.send(submit(world, None, id="t", input=exact)).code is None


def test_a_task_that_depends_on_what_failed_or_is_unknown_is_refused() -> None:
    world = World()
    world.submit(id="gone")
    world.send(c.CancelTask(now_ms=world.now_ms, task="gone"))
    failed = world.send(submit(world, None, id="a", depends_on=("gone",)))
    unknown = world.send(submit(world, None, id="b", depends_on=("nowhere",)))
    itself = world.send(submit(world, None, id="d", depends_on=("d",)))
    assert (failed.code, unknown.code, itself.code) == (
        "dependency_failed",
        "unknown_task",
        "unknown_task",
    )


def test_a_task_waits_for_all_it_depends_on_however_often_each_is_named() -> None:
    world = World()
    world.team(2)
    world.submit(id="a")
    world.submit(id="b")
    world.submit(id="last", depends_on=("a", "a", "b"))
    world.complete("a")
    assert world.running() == ["b"]
    world.complete("b")
    assert world.running() == ["last"]


def test_a_closed_swarm_takes_nothing_and_says_so() -> None:
    world = World()
    agent = AgentSpec(id="agent_x", type="coder", name="x", class_path="m:C")
    world.submit(id="t1")
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
    for command in (
        submit(world, None, id="t2"),
        c.SubmitPlan(now_ms=world.now_ms, spec=TaskSpec(id="p"), phases=()),
        c.SpawnAgent(now_ms=world.now_ms, spec=agent),
        c.CloseSwarm(now_ms=world.now_ms, reason="again"),
    ):
        assert world.send(command).code == "swarm_closed"
    assert list(world.state.tasks) == ["t1"] and not world.state.agents


@pytest.mark.parametrize("seed", range(12))
def test_deciding_changes_nothing(seed: int) -> None:
    """The digest and the queue are the same after `handle` as before, for every command."""
    world = World(seed)

    def watched(state: object, command: c.AnyCommand) -> object:
        before = (world.state.digest(), len(world.state.matching), world.state.retries.next_ms())
        decided = handle(world.state, command)
        after = (world.state.digest(), len(world.state.matching), world.state.retries.next_ms())
        assert before == after, command
        return decided

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.engine.calm.handle", watched)
        for _ in range(60):
            world.step()
