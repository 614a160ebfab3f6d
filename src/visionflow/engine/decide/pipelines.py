"""Decisions about pipelines: what is a pipeline, what begins, and what a stage that fails does.

Who drives a pipeline submits, measures and hands on; whether a measure is enough and what follows
is decided here, so that a crash of the driver at any point changes nothing of it.
"""

from visionflow.domain import events as e
from visionflow.domain import pipelines_commands as pc
from visionflow.domain import pipelines_events as pe
from visionflow.domain.errors import LimitReached, Refused, UnknownId
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import INLINE_BYTES_MAX, WORD_CHARS_MAX
from visionflow.domain.pipelines import (
    MEASURES_MAX,
    PIPELINES_OPEN_MAX,
    STAGES_MAX,
    TIMES_MAX,
    OnFailure,
    PipelineSpec,
    PipelineStatus,
    StageAction,
    StageSpec,
    missed,
)
from visionflow.domain.tasks import TERMINAL, Payload, TaskStatus
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.table import decides
from visionflow.engine.decide.tasks import submitted
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import SwarmState, TaskState
from visionflow.engine.topology.leading import check_stage

Events = list[AnyEvent]
ROUNDS_MAX = 1_000
"""Stages that one pipeline does in all, however often it leads back."""


@decides(pc.OpenPipeline)
def _(state: SwarmState, command: pc.OpenPipeline) -> Events:
    spec = command.spec
    if state.spec is None or state.closed is not None:
        raise Refused("The swarm takes no pipelines: it is closed.", code="swarm_closed")
    if state.pipelines.find(spec.id) is not None:
        raise Refused(f"There is a pipeline {spec.id} already.", code="duplicate_id")
    if len(state.pipelines.open) >= PIPELINES_OPEN_MAX:
        raise LimitReached(
            f"{len(state.pipelines.open)} pipelines are open; that is the most.",
            hint="Wait for some to end, or cancel some.",
            retry_after_ms=1_000,
        )
    check_stages(spec)
    for stage in spec.stages:
        check_stage(state, stage.task_type, stage.capabilities)
    start = 0 if command.start is None else _place(spec, command.start)
    _leads_nowhere_unknown(spec, start)
    opened = pe.PipelineOpened(spec=spec, start=start, command=command.command)
    root = command.root
    if (root is not None) is not spec.rooted or (root is not None and root.id != spec.id):
        raise _usage(f"The root task of pipeline {spec.id} has the pipeline's id.")
    if root is None:
        return [opened]
    # Looked at as any task is; its parts come one by one.
    submitted(state, root, None)
    return [opened, e.PlanSubmitted(spec=root, phases=())]


def check_stages(spec: PipelineSpec) -> None:
    """Look whether these are the stages of a pipeline.

    Raises:
        Refused: `usage`: they are not; the message names the stage and what is allowed.
        LimitReached: there are too many.
    """
    names = [stage.name for stage in spec.stages]
    if not names:
        raise _usage("A pipeline has at least one stage.")
    if len(names) > STAGES_MAX:
        raise LimitReached(f"A pipeline has at most {STAGES_MAX} stages; this has {len(names)}.")
    _fits(spec)
    for place, stage in enumerate(spec.stages):
        if names.index(stage.name) != place:
            raise _usage(f"Two stages are called {stage.name!r}; each has a name of its own.")
        if len(stage.validation) > MEASURES_MAX:
            raise LimitReached(
                f"Stage {stage.name} demands {len(stage.validation)} measures; {MEASURES_MAX} are "
                "the most."
            )
        _check_policy(stage, names[:place])


def _check_policy(stage: StageSpec, before: list[str]) -> None:
    policy = stage.on_failure
    if policy.action is OnFailure.STOP:
        return
    if not 1 <= policy.times <= TIMES_MAX:
        raise _usage(
            f"Stage {stage.name} would {policy.action} {policy.times} times; that is 1 to "
            f"{TIMES_MAX}."
        )
    if policy.action is OnFailure.LOOP and policy.to not in before:
        allowed = f"Before it are {', '.join(before)}." if before else "It is the first one."
        raise _usage(
            f"Stage {stage.name} leads back to {policy.to!r}, which is no stage before it.",
            hint=f"{allowed} To do a stage itself again, write retry.",
        )


def _fits(spec: PipelineSpec) -> None:
    long = [spec.id]
    for stage in spec.stages:
        long += [stage.name, stage.task_type, stage.agent_type or "", *stage.validation]
        if not stage.name:
            raise _usage("A stage has no name.", hint="Write what it is called as `stage`.")
        if len(stage.description) > INLINE_BYTES_MAX:
            raise _usage(f"The description of stage {stage.name} is too long.")
    if len(spec.description) > INLINE_BYTES_MAX or max(map(len, long)) > WORD_CHARS_MAX:
        raise _usage(
            f"A description has at most {INLINE_BYTES_MAX} characters; ids, stages, types and "
            f"measures have {WORD_CHARS_MAX}."
        )
    payloads = [spec.input, spec.asked, *(stage.config for stage in spec.stages)]
    if any(_large(each) for each in payloads):
        raise Refused(
            f"Above {INLINE_BYTES_MAX} bytes a payload travels by blob.", code="payload_too_large"
        )


def _large(payload: Payload | None) -> bool:
    inline = None if payload is None else payload.inline
    return inline is not None and len(inline) > INLINE_BYTES_MAX


def _place(spec: PipelineSpec, stage: str) -> int:
    names = [each.name for each in spec.stages]
    if stage not in names:
        raise _usage(f"There is no stage {stage!r:.100}.", hint=f"Stages: {', '.join(names)}.")
    return names.index(stage)


def _leads_nowhere_unknown(spec: PipelineSpec, start: int) -> None:
    """What begins in the middle must not lead back to where nothing is known of the input."""
    for stage in spec.stages[start:]:
        to = stage.on_failure.to
        if stage.on_failure.action is OnFailure.LOOP and to is not None:
            if _place(spec, to) < start:
                raise _usage(
                    f"Stage {stage.name} leads back to {to}, which stands before "
                    f"{spec.stages[start].name}, and what {to} would get is not known.",
                    hint=f"Begin with {to}, or let {stage.name} stop or retry.",
                )


def _usage(message: str, hint: str | None = None) -> Refused:
    return Refused(message, code="usage", hint=hint)


def _running(state: SwarmState, name: str) -> PipelineState:
    pipeline = state.pipelines.open.get(name)
    if pipeline is not None:
        return pipeline
    over = state.pipelines.over.get(name)
    if over is None:
        raise UnknownId(f"There is no pipeline {name} (any more).")
    raise Refused(f"Pipeline {name} is {over.status}: {over.reason}.", code="already_ended")


@decides(pc.BeginStage)
def _(state: SwarmState, command: pc.BeginStage) -> Events:
    pipeline = _running(state, command.pipeline)
    if any((r.stage, r.round) == (command.stage, command.round) for r in pipeline.rounds):
        return []
    stage = pipeline.stage
    expected = pipeline.round_of(stage.name) + 1
    if pipeline.task is not None or (command.stage, command.round) != (stage.name, expected):
        doing = f"{pipeline.task} is under way" if pipeline.task else f"{stage.name} is next"
        raise Refused(
            f"Round {command.round} of stage {command.stage} does not begin now: {doing}.",
            code="not_next",
        )
    events = submitted(state, command.spec, None)
    began = pe.StageBegan(
        pipeline=command.pipeline,
        stage=stage.name,
        round=expected,
        task=command.spec.id,
        command=command.command,
    )
    return [began, *events]


@decides(pc.JudgeStage)
def _(state: SwarmState, command: pc.JudgeStage) -> Events:
    found = state.pipelines.find(command.pipeline)
    if found is not None and any(
        each.task == command.task and each.action is not None for each in found.rounds
    ):
        return []
    pipeline = _running(state, command.pipeline)
    if pipeline.task != command.task:
        raise Refused(
            f"{command.task} is not what pipeline {command.pipeline} waits for.", code="not_next"
        )
    task = state.tasks[command.task]
    if task.status not in TERMINAL:
        raise Refused(f"Task {command.task} is {task.status}.", code="not_ended")
    if _large(command.output):
        raise Refused(
            f"Above {INLINE_BYTES_MAX} bytes an output travels by blob.", code="payload_too_large"
        )
    if len(command.objection or "") > INLINE_BYTES_MAX:
        raise Refused("The objection to a stage is too long.", code="payload_too_large")
    names = [*command.measured]
    if len(names) > MEASURES_MAX or max(map(len, names), default=0) > WORD_CHARS_MAX:
        raise Refused(f"A stage has at most {MEASURES_MAX} measures.", code="payload_too_large")
    return _judged(pipeline, task, command)


def _judged(pipeline: PipelineState, task: TaskState, command: pc.JudgeStage) -> Events:
    stage, completed = pipeline.stage, task.status is TaskStatus.COMPLETED
    measured = command.measured if completed else {}
    missing = missed(measured, stage.validation)
    reason = ""
    if not completed:
        reason = f"its task ended as {task.status}: {task.reason or 'no reason was recorded'}"
    elif command.objection is not None:
        reason = command.objection or "it was objected to"
    elif missing:
        reason = "; ".join(_told(name, measured, stage.validation[name]) for name in missing)
    final = task.status is TaskStatus.CANCELLED
    action, to = _following(pipeline, bool(reason), final)
    judged = pe.StageJudged(
        pipeline=command.pipeline,
        stage=stage.name,
        round=pipeline.rounds[-1].round,
        task=command.task,
        action=action,
        measured=measured,
        missed=missing,
        to=to,
        reason=reason,
        output=command.output if completed else None,
        command=command.command,
    )
    if action is StageAction.FINISH:
        ended = pe.PipelineEnded(pipeline=command.pipeline, status=PipelineStatus.COMPLETED)
        return [judged, ended]
    if action is StageAction.STOP:
        told = f"stage {stage.name}: {reason}{_spent(pipeline)}"
        ended = pe.PipelineEnded(
            pipeline=command.pipeline, status=PipelineStatus.FAILED, reason=told
        )
        return [judged, ended]
    return [judged]


def _told(name: str, measured: dict[str, float | bool | None], demand: float | bool) -> str:
    value = measured.get(name)
    if value is None:
        why = "was not measured" if name in measured else "was not among its measures"
        return f"{name} {why}, and {_word(demand)} is demanded"
    return f"{name} is {_word(value)}, and {_word(demand)} is demanded"


def _word(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _spent(pipeline: PipelineState) -> str:
    count = pipeline.failures.get(pipeline.stage.name, 0)
    policy = pipeline.stage.on_failure
    if not count:
        return ""
    done = "retried" if policy.action is OnFailure.RETRY else f"led back to {policy.to}"
    return f" (it was {done} {count} time{'' if count == 1 else 's'})"


def _following(
    pipeline: PipelineState, failed: bool, final: bool
) -> tuple[StageAction, str | None]:
    stages, policy = pipeline.spec.stages, pipeline.stage.on_failure
    if not failed:
        last = pipeline.at == len(stages) - 1
        if last:
            return StageAction.FINISH, None
        if len(pipeline.rounds) >= ROUNDS_MAX:
            return StageAction.STOP, None
        return StageAction.GO_ON, stages[pipeline.at + 1].name
    used = pipeline.failures.get(pipeline.stage.name, 0)
    spent = used >= policy.times or len(pipeline.rounds) >= ROUNDS_MAX
    back = None if policy.to is None else pipeline.place_of(policy.to)
    if back is not None and pipeline.input_of(back) is None:
        spent = True  # It began after that stage: nothing is known of what that would get.
    if final or spent or policy.action is OnFailure.STOP:
        return StageAction.STOP, None
    if policy.action is OnFailure.RETRY:
        return StageAction.RETRY, pipeline.stage.name
    return StageAction.LOOP, policy.to


@decides(pc.CancelPipeline)
def _(state: SwarmState, command: pc.CancelPipeline) -> Events:
    pipeline, closing = _running(state, command.pipeline), Closing(state)
    if pipeline.task is not None:
        task = state.tasks[pipeline.task]
        if task.status not in TERMINAL and task.cancelling is None:
            closing.cancel(pipeline.task, f"its pipeline was cancelled: {command.reason}")
    ended = pe.PipelineEnded(
        pipeline=command.pipeline,
        status=PipelineStatus.CANCELLED,
        reason=command.reason,
        command=command.command,
    )
    return [*closing.events, ended]


@decides(pc.ResumePipeline)
def _(state: SwarmState, command: pc.ResumePipeline) -> Events:
    if state.closed is not None:
        raise Refused("The swarm takes no pipelines: it is closed.", code="swarm_closed")
    name = command.pipeline
    if name in state.pipelines.open:
        raise Refused(f"Pipeline {name} is under way.", code="not_ended")
    pipeline = state.pipelines.over.get(name)
    if pipeline is None:
        raise UnknownId(f"There is no pipeline {name} (any more).")
    if pipeline.status is PipelineStatus.COMPLETED and command.stage is None:
        raise Refused(f"Pipeline {name} has completed.", code="already_ended")
    if pipeline.spec.rooted:
        raise Refused("The pipeline of a task is submitted anew, as a whole.", code="part_of_plan")
    if len(pipeline.rounds) >= ROUNDS_MAX:
        raise LimitReached(f"Pipeline {name} has done {ROUNDS_MAX} stages; that is the most.")
    place = pipeline.at if command.stage is None else _place(pipeline.spec, command.stage)
    stage = pipeline.spec.stages[place].name
    if command.input is None and pipeline.input_of(place) is None:
        raise Refused(
            f"Pipeline {name} cannot go on at {stage}: nothing is known of what that would get.",
            code="no_input",
            hint="Give it an input, or go on at an earlier stage.",
        )
    if _large(command.input):
        raise Refused(
            f"Above {INLINE_BYTES_MAX} bytes an input travels by blob.", code="payload_too_large"
        )
    resumed = pe.PipelineResumed(
        pipeline=name, stage=stage, input=command.input, command=command.command
    )
    return [resumed]


@decides(pc.SettlePipeline)
def _(state: SwarmState, command: pc.SettlePipeline) -> Events:
    name = command.pipeline
    if name not in state.pipelines.unsettled:
        return []
    pipeline, root, closing = state.pipelines.over[name], state.tasks[name], Closing(state)
    if _large(command.result):
        raise Refused(
            f"Above {INLINE_BYTES_MAX} bytes a result travels by blob.", code="payload_too_large"
        )
    if pipeline.status is PipelineStatus.COMPLETED:
        closing.complete(
            e.TaskCompleted(task=name, attempt=root.attempt, result=command.result, duration_us=0)
        )
    elif pipeline.status is PipelineStatus.CANCELLED:
        closing.cancel(name, pipeline.reason)
    else:
        closing.fail(name, pipeline.reason)
    return closing.events


def next_end(state: SwarmState) -> AnyEvent:
    """What follows when the root task of a pipeline ended by itself: its stage is told to stop,
    then the pipeline is over. Only while there is such a pipeline."""
    name = next(iter(state.pipelines.orphans))
    pipeline = state.pipelines.open[name]
    reason = state.tasks[name].reason or "its task ended"
    stage = None if pipeline.task is None else state.tasks[pipeline.task]
    if stage is not None and stage.status not in TERMINAL and stage.cancelling is None:
        closing = Closing(state)
        closing.cancel(stage.spec.id, f"its pipeline was cancelled: {reason}")
        return closing.events[0]
    return pe.PipelineEnded(pipeline=name, status=PipelineStatus.CANCELLED, reason=reason)
