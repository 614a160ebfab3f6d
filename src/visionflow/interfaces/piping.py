"""The seat of a pipeline's driver in a fleet of this program, and what is told of a pipeline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from typing import Any

import msgspec

from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import VisionFlowError
from visionflow.domain.pipelines import STOPS, FailurePolicy, PipelineStatus, StageAction, Value
from visionflow.domain.tasks import Payload
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import Answer
from visionflow.interfaces.faces import EmbeddedFace
from visionflow.runtime.completions import Ended
from visionflow.runtime.intake import pack, unpack
from visionflow.runtime.piping import copy_of

INTERRUPTED = "interrupted"
"""The status of a pipeline that is not over and that nothing drives."""
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)


class Round(msgspec.Struct, frozen=True):
    """One time that a stage was done."""

    round: int
    task: str
    """The id of its task."""
    measured: dict[str, Value]
    missed: tuple[str, ...]
    """Measures that do not meet what is demanded of them."""
    action: str | None
    """What followed: go_on, finish, retry, loop or stop; `None`: it is under way."""
    to: str | None = None
    """The stage that followed."""
    reason: str = ""
    """Why it failed; empty: it passed."""


class StageReport(msgspec.Struct, frozen=True):
    """A stage, and what became of it."""

    stage: str
    demanded: dict[str, float | bool]
    rounds: tuple[Round, ...] = ()
    on_failure: FailurePolicy = STOPS

    @property
    def measured(self) -> dict[str, Value]:
        """What was measured of it the last time."""
        return self.rounds[-1].measured if self.rounds else {}

    @property
    def loops(self) -> int:
        """How often it led back to an earlier stage."""
        return sum(1 for each in self.rounds if each.action == StageAction.LOOP)


class PipelineReport(msgspec.Struct, frozen=True):
    """A pipeline, and what became of each stage."""

    id: str
    status: str
    """running, completed, failed, cancelled; or interrupted: the call that drove it raised, and
    nothing drives it now."""
    reason: str
    """Why it ended without its result."""
    stages: tuple[StageReport, ...]

    def stage(self, name: str) -> StageReport:
        """One of them by its name.

        Raises:
            KeyError: there is none.
        """
        for each in self.stages:
            if each.stage == name:
                return each
        raise KeyError(name)


class PipelineFailed(VisionFlowError):
    """A pipeline ended without a result; `report` tells what was measured of each stage."""

    code = "pipeline_failed"
    status = 1

    def __init__(self, message: str, report: PipelineReport, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class StageRejected(VisionFlowError):
    """What came of a stage does not meet what is demanded of it."""

    code = "stage_rejected"
    status = 1

    def __init__(self, message: str, measured: dict[str, Value], missed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.measured = measured
        self.missed = missed


def report_of(pipeline: PipelineState) -> PipelineReport:
    """What is told of a pipeline."""
    by_stage: dict[str, list[Round]] = {stage.name: [] for stage in pipeline.spec.stages}
    for each in pipeline.rounds:
        by_stage[each.stage].append(
            Round(
                each.round, each.task, each.measured, each.missed,
                None if each.action is None else str(each.action), each.to, each.reason,
            )
        )  # fmt: skip
    return PipelineReport(
        pipeline.spec.id,
        str(pipeline.status),
        pipeline.reason,
        tuple(
            StageReport(stage.name, stage.validation, tuple(by_stage[stage.name]), stage.on_failure)
            for stage in pipeline.spec.stages
        ),
    )


class Lasts(StrEnum):
    """How long a pipeline can be gone on with."""

    CALL = "call"
    """As long as the call that runs it."""
    WHILE_OPEN = "while_open"
    """As long as its fleet is open, as far as is known."""
    KEPT = "kept"
    """Its fleet has a folder that stays."""


def way_on(pipeline: PipelineState, lasts: Lasts) -> str:
    """How one that is not complete is gone on with."""
    stage = pipeline.stage.name
    if lasts is Lasts.CALL:
        return (
            "Nothing of it is kept: the next call begins anew. With folder=... it is kept, and "
            f"one like it can then go on at {stage}."
        )
    told = f"Once that is mended, resume={pipeline.spec.id!r} goes on at {stage}"
    if lasts is Lasts.KEPT:
        return f"{told}."
    return f"{told} as long as this fleet is open; after that only where it has a folder."


def cut_short(pipeline: PipelineState, error: BaseException, lasts: Lasts) -> PipelineReport:
    """What is told of one whose driver ended with an error, which gets a note on where it stands.
    One that was over by then is told as it ended."""
    report = report_of(pipeline)
    if pipeline.status is not PipelineStatus.RUNNING:
        return report
    stage = pipeline.stage.name
    error.add_note(f"Pipeline {report.id} stopped at stage {stage}. {way_on(pipeline, lasts)}")
    why = ": ".join(each for each in (type(error).__name__, str(error)) if each)
    return msgspec.structs.replace(report, status=INTERRUPTED, reason=f"stage {stage}: {why}")


class EmbeddedSeat(EmbeddedFace):
    """Satisfies `runtime.piping.Seat`, for the caller's loop. A `Face` of a fleet."""

    async def find(self, pipeline: str) -> PipelineState | None:
        """See `Seat`."""

        def look() -> PipelineState | None:
            known = self._node.control.state.pipelines.find(pipeline)
            return None if known is None else copy_of(known)

        return await self._read(look)

    async def ask(self, make: Callable[[int], AnyCommand]) -> Answer:
        """See `Seat`."""
        return await self._do(make(self._node.intake.now_ms()))

    async def ended(self, task: str) -> Ended:
        """See `Seat`."""
        found: Future[Ended] = Future()

        def tell(ended: Ended | None, error: BaseException | None = None) -> None:
            if found.done():
                return
            if ended is not None:
                found.set_result(ended)
            else:
                found.set_exception(error or VisionFlowError(f"{task} is not known any more."))

        self._post(lambda: self._node.completions.wait(task, tell))
        return await self._unless_over(found)

    async def value(self, payload: Payload) -> Any:
        """See `Seat`."""
        return await asyncio.to_thread(lambda: unpack(payload, self.blobs))

    async def packed(self, value: object, what: str) -> Payload:
        """See `Seat`."""
        return await asyncio.to_thread(lambda: pack(value, what, self.blobs))

    async def agents(self) -> list[AgentSpec]:
        """Agents that are there or coming."""
        agents = self._node.control.state.agents
        return await self._read(lambda: [a.spec for a in agents.values() if a.status not in GONE])

    def new_id(self) -> str:
        """A fresh id of a pipeline."""
        return self._node.intake.new_id("pipeline")
