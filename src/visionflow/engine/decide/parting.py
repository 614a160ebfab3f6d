"""Decisions about who shares a process no longer, because the process dies under it and others.

A death in a process of its own is an agent's own: it is counted against it, and costs nobody else.
"""

from collections.abc import Iterable

from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.decide.building import UP
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.updating import own_place
from visionflow.engine.state import SwarmState, WorkerState

PARTED_AFTER = {
    FailureKind.CRASH: 1,
    FailureKind.TIMEOUT: 1,
    FailureKind.KILLED: 2,
    FailureKind.NETWORK: 2,
}
"""How often a task had lost its worker before, where another death has its agent parted from the
others of its process. A signal may come from anywhere, but not for ever from elsewhere."""
NEWCOMERS_MAX = 4
"""Agents that get processes of their own at once because one died while they were built in it."""


def is_to_part(state: SwarmState, agent: str, after: int) -> bool:
    """Whether an agent that worked beside others when their process died is to have one of its own:
    where a task of it had lost its worker so often before. One death may be chance, and processes
    cost."""
    if not _may_part(state, agent) or state.agents[agent].status not in UP:
        return False
    again = (state.tasks[name] for name in state.agents[agent].open)
    return any(task.status is TaskStatus.RUNNING and task.kills >= after for task in again)


def blocked_again(state: SwarmState, agent: str, after: int, in_time: Iterable[str]) -> bool:
    """The same of one whose attempt blocked the process beyond its limit, where that had cost a
    task of another its worker so often before. `in_time`: what else ran in it."""
    if not _may_part(state, agent) or state.agents[agent].status not in UP:
        return False
    others = (state.tasks[name] for name in in_time)
    return any(task.kills >= after for task in others if task.agent != agent)


def apart(state: SwarmState, agent: str, worker: WorkerState) -> e.AgentUpdated:
    """The agent as it was, to move to a process of its own once it is up."""
    return _parted(
        state,
        agent,
        f"its process {worker.id} died again under it and others: it gets one of its own, "
        "where a death is its own",
    )


def part_newcomers(state: SwarmState, closing: Closing, worker: WorkerState) -> None:
    """A process in which nothing ran died by itself while agents were built in it for the first
    time, beside others: they are built in processes of their own, or they would have it die under
    the others again and again. Above `NEWCOMERS_MAX` none is, and of newcomers alone the first
    stays."""
    present = [n for n in worker.agents if state.agents[n].status is not AgentStatus.TERMINATING]
    new = [n for n in present if state.agents[n].status is AgentStatus.INITIALISING]
    if len(present) < 2 or not 0 < len(new) <= NEWCOMERS_MAX:
        return
    for name in new[len(new) == len(present) :]:
        if _may_part(state, name):
            why = (
                f"its process {worker.id} died while it was built there beside others: it is built "
                "in one of its own, where a death is its own"
            )
            event = _parted(state, name, why)
            closing.events += [
                event,
                e.AgentMoved(agent=name, worker=own_place(state, name, event.revision)),
                e.AgentDeparted(agent=name, worker=worker.id),
            ]


def _may_part(state: SwarmState, agent: str) -> bool:
    return state.closed is None and agent not in state.moving and agent not in state.draining


def _parted(state: SwarmState, agent: str, why: str) -> e.AgentUpdated:
    revision = state.revisions.get(agent, 0) + 1
    spec = state.agents[agent].spec
    return e.AgentUpdated(spec=spec, revision=revision, moves=True, reason=why)
