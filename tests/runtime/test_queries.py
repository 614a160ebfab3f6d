"""The read service: what it shows is what the log says, up to what was acknowledged."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.calm import Calm
from tests.engine.world import World
from visionflow.adapters.memory import MemoryLog
from visionflow.adapters.sqlite.views import SqliteViews
from visionflow.domain.errors import UnknownId
from visionflow.domain.events import TaskSubmitted
from visionflow.domain.mesh_events import AuctionOpened
from visionflow.runtime import queries as queries_
from visionflow.runtime.queries import Queries
from visionflow.runtime.views import changes


def views_of(world: World | Calm, path: Path) -> SqliteViews:
    views = SqliteViews(path)
    for number, record in enumerate(world.records(), 1):
        views.apply(number, changes(record))
    return views


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(20, 150))
def test_the_rows_say_what_the_state_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int
) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    views = views_of(world, tmp_path_factory.mktemp("views") / "views.db")
    auctioned = {each.task for each in world.events() if isinstance(each, AuctionOpened)}
    for name, task in world.state.tasks.items():
        row = views.task(name)
        assert row is not None
        assert (row.status, row.agent) == (
            task.status,
            row.agent if task.agent is None else task.agent,
        )
        # The state counts one that is up for auction; a row only one that somebody got.
        bid_for = name in auctioned and row.attempt < task.attempt
        assert row.attempt == task.attempt or bid_for
    rows = {row.id: row.status for row in views.agents()}
    for name, agent in world.state.agents.items():
        assert rows[name] == agent.status
    assert sum(views.counts().values()) == world.state.counters.submitted
    views.close()


def test_an_agent_that_is_ready_again_has_no_reason_of_before(tmp_path: Path) -> None:
    world = Calm()
    (agent,) = world.team(1, "python")
    world.settle()
    world.lose(world.state.agents[agent].worker)
    views = views_of(world, tmp_path / "lost.db")
    assert [(row.status, row.reason) for row in views.agents()] == [("recovering", "gone")]
    views.close()
    world.tick(60_000)
    world.settle()
    views = views_of(world, tmp_path / "ready.db")
    assert [(row.status, row.reason) for row in views.agents()] == [("ready", None)]
    views.close()


def test_a_task_that_waits_for_its_next_attempt_is_shown_as_pending(tmp_path: Path) -> None:
    world = World(1)
    world.spawn("python")
    task = world.submit(capabilities=("python",))
    world.settle()
    world.fail(task)
    views = views_of(world, tmp_path / "views.db")
    row = views.task(task)
    assert row is not None
    assert (row.status, row.agent, row.reason) == ("pending", None, "it broke")
    assert [each.outcome for each in views.attempts(task)] == ["error"]
    views.close()


def test_views_that_are_damaged_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "views.db"
    path.write_bytes(b"this was never a database, " * 500)
    views = SqliteViews(path)
    assert views.position() == 0
    views.close()


def test_changes_and_position_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    world = World(3)
    task = world.submit()
    views = views_of(world, tmp_path / "views.db")
    before = views.position()
    found = changes(world.records()[-1])
    broken = [*found, type(found[0])("tasks", (None,), {"status": "queued"})]
    with pytest.raises(Exception, match="NOT NULL"):
        views.apply(before + 1, broken)
    assert views.position() == before
    assert views.task(task) is not None
    views.close()


async def _logged(world: Calm) -> MemoryLog:
    log = MemoryLog()
    for number, body in enumerate(world.log):
        await log.append("swarm_1", number, body)
    return log


def test_a_read_sees_all_that_was_acknowledged_and_pages_without_gaps(tmp_path: Path) -> None:
    import asyncio

    world = World(1)
    names = [world.submit(description=f"number {n}") for n in range(25)]
    log = asyncio.run(_logged(world))
    views = SqliteViews(tmp_path / "views.db")
    queries = Queries(log, "swarm_1", views, lambda: len(world.log))
    found: list[str] = []
    page = queries.tasks(limit=10)
    while page:
        found.extend(row.id for row in page)
        page = queries.tasks(after=page[-1], limit=10)
    assert sorted(found) == sorted(names)
    assert len(found) == len(set(found))
    assert queries.counts() == {"queued": 25}
    with pytest.raises(UnknownId):
        queries.task("task_of_nobody")
    views.close()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=60),
    st.integers(-1, 70),
    st.integers(0, 10) | st.none(),
)
def test_what_happened_in_a_time_is_found_however_many_records_are_of_one_moment(
    steps: list[int], since: int, length: int | None
) -> None:
    import asyncio

    world = Calm()
    began_ms = world.now_ms
    for step in steps:
        world.now_ms += step
        world.submit()
    kinds = (TaskSubmitted,)
    log = asyncio.run(_logged(world))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries_, "RECORDS_PER_APPLY", 2)
        queries = Queries(log, "swarm_1", cast(Any, None), lambda: len(world.log) - 1)
        from_ms = began_ms + since
        to_ms = None if length is None else from_ms + length
        found = list(queries.between(from_ms, to_ms, kinds))
    assert found == [
        row
        for row in queries.events(kinds=kinds).events
        if row.at_ms >= from_ms and (to_ms is None or row.at_ms <= to_ms)
    ]


def test_a_read_shows_nothing_that_is_not_acknowledged(tmp_path: Path) -> None:
    import asyncio

    world = World(1)
    world.submit()
    acknowledged = len(world.log)
    later = world.submit()
    log = asyncio.run(_logged(world))
    views = SqliteViews(tmp_path / "views.db")
    queries = Queries(log, "swarm_1", views, lambda: acknowledged)
    assert queries.counts() == {"queued": 1}
    with pytest.raises(UnknownId):
        queries.task(later)
    views.close()
