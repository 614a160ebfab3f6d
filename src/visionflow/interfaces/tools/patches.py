"""Whether there is a change to vote on in what a task came to."""

import asyncio

from visionflow.agents.report.gathering import gather
from visionflow.domain.errors import Refused
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.decide.closing import Closing
from visionflow.runtime.intake import unpack
from visionflow.runtime.swarms import LiveSwarm


async def must_hold_change(swarm: LiveSwarm, task: str) -> None:
    """Refuse a vote on the patch of a task that made none. Of one that is not known, or has no
    result, the engine says so.

    Raises:
        Refused: `no_change`.
    """
    state = swarm.state
    found = state.tasks.get(task)
    if found is None or found.status is not TaskStatus.COMPLETED:
        return
    names = (task,) if found.plan is None else Closing(state).results_of(task)
    kept = {name: state.tasks[name].result for name in names if name in state.tasks}

    def read() -> str | None:
        told = gather({name: unpack(each, swarm.blobs) for name, each in kept.items()})
        if told.contest is not None:
            return None
        if told.change is None:
            return "has no change in its result"
        if told.change.outcome == "changed":
            return None
        return f"made no change: {told.change.reason or told.change.outcome}"

    why = await asyncio.to_thread(read)
    if why is not None:
        raise Refused(
            f"Task {task} {why}.",
            code="no_change",
            hint="Whether its result is right can be asked with task_result.",
        )
