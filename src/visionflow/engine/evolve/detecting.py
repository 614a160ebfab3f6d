"""Folds of opinions: who may be gone, and which attempts may be stuck."""

from visionflow.domain import supervision_events as s
from visionflow.engine.evolve.table import folds, refresh_worker
from visionflow.engine.lifecycles import next_task_status
from visionflow.engine.state import SwarmState


@folds(s.WorkerSuspected)
def _(state: SwarmState, event: s.WorkerSuspected) -> None:
    state.supervised.suspects[event.worker] = event.evidence
    refresh_worker(state, event.worker)


@folds(s.WorkerTrusted)
def _(state: SwarmState, event: s.WorkerTrusted) -> None:
    state.supervised.suspects.pop(event.worker, None)
    refresh_worker(state, event.worker)


@folds(s.AttemptStalled)
def _(state: SwarmState, event: s.AttemptStalled) -> None:
    task = state.tasks[event.task]
    task.status = next_task_status(task.status, s.AttemptStalled, event.task)
    state.supervised.stalled[event.task] = event.attempt


@folds(s.AttemptProgressed)
def _(state: SwarmState, event: s.AttemptProgressed) -> None:
    task = state.tasks[event.task]
    task.status = next_task_status(task.status, s.AttemptProgressed, event.task)
    state.supervised.stalled.pop(event.task, None)
