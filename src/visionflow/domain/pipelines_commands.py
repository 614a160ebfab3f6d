"""Commands about pipelines."""

from visionflow.domain.command import Command
from visionflow.domain.pipelines import PipelineSpec, Value
from visionflow.domain.tasks import NOTHING, Payload, TaskSpec


class OpenPipeline(Command, frozen=True, tag="open_pipeline"):
    """Have stages done one after the other."""

    spec: PipelineSpec
    start: str | None = None
    """The stage to begin with; `None`: the first."""
    root: TaskSpec | None = None
    """A task under the pipeline's id by which it is known beside other tasks."""


class BeginStage(Command, frozen=True, tag="begin_stage"):
    """Submit the task of the stage that is next. Once for each round: again, it does nothing."""

    pipeline: str
    stage: str
    round: int
    spec: TaskSpec


class JudgeStage(Command, frozen=True, tag="judge_stage"):
    """The task of a stage has ended: what was measured of it, and what it hands on."""

    pipeline: str
    task: str
    measured: dict[str, Value] = {}  # noqa: RUF012 - a Struct's, made anew for each
    output: Payload | None = None
    """`None`: its result as it is."""
    objection: str | None = None
    """Why whoever drives the pipeline does not take it, whatever was measured."""


class CancelPipeline(Command, frozen=True, tag="cancel_pipeline"):
    """End a pipeline, and the stage that is under way."""

    pipeline: str
    reason: str


class ResumePipeline(Command, frozen=True, tag="resume_pipeline"):
    """Let a pipeline that ended without its result go on."""

    pipeline: str
    stage: str | None = None
    """Where; `None`: at the stage that failed."""
    input: Payload | None = None


class SettlePipeline(Command, frozen=True, tag="settle_pipeline"):
    """A pipeline is over: its root task ends as it did, with this result where it completed."""

    pipeline: str
    result: Payload = NOTHING


PipelineCommand = (
    OpenPipeline | BeginStage | JudgeStage | CancelPipeline | ResumePipeline | SettlePipeline
)
