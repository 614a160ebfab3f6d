"""Whether there is a change to vote on in what a task came to."""

from typing import NamedTuple, cast

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

    Who reads the form of a role of the user's own are the members: it is let through where it may
    hold a change.

    Raises:
        Refused: `no_change`.
    """
    from visionflow.agents.report.gathering import gather  # Only few ask for it, and it is large.

    if not results.of:
        return
    bodies = {name: unpack(each, blobs) for name, each in results.of.items()}
    read = [gather({name: body}) for name, body in bodies.items()]
    if any(each.contest is not None for each in read):
        return
    changes = [each.change for each in read if each.change is not None]
    if any(change.outcome == "changed" for change in changes):
        return
    if not changes and any(_may_hold_one(body) for body in bodies.values()):
        return
    why = "has no change in its result"
    if changes:
        why = f"made no change: {changes[0].reason or changes[0].outcome}"
    raise Refused(
        f"Task {results.task} {why.rstrip('.')}.",
        code="no_change",
        hint="Whether its result is right can be asked with task_result.",
    )


def _may_hold_one(body: object) -> bool:
    """Whether there are words in a result; numbers alone are no change in anybody's form."""
    if isinstance(body, list):
        return any(map(_may_hold_one, cast("list[object]", body)))
    return isinstance(body, str | bytes | dict) and bool(cast("object", body))
