"""Results of parallel work as one: several of the same, or of different tasks, done and put
together from Python."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from visionflow.agents.task import Task
from visionflow.domain.errors import UsageError
from visionflow.domain.wording import shown
from visionflow.engine.aggregation import Aggregate, Method, Rule, Said, aggregate
from visionflow.interfaces.aggregation_rules import WAYS, read_rule, said_by
from visionflow.interfaces.async_fleet import AsyncFleet, in_thread
from visionflow.interfaces.orchestrator import Fleet
from visionflow.ports.blobs import Blobs

COPIES_MAX = 1_000


def aggregate_results(
    results: Mapping[str, Any], *, by: str | Mapping[str, Any] = Method.MAJORITY_VOTE.value
) -> Aggregate:
    """What results come to, by the part that each is of; `by` as for `run_parallel`.

    Raises:
        UsageError: the rule is none, weighs a part that is not there, or the results are no map of
            plain values.
    """
    rule = read_rule(by)
    if rule is None:
        raise UsageError("by is 'all', which makes nothing of the results.", hint=WAYS)
    if not isinstance(cast(object, results), Mapping):
        raise UsageError(
            f"The results are {shown(results)}, no map.", hint="Give each the name of its part."
        )
    parts = [
        Said(part, value, ended_ms=place) for place, (part, value) in enumerate(results.items())
    ]
    try:
        found = aggregate(rule, parts)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"The results cannot be compared: {error}.") from error
    if found.unused:
        raise UsageError(
            f"The weights name {found.unused[0][:100]!r}, which is no part here.",
            hint=f"The parts are {', '.join(map(str, results))[:500]}.",
        )
    return found


async def run_parallel(
    fleet: Fleet | AsyncFleet,
    task: Task | Sequence[Task],
    *,
    copies: int | None = None,
    by: str | Mapping[str, Any] = Method.MAJORITY_VOTE.value,
    failure_threshold: float = 0.0,
) -> Aggregate:
    """Have a task done several times side by side, or several tasks, and make one of the results.

    `by`: majority_vote, merge, first_success; or a map with `method`, `equality` (exact,
    normalised, key), `key`, `weights`, `score`. `failure_threshold`: the share that may fail.

    Raises:
        TaskFailed: more than that failed, or all of them.
        UsageError: nothing says how many, or the rule is none.
    """
    rule = read_rule(by)
    if rule is None:
        raise UsageError("by is 'all', which makes nothing of the results.", hint=WAYS)
    tasks = _tasks(task, copies)
    embedded = fleet.sync if isinstance(fleet, AsyncFleet) else fleet
    handle = await in_thread(
        lambda: embedded.submit_plan(
            tasks[0].description, {"work": tasks}, failure_threshold=failure_threshold
        )
    )
    await handle

    def said() -> list[Said]:
        rows = [embedded.queries.task(part.id) for part in handle.parts["work"]]
        return [said_by(row, embedded.face(_blobs)) for row in rows]

    return aggregate(rule, await asyncio.to_thread(said))


def _blobs(_node: object, blobs: Blobs, *_: object) -> Blobs:
    return blobs


def _tasks(task: Task | Sequence[Task], copies: int | None) -> list[Task]:
    if isinstance(task, Task):
        if copies is None or not 1 <= copies <= COPIES_MAX:
            raise UsageError(f"copies is {copies}: say how many are to do it, 1 to {COPIES_MAX}.")
        if task.id:
            raise UsageError(f"Each copy has an id of its own, not {task.id!r}.")
        return [task] * copies
    if copies is not None or not task:
        raise UsageError("copies are of one task; several tasks are done once each.")
    return list(task)


__all__ = [
    "Aggregate",
    "Rule",
    "aggregate",
    "aggregate_results",
    "read_rule",
    "run_parallel",
    "said_by",
]
