"""Rows of outside effects: what lists show is what the state knows, and more of the past."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.effects_world import ask, resolve, tell
from tests.engine.test_outside import busy
from tests.engine.test_properties import SETTINGS
from tests.engine.world import World
from tests.runtime.test_queries import views_of
from visionflow.domain.outside import EffectOutcome, EffectStatus
from visionflow.ports.views import EVERY_EFFECT, EffectFilter

pytestmark = pytest.mark.acceptance("effects")


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 160))
def test_the_rows_of_effects_say_what_the_state_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int
) -> None:
    world = busy(seed, steps)
    views = views_of(world, tmp_path_factory.mktemp("views") / "views.db")
    for key, found in world.state.outside.effects.items():
        row = views.effect(key)
        assert row is not None
        assert (row.status, row.task, row.kind, row.name, row.reserved_ms, row.changed_ms) == (
            found.status,
            found.task,
            found.kind,
            found.name,
            found.reserved_ms,
            found.changed_ms,
        )
        assert (row.resolution, row.reason or "") == (found.resolution, found.reason)
        assert (row.by or "", row.note or "") == (found.by, found.note)
        if found.status is EffectStatus.SETTLED:
            assert row.result == found.result.inline
    views.close()


def test_effects_are_listed_by_pages_by_status_and_by_task(tmp_path: Path) -> None:
    world = World()
    world.team(2)
    first, second = world.submit(), world.submit()
    for number, task in enumerate((first, second, first, second)):
        world.now_ms += 10
        ask(world, task, key=f"k{number}", request=f"send {number}")
    tell(world, "k0")
    tell(world, "k1", EffectOutcome.UNKNOWN)
    tell(world, "k2", EffectOutcome.UNKNOWN)
    resolve(world, "k2")
    views = views_of(world, tmp_path / "views.db")
    page = views.effects(EVERY_EFFECT, (-1, ""), 3)
    assert [row.key for row in page] == ["k0", "k1", "k2"]
    rest = views.effects(EVERY_EFFECT, (page[-1].reserved_ms, page[-1].key), 3)
    assert [(row.key, row.request) for row in rest] == [("k3", "send 3")]
    doubts = views.effects(EffectFilter(statuses=("in_doubt",)), (-1, ""), 9)
    assert [(row.key, row.reason) for row in doubts] == [("k1", "it broke off")]
    of_first = views.effects(
        EffectFilter(statuses=("settled", "resolved"), task=first), (-1, ""), 9
    )
    assert [(row.key, row.by) for row in of_first] == [("k0", None), ("k2", "ann")]
    views.close()
