"""The tally agrees with every task looked at one by one, whatever happens and whenever it began."""

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain.events import decode_record
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.tally import Tally


def watched(world: World) -> tuple[Tally, list[Any]]:
    """A tally of the world's state, and what a record's close calls."""
    control = SimpleNamespace(state=world.state, on_close=[])
    return Tally(cast(ControlPlane, control)), control.on_close


def step(world: World, on_close: list[Any]) -> None:
    """Some things happen, and one record that has them all closes."""
    before = len(world.log)
    for _ in range(world.random.randint(1, 4)):
        world.step()
    events = [event for body in world.log[before:] for event in decode_record(body).events]
    for call in on_close:
        call(events)


def agrees(world: World, tally: Tally) -> None:
    live = [task for task in world.state.tasks.values() if task.status not in TERMINAL]
    for status in TaskStatus:
        if status not in TERMINAL:
            assert tally.standing[status] == sum(task.status is status for task in live)
    queued = [task for task in live if task.status is TaskStatus.QUEUED]
    assert tally.oldest_ms == min((task.changed_ms for task in queued), default=None)
    counted: dict[int, int] = {}
    for task in queued:
        counted[task.spec.priority] = counted.get(task.spec.priority, 0) + 1
    assert tally.priorities == counted


@given(st.integers(0, 2**32), st.integers(0, 120), st.integers(1, 120))
def test_it_agrees_after_any_sequence_of_events(seed: int, before: int, after: int) -> None:
    world = World(seed)
    for _ in range(before):
        world.step()
    tally, on_close = watched(world)
    agrees(world, tally)
    for _ in range(after):
        step(world, on_close)
    agrees(world, tally)


def test_a_task_that_is_queued_anew_within_one_record_waits_from_then_on() -> None:
    world = World()
    first = world.submit()
    world.now_ms += 1_000
    second = world.submit()
    tally, on_close = watched(world)
    before = len(world.log)
    world.now_ms += 5_000
    (agent,) = world.team(1)
    assert world.state.tasks[first].agent == agent
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    events = [event for body in world.log[before:] for event in decode_record(body).events]
    on_close[0](events)
    assert world.status(first) is world.status(second) is TaskStatus.QUEUED
    assert tally.oldest_ms == world.state.tasks[second].changed_ms
    assert tally.oldest_ms < world.state.tasks[first].changed_ms


@given(st.integers(0, 2**32))
def test_ends_are_counted_without_those_that_were_queued_again(seed: int) -> None:
    world = World(seed)
    tally, on_close = watched(world)
    for _ in range(150):
        step(world, on_close)
    for status in TERMINAL:
        now = sum(task.status is status for task in world.state.tasks.values())
        assert getattr(tally.ended, status) == now, "none has left yet"
    took = [
        task.changed_ms - task.since_ms
        for task in world.state.tasks.values()
        if task.status is TaskStatus.COMPLETED
    ]
    assert world.state.completion_ms == sum(took)
