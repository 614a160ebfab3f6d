"""What an attempt leaves behind is ended, unless a message is dealt with in the same process."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from orchestra import Bench, packed, run, task

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain.mail import Letter
from visionflow.domain.messages import Failed, MailHanded
from visionflow.domain.tasks import FailureKind


@pytest.mark.parametrize("handles", [False, True])
def test_processes_are_not_ended_while_a_handler_may_be_who_started_them(
    tmp_path: Path, handles: bool
) -> None:
    """Nobody can tell whose they are."""
    begun, ended = asyncio.Event(), list[float]()

    class Both(BaseAgent):
        async def process_task(self, task: Task) -> Any:
            await asyncio.sleep(600)

        async def handle_message(self, message: Any) -> None:
            begun.set()
            await asyncio.sleep(600)

    def end_started(age_s: float) -> int:
        ended.append(age_s)
        return 0

    async def body() -> None:
        bench = Bench(tmp_path, {})
        bench.executor._end_started = end_started
        await bench.start_one(Both)
        if handles:
            letter = Letter("m1", "ops", "a1", 1, content=packed("hello"))
            bench.orchestrator.tell(MailHanded("a1", 1, letter))
            await begun.wait()
        bench.orchestrator.tell(task("t", timeout_ms=50))
        found = await bench.orchestrator.end_of("t")
        assert isinstance(found, Failed) and found.kind is FailureKind.TIMEOUT
        assert bool(ended) is not handles
        await bench.stop()

    run(body())
