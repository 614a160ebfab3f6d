"""Pipelines: opened, driven, judged with any figures, cancelled and taken up again, at any moment,
by drivers that come late or twice."""

from typing import TYPE_CHECKING

from visionflow.domain import pipelines_commands as pc
from visionflow.domain.pipelines import (
    FailurePolicy,
    OnFailure,
    PipelineSpec,
    PipelineStatus,
    StageSpec,
)
from visionflow.domain.tasks import TERMINAL, Payload, TaskSpec

if TYPE_CHECKING:
    from tests.engine.world import World

VALUES = (None, True, False, 0.0, 0.5, 0.9, 1.0)


def happen(world: "World") -> None:
    """One thing that a driver, or somebody else, may ask for."""
    choices = [_open, _drive, _drive, _drive, _judge, _judge, _judge, _stale, _cancel, _resume]
    world.random.choice([*choices, _settle, _settle])(world)


def _stage(world: "World", number: int) -> StageSpec:
    action = world.random.choice(tuple(OnFailure))
    to = f"s{world.random.randrange(number)}" if number else None
    if action is OnFailure.LOOP and to is None:
        action = OnFailure.RETRY
    policy = FailurePolicy(
        action,
        to if action is OnFailure.LOOP else None,
        0 if action is OnFailure.STOP else world.random.randint(1, 2),
    )
    demands = world.random.choice(({}, {"quality": 0.5}, {"approval_required": True}))
    return StageSpec(f"s{number}", validation=demands, on_failure=policy)


def _open(world: "World") -> None:
    name = world.name("pipeline")
    stages = tuple(_stage(world, number) for number in range(world.random.randint(1, 3)))
    rooted = world.random.random() < 0.5
    start = world.random.choice((None, None, f"s{world.random.randrange(4)}"))
    spec = PipelineSpec(name, stages, Payload(b"\x01"), rooted=rooted)
    deadline = world.now_ms + 30_000 if world.random.random() < 0.2 else None
    world.send(
        pc.OpenPipeline(
            now_ms=world.now_ms,
            spec=spec,
            start=start,
            root=TaskSpec(id=name, type="plan", deadline_ms=deadline) if rooted else None,
            command=world.random.choice((None, world.name("command"))),
        )
    )


def _any(world: "World", names: object) -> str | None:
    known = list(names)  # type: ignore[call-overload]
    return world.random.choice(known) if known else None


def _drive(world: "World") -> None:
    name = _any(world, world.state.pipelines.open)
    if name is None:
        return
    pipeline = world.state.pipelines.open[name]
    stage = pipeline.stage.name
    number = pipeline.round_of(stage) + world.random.choice((0, 1, 1, 1))
    world.send(
        pc.BeginStage(
            now_ms=world.now_ms,
            pipeline=name,
            stage=stage,
            round=number,
            spec=TaskSpec(id=f"{name}.{stage}.{number}"),
        )
    )


def _judge(world: "World") -> None:
    name = _any(world, world.state.pipelines.open)
    task = None if name is None else world.state.pipelines.open[name].task
    if name is None or task is None:
        return
    measures = {"quality": world.random.choice(VALUES)}
    if world.random.random() < 0.5:
        measures["approval_required"] = world.random.choice(VALUES)
    world.send(
        pc.JudgeStage(
            now_ms=world.now_ms,
            pipeline=name,
            task=task,
            measured=measures,
            output=world.random.choice((None, Payload(b"\x02"))),
            objection=world.random.choice((None, None, None, "no")),
        )
    )


def _stale(world: "World") -> None:
    """A driver that did not hear of what came since."""
    every = {**world.state.pipelines.open, **world.state.pipelines.over}
    name = _any(world, every)
    if name is not None and every[name].rounds:
        task = world.random.choice(every[name].rounds).task
        world.send(pc.JudgeStage(now_ms=world.now_ms, pipeline=name, task=task))


def _cancel(world: "World") -> None:
    name = _any(world, world.state.pipelines.open)
    if name is not None and world.random.random() < 0.3:
        world.send(pc.CancelPipeline(now_ms=world.now_ms, pipeline=name, reason="chance"))


def _resume(world: "World") -> None:
    over = world.state.pipelines.over
    name = _any(world, (n for n, p in over.items() if p.status is not PipelineStatus.COMPLETED))
    if name is not None:
        stage = world.random.choice((None, "s0", "s2"))
        given = world.random.choice((None, Payload(b"\x03")))
        world.send(pc.ResumePipeline(now_ms=world.now_ms, pipeline=name, stage=stage, input=given))


def _settle(world: "World") -> None:
    name = _any(world, world.state.pipelines.unsettled)
    if name is not None:
        world.send(pc.SettlePipeline(now_ms=world.now_ms, pipeline=name, result=Payload(b"\x04")))


def go_on(world: "World") -> None:
    """What drivers do that were told of everything: each takes its pipeline one thing further."""
    known = world.state.pipelines
    for name in list(known.unsettled):
        world.send(pc.SettlePipeline(now_ms=world.now_ms, pipeline=name, result=Payload(b"\x04")))
    for name, pipeline in list(known.open.items()):
        stage, task = pipeline.stage.name, pipeline.task
        number = pipeline.round_of(stage) + 1
        if task is None:
            spec = TaskSpec(id=f"{name}.{stage}.{number}.again")
            world.send(pc.BeginStage(world.now_ms, None, name, stage, number, spec))
        elif world.state.tasks[task].status in TERMINAL:
            figures = {"quality": 1.0, "approval_required": True}
            judged = pc.JudgeStage(
                now_ms=world.now_ms, pipeline=name, task=task, measured=figures, output=Payload(b"")
            )
            world.send(judged)
