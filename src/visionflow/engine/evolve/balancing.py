"""Folds of what was asked back, of batches, and of decisions on how many agents there shall be."""

from visionflow.domain import supervision_events as s
from visionflow.engine.evolve.table import folds, refresh
from visionflow.engine.lifecycles import next_task_status
from visionflow.engine.state import SwarmState


@folds(s.AttemptRecalling)
def _(state: SwarmState, event: s.AttemptRecalling) -> None:
    task = state.tasks[event.task]
    task.status = next_task_status(task.status, s.AttemptRecalling, event.task)
    state.supervised.recalling[event.task] = event.attempt


@folds(s.BatchesLearned)
def _(state: SwarmState, event: s.BatchesLearned) -> None:
    if event.types:
        state.supervised.batches[event.agent] = event.types
    else:
        state.supervised.batches.pop(event.agent, None)
    refresh(state, state.agents[event.agent])


@folds(s.ScaleDecided)
def _(state: SwarmState, event: s.ScaleDecided) -> None:
    state.supervised.scaled[event.agent_type] = state.now_ms
