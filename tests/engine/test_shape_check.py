"""The checker of logs knows a switch of the topology that must not have happened."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.test_adaptive import HIERARCHICAL, SEQUENTIAL, STAR, Adaptive, backlog
from tests.engine.world import World
from visionflow.domain import shape_events as h
from visionflow.domain.events import encode_record
from visionflow.testing.checkers import LogCheck

pytestmark = pytest.mark.acceptance("swarm-topology")


def checked(world: Adaptive, spoil: Callable[[h.TopologySwitched], object] | None = None) -> str:
    """What the checker finds in a log, the last switch of which may be spoiled."""
    check, records = LogCheck(), world.records()
    last = max(n for n, r in enumerate(records) if any(_is_switch(e) for e in r.events))
    for number, record in enumerate(records):
        events = list(record.events)
        if number == last and spoil is not None:
            events = [spoil(e) if _is_switch(e) else e for e in events]
        check.record(encode_record(record.at_ms, events))
    return "; ".join(check.faults)


def _is_switch(event: object) -> bool:
    return isinstance(event, h.TopologySwitched)


def left_stages() -> Adaptive:
    world = Adaptive()
    world.work(4)
    world.switch(SEQUENTIAL)
    world.state.shape.trial = None
    world.cool()
    backlog(world)
    world.weigh()
    assert world.switches()[-1] == (SEQUENTIAL, HIERARCHICAL, False)
    return world


def with_fields(**fields: object) -> Callable[[h.TopologySwitched], object]:
    return lambda event: msgspec.structs.replace(event, **fields)


def test_a_switch_by_its_figures_is_no_fault() -> None:
    assert checked(left_stages()) == ""


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"gain_bp": 1_999}, "for a gain of 1999"),
        ({"gain_bp": 9_999}, "its figures say"),
        ({"predictions": ()}, "for a gain of"),
        ({"before": STAR}, "in a swarm that is sequential"),
        ({"rolled_back": True, "measured": None}, "without a trigger"),
        ({"rolled_back": True, "after": STAR}, "is rolled back to star"),
    ],
)
def test_a_switch_that_must_not_have_happened_is_found(
    fields: dict[str, object], told: str
) -> None:
    assert told in checked(left_stages(), with_fields(**fields))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 160))
def test_a_random_world_never_switches_against_the_rules(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    check = LogCheck()
    for body in world.log:
        check.record(body)
    assert [fault for fault in check.faults if "switch" in fault or "rolled" in fault] == []
