"""Several tasks with one agent object, in one's own program: in batches where it takes them, else
a few side by side."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from visionflow.agents.task import Task
from visionflow.domain.errors import UsageError
from visionflow.domain.limits import BATCH_MAX


class Batching(Protocol):
    """What is needed of an agent; every `BaseAgent` has it."""

    def supports_batch(self, task_type: str) -> bool:
        """Whether several tasks of this type may be handed over at once."""
        ...

    @property
    def process_task(self) -> Callable[[Task], Any]:
        """Does one."""
        ...

    @property
    def batch_process(self) -> Callable[[list[Task]], Any]:
        """Does several of one type."""
        ...


async def batch_process_tasks(agent: Batching, tasks: Sequence[Task]) -> list[Any]:
    """Do all of them with this agent, type by type, five at a time; the results in the order of
    the tasks, whatever their types.

    Tasks of a type that the agent `supports_batch` go to its `batch_process` together; of others
    up to five run side by side, plain functions in threads. In a fleet its workers do the same by
    themselves, durably; this is for an agent object at hand.

    Raises:
        UsageError: `batch_process` gave something else than one result for each task.
        Exception: what the agent raised for the first that failed; those begun with it go on.
    """
    results: list[Any] = [None] * len(tasks)
    by_type: dict[str, list[int]] = {}
    for place, task in enumerate(tasks):
        by_type.setdefault(task.type, []).append(place)
    for kind, places in by_type.items():
        together = agent.supports_batch(kind)
        for start in range(0, len(places), BATCH_MAX):
            part = places[start : start + BATCH_MAX]
            given = [tasks[place] for place in part]
            if together:
                found = one_for_each(await _called(agent.batch_process, given), len(given))
            else:
                found = await asyncio.gather(*(_called(agent.process_task, one) for one in given))
            for place, result in zip(part, found, strict=True):
                results[place] = result
    return results


async def _called(call: Callable[[Any], Any], given: object) -> Any:
    if inspect.iscoroutinefunction(call):
        return await call(given)
    found = await asyncio.to_thread(call, given)
    return await found if inspect.isawaitable(found) else found


def one_for_each(found: object, wanted: int) -> Sequence[Any]:
    """What `batch_process` gave, if that is one result for each of so many tasks.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(found, list | tuple):
        told = f"batch_process gave {type(found).__name__} for {wanted} tasks."
    elif len(results := cast("Sequence[Any]", found)) == wanted:
        return results
    else:
        told = (
            f"batch_process gave {len(results)} results for {wanted} tasks, so nobody can tell "
            "whose they are."
        )
    raise UsageError(told, hint="Return a list with one result for each task, in their order.")
