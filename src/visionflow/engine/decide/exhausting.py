"""What is done about an attempt that ran out of memory, in a process that may live.

An agent with a process of its own gets another one with a higher ceiling, once what it holds is
done; the attempt counts against nothing then. Else it is a failure like any other.
"""

from visionflow.domain import commands as c
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec
from visionflow.domain.supervision import Cause
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.draining import LIVE
from visionflow.engine.decide.recovering import higher_ceiling, said_of, was_raised
from visionflow.engine.state import SwarmState, TaskState, WorkerState


def end_exhausted(
    state: SwarmState, closing: Closing, task: TaskState, command: c.ReportFailure
) -> None:
    """The open attempt of a task ran out of memory, in a process that may live."""
    agent = state.agents[task.agent or ""]
    worker = state.workers[agent.worker]
    raised = was_raised(state, worker)
    ceiling = (
        None if raised else higher_ceiling(state, worker, command.machine_bytes, command.advice)
    )
    mended = raised or ceiling is not None
    stopping = closing.cancelling(task) is not None
    ending = Ending(command.kind, command.reason, command.entropy, excused=mended)
    end_attempt(closing, task, command.now_ms, ending)
    if stopping or state.closed is not None:
        return
    closing.events.append(
        s.RecoveryChosen(
            cause=Cause.RESOURCES,
            strategy=agent.spec.recovery.name,
            action=_memory_action(worker, agent.spec, ceiling, raised) + said_of(command.advice),
            agent=agent.spec.id,
            worker=worker.id,
            task=task.spec.id,
        )
    )
    if ceiling is None:
        return
    closing.events.append(ceiling)
    replaced = (state.supervised.recycling, state.supervised.restarting)
    if worker.status in LIVE and not any(worker.id in each for each in replaced):
        reason = f"it gets {ceiling.memory_bytes} bytes of memory, not {ceiling.before_bytes}"
        closing.events.append(
            s.WorkerRecycling(worker=worker.id, incarnation=worker.incarnation, reason=reason)
        )


def _memory_action(
    worker: WorkerState, spec: AgentSpec, ceiling: s.CeilingRaised | None, raised: bool
) -> str:
    if ceiling is not None:
        return (
            f"its agent gets {ceiling.memory_bytes} bytes, not {ceiling.before_bytes}, and the "
            "task another attempt"
        )
    if raised:
        return "its agent was given more meanwhile, and the task gets another attempt"
    if not worker.dedicated:
        return "the attempt counts as a failure: its agent has no ceiling that could be raised"
    most = spec.limits.memory_bytes
    return f"the attempt counts as a failure: {most} bytes are the most that its agent may have"
