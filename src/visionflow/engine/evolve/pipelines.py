"""Folds of what happens to pipelines."""

from visionflow.domain import pipelines_events as pe
from visionflow.domain.pipelines import (
    PASSED,
    PIPELINES_KEPT_MAX,
    PipelineStatus,
    StageAction,
)
from visionflow.domain.tasks import TERMINAL
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.lifecycles import IllegalTransition
from visionflow.engine.pipelines import PipelineState, RoundState
from visionflow.engine.state import Answer, SwarmState


@folds(pe.PipelineOpened)
def _(state: SwarmState, event: pe.PipelineOpened) -> None:
    spec = event.spec
    pipeline = PipelineState(spec, event.start, state.now_ms, changed_ms=state.now_ms)
    pipeline.given[pipeline.stage.name] = spec.input
    state.pipelines.open[spec.id] = pipeline
    answer(state, event.command, Answer(state.now_ms, spec.id))


def root_ended(state: SwarmState, task: str) -> None:
    """A root task has ended: of a pipeline that goes on, this is the end."""
    state.pipelines.unsettled.pop(task, None)
    if task in state.pipelines.open:
        state.pipelines.orphans[task] = None


@folds(pe.StageBegan)
def _(state: SwarmState, event: pe.StageBegan) -> None:
    pipelines = state.pipelines
    pipeline = pipelines.open[event.pipeline]
    if pipeline.task is not None:
        raise IllegalTransition(f"pipeline {event.pipeline} does {pipeline.task} already")
    for each in pipeline.rounds:
        if each.stage == event.stage:
            pipelines.tasks.pop(each.task, None)
    pipeline.rounds.append(RoundState(event.stage, event.round, event.task))
    pipeline.task = event.task
    pipeline.changed_ms = state.now_ms
    pipelines.tasks[event.task] = event.pipeline
    answer(state, event.command, Answer(state.now_ms, event.task))


@folds(pe.StageJudged)
def _(state: SwarmState, event: pe.StageJudged) -> None:
    pipeline = state.pipelines.open[event.pipeline]
    if pipeline.task != event.task:
        raise IllegalTransition(f"pipeline {event.pipeline} does not wait for {event.task}")
    done = pipeline.rounds[-1]
    done.action, done.to, done.reason = event.action, event.to, event.reason
    done.measured, done.missed = event.measured, event.missed
    pipeline.task = None
    pipeline.changed_ms = state.now_ms
    if event.action in PASSED:
        output = event.output
        pipeline.outputs[event.stage] = state.tasks[event.task].result if output is None else output
    elif event.action is not StageAction.STOP:
        pipeline.failures[event.stage] = pipeline.failures.get(event.stage, 0) + 1
    if event.to is not None:
        pipeline.at = pipeline.place_of(event.to) or 0
    answer(state, event.command, Answer(state.now_ms, event.pipeline))


@folds(pe.PipelineEnded)
def _(state: SwarmState, event: pe.PipelineEnded) -> None:
    pipelines = state.pipelines
    pipeline = pipelines.open.pop(event.pipeline)
    pipeline.status, pipeline.reason = event.status, event.reason
    pipeline.task, pipeline.changed_ms = None, state.now_ms
    for each in pipeline.rounds:
        pipelines.tasks.pop(each.task, None)
    pipelines.orphans.pop(event.pipeline, None)
    pipelines.over[event.pipeline] = pipeline
    if pipeline.spec.rooted and state.tasks[event.pipeline].status not in TERMINAL:
        pipelines.unsettled[event.pipeline] = None
    if len(pipelines.over) > PIPELINES_KEPT_MAX:
        oldest = next((each for each in pipelines.over if each not in pipelines.unsettled), None)
        if oldest is not None:
            del pipelines.over[oldest]
    answer(state, event.command, Answer(state.now_ms, event.pipeline))


@folds(pe.PipelineResumed)
def _(state: SwarmState, event: pe.PipelineResumed) -> None:
    pipeline = state.pipelines.over.pop(event.pipeline)
    pipeline.status, pipeline.reason = PipelineStatus.RUNNING, ""
    pipeline.at = pipeline.place_of(event.stage) or 0
    pipeline.failures, pipeline.changed_ms = {}, state.now_ms
    if event.input is not None:
        pipeline.given[event.stage] = event.input
    state.pipelines.open[event.pipeline] = pipeline
    answer(state, event.command, Answer(state.now_ms, event.pipeline))
