"""Decisions about processes that outlive their orchestrator, and those that come back to it."""

from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.draining import LIVE
from visionflow.engine.decide.table import decides
from visionflow.engine.state import SwarmState


def kept_of(state: SwarmState, named: tuple[str, ...]) -> tuple[str, ...]:
    """Of the workers that a recovery names as living, those whose process can show who it is."""
    workers, secrets = state.workers, state.supervised.secrets
    return tuple(
        name
        for name in dict.fromkeys(named)
        if name in secrets and name in workers and workers[name].status in LIVE
    )


@decides(sc.ReportWorkerAdopted)
def _(state: SwarmState, command: sc.ReportWorkerAdopted) -> list[AnyEvent]:
    name = command.worker
    worker = state.workers.get(name)
    if worker is None or worker.incarnation != command.incarnation:
        return []
    if name not in state.supervised.awaited:
        # It was adopted before, or is one of this orchestrator's own: a hello said again.
        return []
    closing, held = Closing(state), set(command.attempts)
    closing.events.append(
        s.WorkerAdopted(worker=name, incarnation=command.incarnation, attempts=command.attempts)
    )
    for agent in worker.agents:
        for task, attempt in state.agents[agent].open.items():
            # One that was only assigned is delivered (again): it never came, or waits there.
            if state.tasks[task].status is TaskStatus.RUNNING and (task, attempt) not in held:
                reason = f"worker {name} came back without it"
                ending = Ending(FailureKind.LOST, reason)
                end_attempt(closing, state.tasks[task], command.now_ms, ending)
    return closing.events


def is_heard(state: SwarmState, worker: str) -> bool:
    """Whether the process of a worker has said hello to the present orchestrator."""
    found = state.workers.get(worker)
    if found is None or found.status is not WorkerStatus.JOINED:
        return False
    return worker not in state.supervised.awaited


def is_awaited(state: SwarmState, task: str) -> bool:
    """Whether the attempt of a task is open in a process that has yet to say how it stands."""
    awaited = state.supervised.awaited
    if not awaited:
        return False
    found = state.tasks.get(task)
    agent = None if found is None or found.agent is None else state.agents.get(found.agent)
    return agent is not None and agent.worker in awaited


def recovered(state: SwarmState, named: tuple[str, ...], until_ms: int) -> e.Recovered:
    """What a recovery that finds these workers alive puts on record."""
    kept = kept_of(state, named)
    return e.Recovered(boot=state.boot + 1, kept=kept, kept_until_ms=until_ms if kept else 0)
