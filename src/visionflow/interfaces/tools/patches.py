"""Whether there is a change to vote on in what a task came to."""

from typing import NamedTuple

from visionflow.domain.errors import Refused
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.engine.decide.closing import Closing
from visionflow.engine.state import SwarmState
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import unpack


class Results(NamedTuple):
    """What a task came to, or each part of a plan; nothing of one that is not known, or has none:
    the engine says so."""

    task: str
    of: dict[str, Payload]


def results_of(state: SwarmState, task: str) -> Results:
    """The results that are voted on."""
    found = state.tasks.get(task)
    if found is None or found.status is not TaskStatus.COMPLETED:
        return Results(task, {})
    names = (task,) if found.plan is None else Closing(state).results_of(task)
    return Results(task, {each: state.tasks[each].result for each in names if each in state.tasks})


def must_hold_change(results: Results, blobs: Blobs) -> None:
    """Refuse a vote on the patch of a task that made none. Blocks: large results are on the disk.

    Raises:
        Refused: `no_change`.
    """
    from visionflow.agents.report.gathering import gather  # Only few ask for it, and it is large.

    if not results.of:
        return
    found = gather({name: unpack(each, blobs) for name, each in results.of.items()})
    if found.contest is not None or (found.change and found.change.outcome == "changed"):
        return
    why = "has no change in its result"
    if found.change is not None:
        why = f"made no change: {found.change.reason or found.change.outcome}"
    raise Refused(
        f"Task {results.task} {why.rstrip('.')}.",
        code="no_change",
        hint="Whether its result is right can be asked with task_result.",
    )
