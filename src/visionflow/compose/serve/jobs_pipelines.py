"""Pipelines of a server: each is a task whose stages are submitted, measured and judged here.

The engine keeps them; a server that starts again takes up those that are open.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.roles.staging import SNAPSHOT, plain, tip_in
from visionflow.compose.serve.core import Core
from visionflow.compose.serve.jobs_able import doers_of
from visionflow.compose.serve.jobs_aims import Aim
from visionflow.compose.serve.jobs_works import Ground, Group, given_to, role_types
from visionflow.domain import commands as c
from visionflow.domain import pipelines_commands as pc
from visionflow.domain.errors import Refused, UsageError, VisionFlowError
from visionflow.domain.pipelines import PIPELINE_TYPE, PipelineSpec, PipelineStatus, StageSpec
from visionflow.domain.tasks import NOTHING, Payload, TaskSpec
from visionflow.engine.decide.pipelines import check_stages
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import Answer, SwarmState
from visionflow.interfaces.jobs import Order, Work
from visionflow.interfaces.piping import GONE, report_of
from visionflow.interfaces.stages import Stage, for_doers
from visionflow.ports.blobs import Blobs
from visionflow.runtime.completions import Ended
from visionflow.runtime.intake import pack, sound, unpack
from visionflow.runtime.node import Stopped
from visionflow.runtime.piping import Driver, Shaped, copy_of
from visionflow.runtime.swarms import LiveSwarm

T = TypeVar("T")
_NO_MEANING = {
    "playbook": "playbook", "subtasks": "subtasks", "candidates": "candidates", "accept": "accept",
    "parallelism": "parallelism", "failure_threshold": "failureThreshold", "agent": "agentId",
    "agent_type": "agentType", "task_type": "type", "config": "config",
    "capabilities": "requiredCapabilities", "agreement": "consensusRequired",
    "aggregation": "resultAggregation",
}  # fmt: skip


def stages_of(order: Order, ground: Ground, state: SwarmState) -> tuple[Stage, ...]:
    """The stages of an order, each for agents that can do it. Imports classes of agents.

    Raises:
        UsageError: they are no pipeline, or nobody can do one of them.
    """
    for field, name in _NO_MEANING.items():
        if getattr(order, field):
            raise UsageError(
                f"{name} has no meaning where stages say what is done.",
                hint=f"Leave {name} out, or say it in a stage.",
            )
    if order.sequential is False:
        raise UsageError("Stages that are validated run one after the other, not side by side.")
    try:
        check_stages(PipelineSpec("pipeline", tuple(stage.spec for stage in order.pipeline)))
    except Refused as refusal:
        raise UsageError(refusal.message, hint=refusal.hint) from refusal
    living = [agent.spec for agent in state.agents.values() if agent.status not in GONE]
    return for_doers(order.pipeline, doers_of(ground.templates, {}, living))


def aim_of_stages(order: Order, ground: Ground, state: SwarmState) -> Aim:
    """What the stages of an order come to. Imports classes of agents.

    Raises:
        UsageError: they are no pipeline, or nobody can do one of them.
        WorkspaceError: their workspace is none of this server.
    """
    stages = stages_of(order, ground, state)
    works = works_of(stages, order, ground)
    groups = tuple(Group(s.spec.name, (w,)) for s, w in zip(stages, works, strict=True))
    names = ", ".join(stage.spec.name for stage in stages)
    return Aim(why=f"The stages {names} were asked for.", groups=groups, pipeline=stages)


def works_of(stages: tuple[Stage, ...], order: Order, ground: Ground) -> tuple[Work, ...]:
    """What each stage is for an agent: of a role with the ground that it works on.

    Raises:
        UsageError: a role cannot work like that.
        WorkspaceError: its workspace is none of this server.
    """
    works: list[Work] = []
    for stage in stages:
        spec = stage.spec
        work = Work(
            type=spec.task_type,
            description=spec.description or order.description,
            config=stage.config,
            capabilities=spec.capabilities,
            agent_type=spec.agent_type,
        )
        if spec.task_type in role_types():
            goal = {"goal": order.description} if order.description else {}
            work = given_to(msgspec.structs.replace(work, input=goal), order, ground)
        works.append(work)
    return tuple(works)


def opening(
    stages: tuple[Stage, ...],
    works: tuple[Work, ...],
    order: Order,
    root: str,
    now_ms: int,
    blobs: Blobs,
) -> pc.OpenPipeline:
    """The command that opens the pipeline of an order."""
    specs = tuple(
        msgspec.structs.replace(
            stage.spec,
            description=work.description,
            capabilities=tuple(sorted(set(work.capabilities))),
            config=pack(stage.config or None, f"the config of {stage.spec.name}", blobs),
            timeout_ms=stage.spec.timeout_ms or order.timeout_ms,
        )
        for stage, work in zip(stages, works, strict=True)
    )
    grounds = {
        stage.spec.name: work.input
        for stage, work in zip(stages, works, strict=True)
        if stage.spec.task_type in role_types()
    }
    spec = PipelineSpec(
        root,
        specs,
        pack(order.input, "the input of the pipeline", blobs),
        order.description,
        order.priority,
        True,
        pack(grounds or None, "what its roles work on", blobs),
    )
    whole = TaskSpec(
        id=root,
        type=PIPELINE_TYPE,
        description=order.description,
        priority=order.priority,
        deadline_ms=order.deadline_ms,
    )
    return sound(pc.OpenPipeline(now_ms=now_ms, command=order.key, spec=spec, root=whole))


class ServedSeat:
    """Satisfies `runtime.piping.Seat` for a swarm of the server."""

    def __init__(self, swarm: LiveSwarm, threads: Executor) -> None:
        self._swarm = swarm
        self._threads = threads

    async def find(self, pipeline: str) -> PipelineState | None:
        """See `Seat`."""
        found = self._swarm.state.pipelines.find(pipeline)
        copied = None if found is None else copy_of(found)
        await self._swarm.settled()
        return copied

    async def ask(self, make: Callable[[int], c.AnyCommand]) -> Answer:
        """See `Seat`."""
        return await self._swarm.ask(sound(make(self._swarm.now_ms)))

    async def ended(self, task: str) -> Ended:
        """See `Seat`."""
        over: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

        def hear(ended: Ended | None, error: BaseException | None = None) -> None:
            if over.done():
                return
            if ended is not None:
                over.set_result(ended)
            else:
                over.set_exception(error or VisionFlowError(f"{task} is not known any more."))

        self._swarm.node.completions.wait(task, hear)
        try:
            return await over
        finally:
            self._swarm.node.completions.forget(task, hear)

    async def value(self, payload: Payload) -> Any:
        """See `Seat`."""
        return await self._in_thread(lambda: unpack(payload, self._swarm.blobs))

    async def packed(self, value: object, what: str) -> Payload:
        """See `Seat`."""
        return await self._in_thread(lambda: pack(value, what, self._swarm.blobs))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


class ServedPipelines:
    """Drives the pipelines of a server. Belongs to the loop's thread."""

    def __init__(self, core: Core, threads: Executor) -> None:
        self._core = core
        self._threads = threads
        self._driving: dict[str, asyncio.Task[None]] = {}

    def recover(self) -> None:
        """Take up those that are open, or over and not settled."""
        for swarm in self._core.swarms.all():
            known = swarm.state.pipelines
            for name in (*known.open, *known.unsettled):
                found = known.find(name)
                if found is not None and found.spec.rooted:
                    self.take_up(swarm, name)

    def take_up(self, swarm: LiveSwarm, name: str) -> None:
        """Drive a pipeline to its end."""
        if name in self._driving:
            return
        driving = asyncio.ensure_future(self._drive(swarm, name))
        self._driving[name] = driving
        driving.add_done_callback(lambda _: self._driving.pop(name, None))

    async def close(self) -> None:
        """Drive nothing more. What is open is taken up again; again is harmless."""
        for driving in list(self._driving.values()):
            driving.cancel()
        await asyncio.gather(*self._driving.values(), return_exceptions=True)

    async def _drive(self, swarm: LiveSwarm, name: str) -> None:
        seat = ServedSeat(swarm, self._threads)
        shape = _Shape(seat, Path(self._core.store.folder) / "pipelines" / name / "repository")
        try:
            state = await Driver(seat, name, shape=shape).run()
            result = NOTHING
            if state.status is PipelineStatus.COMPLETED:
                value = await seat.value(state.output or NOTHING)
                told = {"result": value, "stages": msgspec.to_builtins(report_of(state).stages)}
                result = await seat.packed(told, f"the result of {name}")
            await seat.ask(
                lambda now_ms: pc.SettlePipeline(now_ms=now_ms, pipeline=name, result=result)
            )
        except (Stopped, asyncio.CancelledError):
            raise  # The server ends; it is taken up again.
        except Exception as error:
            text = f"Pipeline {name} is not driven any more, until the next start: {error!r}"
            self._core.lines.log("error", None, "pipeline_lost", text)


class _Shape:
    """What the task of each stage is given."""

    def __init__(self, seat: ServedSeat, repository: Path) -> None:
        self._seat = seat
        self._repository = repository

    async def __call__(self, pipeline: PipelineState, stage: StageSpec, value: object) -> Shaped:
        """See `runtime.piping.Shape`."""
        seat, asked = self._seat, await self._seat.value(pipeline.spec.asked)
        grounds = cast("dict[str, Any]", asked or {})
        if stage.name not in grounds:
            return Shaped(value, stage.description)
        before = pipeline.spec.stages[: pipeline.at]
        outputs = [pipeline.outputs[s.name] for s in before if s.name in pipeline.outputs]
        tip = tip_in([await seat.value(each) for each in outputs])
        number = pipeline.round_of(stage.name) + 1
        given = {
            **grounds[stage.name],
            "repository": str(self._repository),
            "run": plain(f"{pipeline.spec.id}-{stage.name}-{number}"),
            "commit": tip or SNAPSHOT,
        }
        return Shaped(given, stage.description)
