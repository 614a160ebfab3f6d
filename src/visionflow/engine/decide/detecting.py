"""Decisions about opinions: of workers that may be gone, and of attempts that may be stuck."""

from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.events import AnyEvent
from visionflow.domain.supervision import Cause, RecoverySpec
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.decide.table import decides
from visionflow.engine.liveness import CUT_OFF
from visionflow.engine.state import SwarmState, WorkerState

Events = list[AnyEvent]


def _joined(state: SwarmState, worker: str, incarnation: int) -> WorkerState | None:
    found = state.workers.get(worker)
    if found is None or found.incarnation != incarnation:
        return None
    return found if found.status is WorkerStatus.JOINED else None


def _strategy(state: SwarmState, worker: WorkerState) -> str:
    """The name of how it is recovered: that of the agent that has it for itself, else the usual."""
    own = next(iter(worker.agents), None) if worker.dedicated else None
    return RecoverySpec().name if own is None else state.agents[own].spec.recovery.name


@decides(sc.ReportSuspicion)
def _(state: SwarmState, command: sc.ReportSuspicion) -> Events:
    worker, incarnation = command.worker, command.incarnation
    if _joined(state, worker, incarnation) is None or worker in state.supervised.suspects:
        return []
    return [s.WorkerSuspected(worker=worker, incarnation=incarnation, evidence=command.evidence)]


@decides(sc.ReportTrust)
def _(state: SwarmState, command: sc.ReportTrust) -> Events:
    name, incarnation = command.worker, command.incarnation
    worker = _joined(state, name, incarnation)
    evidence = state.supervised.suspects.get(name)
    if worker is None or evidence is None:
        return []
    events: Events = [
        s.WorkerTrusted(worker=name, incarnation=incarnation, evidence=command.evidence)
    ]
    if evidence.startswith(CUT_OFF):
        events.append(
            s.RecoveryChosen(
                cause=Cause.NETWORK,
                strategy=_strategy(state, worker),
                action="it dialled again, and what it holds goes on",
                worker=name,
            )
        )
    return events


def _running(state: SwarmState, task: str, attempt: int) -> bool:
    found = state.tasks.get(task)
    return found is not None and found.attempt == attempt and found.status is TaskStatus.RUNNING


@decides(sc.ReportStall)
def _(state: SwarmState, command: sc.ReportStall) -> Events:
    task, attempt = command.task, command.attempt
    if not _running(state, task, attempt) or task in state.supervised.stalled:
        return []
    return [s.AttemptStalled(task=task, attempt=attempt, evidence=command.evidence)]


@decides(sc.ReportProgress)
def _(state: SwarmState, command: sc.ReportProgress) -> Events:
    task, attempt = command.task, command.attempt
    if not _running(state, task, attempt) or task not in state.supervised.stalled:
        return []
    return [s.AttemptProgressed(task=task, attempt=attempt, evidence=command.evidence)]
