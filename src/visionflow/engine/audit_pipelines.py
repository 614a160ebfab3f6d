"""The auditor's look at pipelines."""

from collections.abc import Iterator

from visionflow.domain.pipelines import PipelineStatus
from visionflow.domain.tasks import TERMINAL
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import SwarmState


def pipeline_faults(state: SwarmState) -> Iterator[str]:
    """What does not hold of any pipeline."""
    pipelines = state.pipelines
    needed: dict[str, str] = {}
    for name, pipeline in pipelines.open.items():
        if pipeline.status is not PipelineStatus.RUNNING:
            yield f"pipeline {name} is {pipeline.status} and counts as open"
        needed |= {each.task: name for each in pipeline.rounds if _is_last(pipeline, each.task)}
        if pipeline.task is not None and pipeline.task not in pipelines.tasks:
            yield f"pipeline {name} waits for {pipeline.task}, whose result may be forgotten"
        if pipeline.task is not None and pipeline.task not in state.tasks:
            yield f"pipeline {name} waits for {pipeline.task}, which is not known"
        if pipeline.task is None and pipeline.input_of(pipeline.at) is None:
            yield f"pipeline {name} has nothing to give to its stage {pipeline.stage.name}"
        root = state.tasks.get(name)
        if pipeline.spec.rooted and (root is None or root.status in TERMINAL):
            yield f"pipeline {name} is open and its task has ended"
    for task, name in pipelines.tasks.items():
        if needed.get(task) != name:
            yield f"the result of {task} is kept for pipeline {name}, which does not need it"
    for name in pipelines.unsettled:
        root = state.tasks.get(name)
        if name not in pipelines.over or root is None or root.status in TERMINAL:
            yield f"pipeline {name} is to be settled and has been"


def _is_last(pipeline: PipelineState, task: str) -> bool:
    (stage,) = {each.stage for each in pipeline.rounds if each.task == task}
    return [each.task for each in pipeline.rounds if each.stage == stage][-1] == task
