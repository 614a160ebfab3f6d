"""Commands about pipelines."""

from visionflow.domain.command import Command
from visionflow.domain.pipelines import PipelineSpec, Value
from visionflow.domain.tasks import Payload, TaskSpec


class OpenPipeline(Command, frozen=True, tag="open_pipeline"):
    """Have stages done one after the other."""

    spec: PipelineSpec
    start: str | None = None
    """The stage to begin with; `None`: the first."""


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


PipelineCommand = OpenPipeline | BeginStage | JudgeStage | CancelPipeline | ResumePipeline
