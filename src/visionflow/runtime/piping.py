"""Drives pipelines: submits what is next, measures what came of it, hands it on.

The engine decides what follows, and keeps it; so a driver may end at any point, and another one,
in another process, goes on where the log stands. Runs in any loop, over a `Seat`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import msgspec

from visionflow.agents.measures import all_measures_of
from visionflow.domain import pipelines_commands as pc
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import Refused, UnknownId
from visionflow.domain.pipelines import PipelineStatus, StageSpec
from visionflow.domain.tasks import NOTHING, Payload, TaskSpec, TaskStatus
from visionflow.engine.pipelines import PipelineState, RoundState
from visionflow.engine.state import Answer
from visionflow.runtime.completions import Ended

FEEDBACK = "feedback"
"""The key of a task's config under which a stage that is done again finds why."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PipelineState)


class Seat(Protocol):
    """The swarm that a pipeline runs in, as its driver needs it."""

    async def find(self, pipeline: str) -> PipelineState | None:
        """A copy of what is known of it, once that is durable."""
        ...

    async def ask(self, make: Callable[[int], AnyCommand]) -> Answer:
        """Have a command decided that is made of the time now, and wait until that is durable.

        Raises:
            Refused: the engine did not take it.
        """
        ...

    async def ended(self, task: str) -> Ended:
        """Wait until a task has ended, and tell how."""
        ...

    async def value(self, payload: Payload) -> Any:
        """What is in a payload."""
        ...

    async def packed(self, value: object, what: str) -> Payload:
        """A value as a payload."""
        ...


class Shaped(msgspec.Struct, frozen=True):
    """What a stage's task is given."""

    input: object
    description: str = ""
    config: dict[str, Any] = {}
    capabilities: tuple[str, ...] = ()
    agent: str | None = None
    """Only this agent."""


Transform = Callable[[Any], Any]
Shape = Callable[[PipelineState, StageSpec, object], Awaitable[Shaped]]
Objection = Callable[[StageSpec, object], Awaitable[str | None]]


def copy_of(pipeline: PipelineState) -> PipelineState:
    """The same, for another thread."""
    return _decoder.decode(_encoder.encode(pipeline))


async def _as_it_is(_pipeline: PipelineState, stage: StageSpec, value: object) -> Shaped:
    return Shaped(value, stage.description)


class Driver:
    """Drives one pipeline."""

    def __init__(
        self,
        seat: Seat,
        pipeline: str,
        *,
        transforms: Mapping[str, Transform] | None = None,
        shape: Shape = _as_it_is,
        objection: Objection | None = None,
    ) -> None:
        """`transforms`: by stage, what makes of its result what is handed on. `shape`: what its
        task is given, of what was handed on. `objection`: why a result is not taken, if it is not.
        """
        self._seat = seat
        self._pipeline = pipeline
        self._transforms = transforms or {}
        self._shape = shape
        self._objection = objection

    async def run(self) -> PipelineState:
        """Go on until it is over; how it ended.

        Raises:
            UnknownId: there is no such pipeline.
            Exception: what a transform raised. The pipeline stays as it is, and can go on.
        """
        while True:
            found = await self._seat.find(self._pipeline)
            if found is None:
                raise UnknownId(f"There is no pipeline {self._pipeline} (any more).")
            if found.status is not PipelineStatus.RUNNING:
                return found
            try:
                if found.task is None:
                    await self._begin(found)
                else:
                    await self._judge(found, found.task)
            except Refused as refusal:
                # Somebody else cancelled it, or drove it further: what is true now is looked at.
                if refusal.reason not in ("already_ended", "not_next", "not_ended"):
                    raise

    async def _begin(self, pipeline: PipelineState) -> None:
        seat, stage = self._seat, pipeline.stage
        number = pipeline.round_of(stage.name) + 1
        name = f"{self._pipeline}.{stage.name}.{number}"
        value = await seat.value(pipeline.input_of(pipeline.at) or NOTHING)
        shaped = await self._shape(pipeline, stage, value)
        config = {**cast("dict[str, Any]", await seat.value(stage.config) or {}), **shaped.config}
        last = pipeline.rounds[-1] if pipeline.rounds else None
        if last is not None and last.reason and last.to == stage.name:
            config[FEEDBACK] = await self._feedback(last)
        spec = TaskSpec(
            id=name,
            type=stage.task_type,
            description=shaped.description or stage.description or pipeline.spec.description,
            input=await seat.packed(shaped.input, f"the input of stage {stage.name}"),
            config=await seat.packed(config or None, f"the config of stage {stage.name}"),
            capabilities=shaped.capabilities or stage.capabilities,
            agent_type=None if shaped.agent is not None else stage.agent_type,
            agent=shaped.agent,
            priority=pipeline.spec.priority,
            timeout_ms=stage.timeout_ms,
        )
        await seat.ask(
            lambda now_ms: pc.BeginStage(
                now_ms=now_ms,
                pipeline=self._pipeline,
                stage=stage.name,
                round=number,
                spec=spec,
            )
        )

    async def _feedback(self, last: RoundState) -> dict[str, Any]:
        """Why a stage is done again."""
        ended = await self._seat.ended(last.task)
        completed = ended.status is TaskStatus.COMPLETED
        return {
            "stage": last.stage,
            "round": last.round,
            "reason": last.reason,
            "measured": last.measured,
            "missed": list(last.missed),
            "result": await self._seat.value(ended.result) if completed else None,
        }

    async def _judge(self, pipeline: PipelineState, task: str) -> None:
        seat, stage = self._seat, pipeline.stage
        ended = await seat.ended(task)
        made = pc.JudgeStage(now_ms=0, pipeline=self._pipeline, task=task)
        if ended.status is TaskStatus.COMPLETED:
            result = await seat.value(ended.result)
            measured, output = all_measures_of(result), None
            transform = self._transforms.get(stage.name)
            if transform is not None:
                result = transform(result)
                # What it made may hold measures of its own; the others are the result's.
                measured |= all_measures_of(result)
                output = await seat.packed(result, f"what the transform of {stage.name} made")
            objection = None
            if self._objection is not None:
                objection = await self._objection(stage, result)
            made = msgspec.structs.replace(
                made, measured=measured, output=output, objection=objection
            )
        await seat.ask(lambda now_ms: msgspec.structs.replace(made, now_ms=now_ms))
