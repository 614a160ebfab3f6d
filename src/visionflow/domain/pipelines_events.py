"""Events of pipelines."""

from visionflow.domain.event import Event
from visionflow.domain.pipelines import PipelineSpec, PipelineStatus, StageAction, Value
from visionflow.domain.tasks import Payload


class PipelineOpened(Event, frozen=True, tag="pipeline_opened"):
    """A pipeline was accepted."""

    spec: PipelineSpec
    start: int = 0
    """The place of the stage that it begins with; that one gets the pipeline's input."""
    command: str | None = None


class StageBegan(Event, frozen=True, tag="stage_began"):
    """A stage is under way, as a task of its own that follows in the same record."""

    pipeline: str
    stage: str
    round: int
    """1 when it is done for the first time."""
    task: str
    command: str | None = None


class StageJudged(Event, frozen=True, tag="stage_judged"):
    """A stage has ended, and what follows is decided."""

    pipeline: str
    stage: str
    round: int
    task: str
    action: StageAction
    measured: dict[str, Value] = {}  # noqa: RUF012 - a Struct's, made anew for each
    """What was measured of it, by name."""
    missed: tuple[str, ...] = ()
    """Measures that do not meet what is demanded of them."""
    to: str | None = None
    """The stage that follows."""
    reason: str = ""
    """Why it failed; empty: it passed."""
    output: Payload | None = None
    """What it hands on, where that is something else than its task's result."""
    command: str | None = None


class PipelineEnded(Event, frozen=True, tag="pipeline_ended"):
    """A pipeline is over."""

    pipeline: str
    status: PipelineStatus
    reason: str = ""
    command: str | None = None


class PipelineResumed(Event, frozen=True, tag="pipeline_resumed"):
    """A pipeline that had ended goes on at a stage; how often it may fail is counted anew."""

    pipeline: str
    stage: str
    input: Payload | None = None
    """What that stage gets, where somebody said; else what stands before it."""
    command: str | None = None


PipelineEvent = PipelineOpened | StageBegan | StageJudged | PipelineEnded | PipelineResumed
