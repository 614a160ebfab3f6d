"""What holds of locks, waits and circuits whatever happens, in whatever order."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.limits import Limits
from visionflow.engine.decide.deadlocks import is_deadlocked
from visionflow.testing.waitlines import WaitCheck

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# So that a world of a few hundred steps has circuits that open.
FRAGILE = Limits(circuit_failures=2)


class Line:
    """A task, as far as the checker needs one."""

    def __init__(self, kind: str) -> None:
        self.spec = {"type": kind}
        self.status, self.attempt, self.agent = "queued", 0, None
        self.cancelling = False


def follow(lines: dict[str, Line], event: e.Event) -> None:
    """Keep in step with one event, by its own words alone."""
    if isinstance(event, e.TaskSubmitted | e.PlanSubmitted):
        lines[event.spec.id] = Line(event.spec.type)
    task = lines.get(getattr(event, "task", ""))
    if task is None:
        return
    if isinstance(event, e.TaskAssigned):
        task.status, task.attempt, task.agent = "assigned", event.attempt, event.agent
    elif isinstance(event, e.AttemptFailed | e.TaskCompleted):
        task.status, task.agent, task.cancelling = "over", None, False
    elif isinstance(event, e.TaskCancelling):
        task.cancelling = True


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 200))
def test_the_checker_that_shares_no_code_finds_nothing_in_any_log(seed: int, steps: int) -> None:
    world = World(seed, FRAGILE)
    for _ in range(steps):
        world.step()
    check, lines, faults = WaitCheck(), dict[str, Line](), list[str]()
    for body, record in zip(world.log, world.records(), strict=True):
        at_ms, facts = msgspec.msgpack.decode(body)
        for fact, event in zip(facts, record.events, strict=True):
            faults += check.event(fact["t"], fact, lines, (at_ms, at_ms))
            follow(lines, event)
        faults += check.settled(lines)
    assert faults == []


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 200))
def test_once_it_was_looked_nobody_waits_for_ever_and_the_broken_are_tried_again(
    seed: int, steps: int
) -> None:
    world = World(seed, FRAGILE)
    for _ in range(steps):
        world.step()
    world.send(c.Tick(now_ms=world.now_ms, waits=True))
    assert not is_deadlocked(world.state)
    events = world.events()
    for place, event in enumerate(events):
        if isinstance(event, s.DeadlockFound):
            assert event.broken in event.ring
            failed = events[place + 1]
            assert isinstance(failed, e.AttemptFailed) and failed.task == event.broken
            assert failed.kind == "deadlock"


def test_random_worlds_meet_all_of_it() -> None:
    met: set[type[e.Event]] = set()
    for seed in range(40):
        world = World(seed, FRAGILE)
        for _ in range(300):
            world.step()
        met |= {type(event) for event in world.events()}
    assert met >= {
        s.CircuitCounted,
        s.CircuitOpened,
        s.CircuitHalfOpened,
        s.CircuitClosed,
        s.LockQueued,
        s.LockGranted,
        s.LockReleased,
        s.WaitBegan,
        s.WaitEnded,
        s.DeadlockFound,
    }
