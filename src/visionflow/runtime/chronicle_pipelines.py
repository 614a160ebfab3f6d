"""What a log line tells of each event of pipelines."""

from visionflow.domain import pipelines_events as pe
from visionflow.domain.pipelines import PASSED, PipelineStatus, StageAction, Value
from visionflow.runtime.chronicle_words import (
    REASON_CHARS_MAX,
    TEXT_CHARS_MAX,
    Known,
    Told,
    one_line,
    tells,
)


def _name(text: str) -> str:
    return one_line(text, TEXT_CHARS_MAX)


def _measured(measured: dict[str, Value]) -> str:
    told = [f"{name} {_value(each)}" for name, each in measured.items()]
    return one_line(", ".join(told), REASON_CHARS_MAX) or "nothing was measured"


def _value(value: Value) -> str:
    if value is None:
        return "not measured"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


@tells("info", "task", pe.PipelineOpened)
def _(event: pe.PipelineOpened, known: Known) -> Told:
    stages = ", ".join(stage.name for stage in event.spec.stages[event.start :])
    told = f"{_name(event.spec.id)}: {one_line(stages, REASON_CHARS_MAX)}"
    return Told(None, "pipeline_opened", told)


@tells("info", "task", pe.StageBegan)
def _(event: pe.StageBegan, known: Known) -> Told:
    again = "" if event.round == 1 else f" for the {event.round}. time"
    told = f"{_name(event.pipeline)} begins {_name(event.stage)}{again}: {event.task}"
    return Told(None, "stage_began", told)


@tells("info", "task", pe.StageJudged)
def _(event: pe.StageJudged, known: Known) -> Told:
    what = f"{_name(event.stage)} of {_name(event.pipeline)}"
    if event.action in PASSED:
        return Told(None, "stage_passed", f"{what} passes: {_measured(event.measured)}")
    follows = {
        StageAction.RETRY: "it is done again",
        StageAction.LOOP: f"{_name(event.to or '')} follows",
    }.get(event.action, "the pipeline stops")
    why = known.reason(event.task, event.reason)
    return Told(None, "stage_failed", f"{what} fails, {follows}: {why}")


@tells("info", "task", pe.PipelineResumed)
def _(event: pe.PipelineResumed, known: Known) -> Told:
    told = f"{_name(event.pipeline)} goes on at {_name(event.stage)}"
    return Told(None, "pipeline_resumed", told)


@tells("info", "task", pe.PipelineEnded)
def _(event: pe.PipelineEnded, known: Known) -> Told:
    told = f"{_name(event.pipeline)} is {event.status}"
    if event.status is not PipelineStatus.COMPLETED:
        told += f": {known.reason(event.pipeline, event.reason)}"
    return Told(None, "pipeline_ended", told)
