"""Decisions about who does what has been given out and not begun, and about how many agents there
shall be.

An attempt that was given out ahead waits in its agent's worker. It can be asked back: it comes
back unless it has begun, and only its worker knows that. So there is no moment at which two hold
it: until the worker has answered, it is the first one's.
"""

from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.errors import Refused, UnknownTask
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import BATCH_TYPES_MAX, WORD_CHARS_MAX
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.balancing import ABLE, steals
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.table import decides
from visionflow.engine.state import SwarmState, TaskState

Events = list[AnyEvent]


@decides(sc.RecallAttempt)
def _(state: SwarmState, command: sc.RecallAttempt) -> Events:
    name, task = command.task, state.tasks.get(command.task)
    if task is None:
        raise UnknownTask(f"There is no task {name}, or it ended long ago.")
    _may_come_back(task, command.attempt)
    if state.supervised.recalling.get(name) == command.attempt:
        return []
    return [s.AttemptRecalling(task=name, attempt=command.attempt, reason=command.reason)]


def _may_come_back(task: TaskState, attempt: int) -> None:
    name = task.spec.id
    if task.status is TaskStatus.RUNNING and task.attempt == attempt:
        raise Refused(
            f"Attempt {attempt} of {name} has begun.",
            code="already_begun",
            hint="Cancel it with task_cancel where it is to stop.",
        )
    if task.status is not TaskStatus.ASSIGNED or task.attempt != attempt:
        raise Refused(f"Attempt {attempt} of {name} is not open.", code="stale_attempt")
    if task.cancelling is not None:
        raise Refused(f"Task {name} is being cancelled already.", code="already_ended")


def steal(state: SwarmState, now_ms: int, closing: Closing) -> None:
    """Ask back what somebody else could begin at once."""
    for move in steals(state, now_ms):
        name, task = move.task, state.tasks[move.task]
        if closing.is_released(name) or closing.cancelling(task) is not None:
            continue
        reason = f"it waits behind others of {move.holder}, and {move.taker} has room"
        closing.events.append(s.AttemptRecalling(task=name, attempt=task.attempt, reason=reason))


@decides(sc.ReportBatches)
def _(state: SwarmState, command: sc.ReportBatches) -> Events:
    agent, worker = state.agents.get(command.agent), state.workers.get(command.worker)
    if agent is None or worker is None or agent.worker != command.worker:
        return []
    if worker.incarnation != command.incarnation or worker.status is not WorkerStatus.JOINED:
        return []
    if agent.status not in ABLE or len(command.types) > BATCH_TYPES_MAX:
        return []
    if any(len(name) > WORD_CHARS_MAX for name in command.types):
        return []
    if state.supervised.batches.get(command.agent, ()) == command.types:
        return []
    return [s.BatchesLearned(agent=command.agent, types=command.types)]


@decides(sc.RecordScale)
def _(state: SwarmState, command: sc.RecordScale) -> Events:
    if state.spec is None or state.closed is not None:
        raise Refused("The swarm has no agents to count: it is closed.", code="swarm_closed")
    return [
        s.ScaleDecided(
            agent_type=command.agent_type,
            before=command.before,
            after=command.after,
            evidence=command.evidence,
        )
    ]
