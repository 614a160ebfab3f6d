"""What became of a pipeline, once only the log knows: what is read of it, and how much."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from tests.engine.calm import Calm
from visionflow.adapters.memory import MemoryLog
from visionflow.adapters.sqlite.views import SqliteViews
from visionflow.domain import commands as c
from visionflow.domain.pipelines import PIPELINE_TYPE, PipelineSpec, StageSpec
from visionflow.domain.pipelines_commands import OpenPipeline
from visionflow.domain.tasks import TaskSpec
from visionflow.engine.state import SwarmState
from visionflow.interfaces.piping import PipelineReport
from visionflow.interfaces.tools.piped import report_for
from visionflow.ports.log import Entry
from visionflow.runtime.queries import Queries

T = TypeVar("T")
OTHERS = 600


class Counted(MemoryLog):
    """A log that counts the records that are read of it."""

    count = 0

    def read(self, stream: str, after: int = 0) -> Iterator[Entry]:
        for entry in super().read(stream, after):
            self.count += 1
            yield entry


class Reader:
    """A swarm of which the state knows nothing more."""

    def __init__(self, world: Calm, views: SqliteViews) -> None:
        self.state, self.log = SwarmState(), Counted()
        self.queries = Queries(self.log, "swarm_1", views, lambda: len(world.log))

    async def read(self, call: Callable[[Queries], T]) -> T:
        return call(self.queries)

    async def report(self, task: str) -> tuple[PipelineReport | None, int]:
        """What is told of a task, and how many records were read for it."""
        row = self.queries.task(task)
        before = self.log.count
        found = await report_for(cast(Any, self), row)
        return found, self.log.count - before


def others(world: Calm) -> None:
    for _ in range(OTHERS):
        world.now_ms += 1
        world.submit()


def opened(world: Calm) -> str:
    world.now_ms += 1
    spec = PipelineSpec("piped", (StageSpec("one", "measure"),), rooted=True)
    root = TaskSpec(id=spec.id, type=PIPELINE_TYPE)
    answer = world.send(OpenPipeline(now_ms=world.now_ms, spec=spec, root=root))
    assert answer.code is None
    return spec.id


def cancelled(world: Calm, task: str) -> None:
    world.now_ms += 1
    assert world.send(c.CancelTask(now_ms=world.now_ms, task=task)).code is None


@pytest.mark.parametrize("is_one", [True, False])
def test_what_became_of_a_pipeline_is_read_from_its_beginning_on_and_once(
    tmp_path: Path, is_one: bool
) -> None:
    world = Calm()
    others(world)
    task = opened(world) if is_one else world.submit(type=PIPELINE_TYPE)
    cancelled(world, task)
    others(world)

    async def read() -> None:
        views = SqliteViews(tmp_path / "views.db")
        reader = Reader(world, views)
        for number, body in enumerate(world.log):
            await reader.log.append("swarm_1", number, body)
        report, count = await reader.report(task)
        assert (report is not None and report.status) == ("cancelled" if is_one else False)
        assert 0 < count < OTHERS
        assert await reader.report(task) == (report, 0)
        views.close()

    asyncio.run(read())
