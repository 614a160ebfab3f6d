"""What holds of the engine whatever happens, in whatever order."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import events as e
from visionflow.engine.decide import next_assignment
from visionflow.engine.effects import outstanding

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 160))
def test_the_auditor_finds_nothing_after_any_sequence_of_commands(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
        assert world.audit() == []


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 200))
def test_a_replay_of_the_log_gives_the_same_state(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    again = world.replay()
    assert again.digest() == world.state.digest()
    assert list(outstanding(again)) == list(outstanding(world.state))
    assert next_assignment(again) is None or next_assignment(world.state) is not None


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 200))
def test_no_task_completes_twice_and_none_after_it_ended(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    completed = [event.task for event in world.events() if isinstance(event, e.TaskCompleted)]
    assert len(completed) == len(set(completed))
