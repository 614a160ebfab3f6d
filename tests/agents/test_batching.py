"""`batch_process_tasks`: several tasks with one agent object, five at a time."""

import asyncio
from typing import Any

import pytest

from visionflow import BaseAgent, Task, batch_process_tasks
from visionflow.compose.local import local_agent
from visionflow.domain.errors import UsageError


class Mixed(BaseAgent):
    """Takes `embed` in batches; counts what runs side by side."""

    async def start(self) -> None:
        self.batches: list[list[str]] = []
        self.running = self.most = 0

    def supports_batch(self, task_type: str) -> bool:
        return task_type == "embed"

    async def process_task(self, task: Task) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5):
            await asyncio.sleep(0)
        self.running -= 1
        return f"one {task.id}"

    async def batch_process(self, tasks: list[Task]) -> list[Any]:
        self.batches.append([task.id for task in tasks])
        return [f"batch {task.id}" for task in tasks]


class Plain(BaseAgent):
    """Plain functions."""

    def supports_batch(self, task_type: str) -> bool:
        return task_type == "embed"

    def process_task(self, task: Task) -> str:
        return f"one {task.id}"

    def batch_process(self, tasks: list[Task]) -> list[Any]:
        return [f"batch {task.id}" for task in tasks]


def tasks(*kinds: str) -> list[Task]:
    return [Task(id=f"{kind}{number}", type=kind) for number, kind in enumerate(kinds)]


def done(agent: type[BaseAgent], given: list[Task]) -> tuple[list[Any], Any]:
    async def use() -> tuple[list[Any], Any]:
        async with local_agent(agent) as made:
            return await batch_process_tasks(made, given), made

    return asyncio.run(use())


@pytest.mark.acceptance("scale")
@pytest.mark.parametrize("agent", [Mixed, Plain])
def test_results_are_in_the_order_of_the_tasks_whatever_their_types(
    agent: type[BaseAgent],
) -> None:
    given = tasks("embed", "other", "embed", "third", "other")
    results, _ = done(agent, given)
    assert results == ["batch embed0", "one other1", "batch embed2", "one third3", "one other4"]


def test_five_go_at_a_time_in_batches_and_side_by_side() -> None:
    _, agent = done(Mixed, tasks(*["embed"] * 12, *["other"] * 12))
    assert [len(batch) for batch in agent.batches] == [5, 5, 2]
    assert agent.most == 5


def test_nothing_is_nothing() -> None:
    assert done(Mixed, [])[0] == []


@pytest.mark.parametrize("found", [[1], {"a": 1}, None])
def test_a_batch_of_another_number_of_results_is_refused(found: object) -> None:
    class Wrong(Mixed):
        async def batch_process(self, tasks: list[Task]) -> Any:
            return found

    with pytest.raises(UsageError, match=r"batch_process gave .* for 2 tasks"):
        done(Wrong, tasks("embed", "embed"))


def test_what_the_agent_raises_is_raised() -> None:
    class Failing(Mixed):
        async def process_task(self, task: Task) -> str:
            raise ValueError(task.id)

    with pytest.raises(ValueError, match="other0"):
        done(Failing, tasks("other"))
