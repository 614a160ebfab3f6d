"""The guide's `PipelineCoordinator`: stages one after the other, by agents of this program's fleet.

It keeps nothing: the engine knows each stage, what was measured of it and what follows, so that
the same pipeline goes on after whatever ended this program. Transforms run here.
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.agents.measures import all_measures_of
from visionflow.agents.roles.staging import asked, ground_in, tip_in
from visionflow.agents.task import Task
from visionflow.compose.api import AgentOrchestrator
from visionflow.compose.serve.jobs_able import doers_of
from visionflow.compose.serve.jobs_doers import role_types
from visionflow.domain import pipelines_commands as pc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import Refused, UnknownAgent, UsageError
from visionflow.domain.pipelines import PipelineSpec, PipelineStatus, StageSpec, missed
from visionflow.domain.tasks import Payload
from visionflow.domain.wording import shown
from visionflow.engine.decide.pipelines import check_stages
from visionflow.engine.pipelines import PipelineState
from visionflow.interfaces.async_fleet import AsyncFleet, in_thread
from visionflow.interfaces.classes import AgentClass
from visionflow.interfaces.client.piping import at_server
from visionflow.interfaces.client.remote import RemoteFleet
from visionflow.interfaces.orchestrator import AgentHandle, Fleet
from visionflow.interfaces.piping import (
    EmbeddedSeat,
    Lasts,
    PipelineFailed,
    PipelineReport,
    StageRejected,
    cut_short,
    report_of,
    way_on,
)
from visionflow.interfaces.stages import Doers, Stage, for_doers, read_stages
from visionflow.runtime.piping import Driver, Shaped
from visionflow.settings.agents import AgentSettings, load_agents

Orchestrator = AgentOrchestrator[Any, Any]


class StageAgent:
    """An agent for a stage."""

    def __init__(self, coordinator: "PipelineCoordinator", agent: AgentHandle) -> None:
        self._coordinator = coordinator
        self._agent = agent
        self.id = agent.id
        self.type = agent.type

    async def process_task(self, task: Task) -> Any:
        """Give it a task and wait for the result. A role gets the ground that the first task named,
        whatever the one before it handed on."""
        return await self._coordinator.process(self._agent, task)


class PipelineCoordinator:
    """Runs stages one after the other; what one hands on, the next gets.

    A stage is a map: `stage` (its name), `agent_type`, `task_type`, `config`, `validation`
    (measures, and at least how much is demanded), `transform` (a function of the result), and
    `on_failure`: "stop", "retry", {"retry": 2}, or {"loop": "implementation", "times": 2}.
    """

    _orchestrator: Orchestrator | Fleet | AsyncFleet | RemoteFleet | None = None
    _classes: Mapping[str, AgentClass] = MappingProxyType({})
    _folder: str | os.PathLike[str] | None = None
    _opened: Orchestrator | None = None
    _trail: tuple[object, list[object]] | None = None
    report: PipelineReport | None = None
    """Of the last pipeline that this one ran: what was measured of each stage."""

    def __init__(
        self,
        stages: Sequence[object],
        orchestrator: Orchestrator | Fleet | AsyncFleet | RemoteFleet | None = None,
        *,
        agents: Mapping[str, AgentClass] | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """`orchestrator`: whose agents do it; `None`: one of its own, kept in `folder`, for a later
        program to go on with. `agents`: by agent type, classes of this program.

        Raises:
            UsageError: a stage cannot be read, leads forward, or is named twice.
        """
        self.stages = list(stages)
        self.use(orchestrator, agents)
        self._folder = folder
        self.pipeline = self.build_pipeline(self.stages)

    def use(
        self,
        orchestrator: Orchestrator | Fleet | AsyncFleet | RemoteFleet | None,
        agents: Mapping[str, AgentClass] | None = None,
    ) -> None:
        """Say whose agents do it, for a class with an `__init__` of its own."""
        self._orchestrator = orchestrator
        self._classes = dict(agents or {})

    # As the guide has it -----------------------------------------------------------------------

    def build_pipeline(self, stages: Sequence[object]) -> list[dict[str, Any]]:
        """The stages as maps that have a name, and a type of agents or of tasks.

        Raises:
            UsageError: one of them cannot be read, leads forward, or is named twice.
        """
        read = read_stages(stages)
        try:
            check_stages(PipelineSpec("pipeline", tuple(stage.spec for stage in read)))
        except Refused as refusal:
            raise UsageError(refusal.message, hint=refusal.hint) from refusal
        return [
            {
                **(dict(cast("Mapping[str, Any]", given)) if isinstance(given, Mapping) else {}),
                "stage": stage.spec.name,
                "agent_type": stage.spec.agent_type,
                "task_type": stage.spec.task_type,
            }
            for given, stage in zip(stages, read, strict=True)
        ]

    async def get_agent_for_stage(self, stage: Mapping[str, Any]) -> StageAgent:
        """An agent of the stage's type: one that lives, else a new one.

        Raises:
            UnknownAgent: the stage names no type, and there is no agent at all.
            UsageError: there is neither a class nor a template of that type.
        """
        kind = cast("str | None", stage.get("agent_type"))
        fleet = await self._kept_open()
        living = [each for each in await in_thread(fleet.agents) if kind in (None, each.type)]
        if not living and kind is None:
            raise UnknownAgent(
                f"Nobody is there for stage {stage.get('stage')}.", hint="Name its agent_type."
            )
        if not living:
            living = await self._spawned(fleet, cast(str, kind))
        return StageAgent(self, min(living, key=lambda each: each.id))

    async def validate_stage_output(self, result: object, validation: Mapping[str, Any]) -> None:
        """See that a result meets what is demanded of it.

        Raises:
            StageRejected: it does not; with what was measured.
        """
        measured = all_measures_of(result)
        missing = missed(measured, validation)
        if missing:
            told = "; ".join(
                f"{name} is {'not measured' if measured.get(name) is None else measured[name]}, "
                f"and {validation[name]} is demanded"
                for name in missing
            )
            raise StageRejected(f"The stage does not pass: {told}.", measured, missing)

    async def execute_pipeline(
        self, initial_input: Any = None, *, resume: str | None = None, start_at: str | None = None
    ) -> Any:
        """Run all stages; what the last one hands on. `report` then tells of each.

        `resume`: the id of the pipeline. One that is known goes on where it stands: also one that
        failed, at the stage that did, or at `start_at`, with the input then given. One that is not
        known is begun under this id. Without `resume`, `start_at` is the stage to begin with.

        Raises:
            PipelineFailed: a stage failed for good; its `report` has what was measured.
            UsageError: no agent can do a stage, nothing measures what it demands, or the pipeline
                of this id is another one.
            Refused: `no_input`: nothing is known of what the stage to begin with would get.
            Exception: what a transform raised, with a note on where the pipeline stands.
        """
        given = self._orchestrator
        if resume is not None:
            _check_id(resume)
        remote = given.remote if isinstance(given, AgentOrchestrator) else given
        if isinstance(remote, RemoteFleet):
            if resume is not None or start_at is not None:
                raise UsageError("A server's pipeline is handed in anew, as a whole.")
            outcome = await at_server(remote, self.pipeline, initial_input)
            self.report = outcome.report
            if outcome.report.status != PipelineStatus.COMPLETED:
                raise _failed(outcome.report)
            return outcome.result
        async with self._at_work() as fleet:
            seat = fleet.face(EmbeddedSeat)
            doers = await self._doers(fleet, await seat.agents())
            if self._has_own("get_agent_for_stage"):
                doers = doers.of_any_capability()
            stages = for_doers(read_stages(self.pipeline), doers)
            opening = _Opening(seat, stages, initial_input, resume, start_at)
            name = await opening.open()
            await self._team(fleet, stages)
            transforms = {
                each.spec.name: each.transform for each in stages if each.transform is not None
            }
            shape = _Shape(self, seat, _folder_of(seat, name))
            driver = Driver(
                seat,
                name,
                transforms=transforms,
                shape=shape,
                objection=self._objection if self._has_own("validate_stage_output") else None,
            )
            try:
                state = await driver.run()
            except BaseException as error:
                known = await seat.find(name)
                self.report = None if known is None else self._cut_short(known, error)
                raise
            return await self._outcome(seat, state)

    async def cancel_pipeline(self, pipeline: str, reason: str = "cancelled on request") -> None:
        """End a pipeline by its id, and the stage that is under way; returns once durable.

        Raises:
            UnknownId: there is none of this id.
            Refused: `already_ended`.
        """
        async with self._at_work() as fleet:
            await fleet.face(EmbeddedSeat).ask(
                lambda now_ms: pc.CancelPipeline(now_ms=now_ms, pipeline=pipeline, reason=reason)
            )

    async def aclose(self) -> None:
        """End what `get_agent_for_stage` opened."""
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = None

    # Within ------------------------------------------------------------------------------------

    async def _outcome(self, seat: EmbeddedSeat, state: PipelineState) -> Any:
        report = report_of(state)
        self.report = report
        if state.status is not PipelineStatus.COMPLETED or state.output is None:
            raise _failed(report, way_on(state, self._lasts()))
        return await seat.value(state.output)

    def _cut_short(self, pipeline: PipelineState, error: BaseException) -> PipelineReport:
        """What is told of one that this call drives no further, for that was raised."""
        stays_open = self._orchestrator is not None or self._opened is not None
        if stays_open and not isinstance(error, Exception):
            return report_of(pipeline)  # Nobody waits any more; the stage goes on in the fleet.
        return cut_short(pipeline, error, self._lasts())

    def _lasts(self) -> Lasts:
        """How long what this one began can be gone on with."""
        given = self._orchestrator
        if given is None:
            if self._folder is not None:
                return Lasts.KEPT
            return Lasts.CALL if self._opened is None else Lasts.WHILE_OPEN
        kept = isinstance(given, AgentOrchestrator) and given.is_kept
        return Lasts.KEPT if kept else Lasts.WHILE_OPEN

    def _has_own(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(PipelineCoordinator, method)

    async def _objection(self, stage: StageSpec, result: object) -> str | None:
        """What a class of the user's own says against a result."""
        if not stage.validation:
            return None
        try:
            await self.validate_stage_output(result, dict(stage.validation))
        except Exception as error:
            return str(error) or type(error).__name__
        return None

    async def agent_of(self, stage: StageSpec) -> str | None:
        """The agent that a class of the user's own chose for a stage."""
        if not self._has_own("get_agent_for_stage"):
            return None
        (given,) = (each for each in self.pipeline if each["stage"] == stage.name)
        return (await self.get_agent_for_stage(given)).id

    async def process(self, agent: AgentHandle, task: Task) -> Any:
        """Have an agent do a task of a loop that is not ours."""
        if self._trail is None:
            self._trail = (task.input, [])
        first, results = self._trail
        if task.type in role_types():
            ground = ground_in(first, [*results, task.input])
            if ground is not None:
                ask = asked(ground, None, "", None)
                task = msgspec.structs.replace(
                    task,
                    input=ask.input,
                    description=task.description or ask.goal,
                    config=_with_requirements(task.config, ask.requirements),
                )
        result = await agent.process_task(task)
        results.append(result)
        return result

    @asynccontextmanager
    async def _at_work(self) -> AsyncGenerator[Fleet]:
        given = self._orchestrator
        if isinstance(given, RemoteFleet):
            raise UsageError(
                "The agents and pipelines of a server are not at hand here.",
                hint="task_cancel ends a pipeline that was handed in; agent_list has the agents.",
            )
        if isinstance(given, Fleet):
            yield given
        elif isinstance(given, AsyncFleet):
            yield given.sync
        elif given is not None:
            yield await in_thread(given.open)
        elif self._opened is not None:
            yield await in_thread(self._opened.open)
        else:
            async with AgentOrchestrator(self._folder) as own:
                yield own.sync

    async def _kept_open(self) -> Fleet:
        if self._orchestrator is None and self._opened is None:
            self._opened = AgentOrchestrator(self._folder)
        async with self._at_work() as fleet:
            return fleet

    def _templates(self) -> AgentSettings:
        given = self._orchestrator
        own = given.templates if isinstance(given, AgentOrchestrator) else None
        return own or load_agents(None)

    async def _spawned(self, fleet: Fleet, kind: str) -> list[AgentHandle]:
        made = self._classes.get(kind)
        if made is not None:
            return await in_thread(lambda: fleet.spawn(made, type=kind))
        return await in_thread(lambda: fleet.spawn_template(kind))

    async def _team(self, fleet: Fleet, stages: Sequence[Stage]) -> None:
        """Spawn one agent of each type of which nobody is there who could do the stage."""
        there = [(each.type, {*each.capabilities}) for each in await in_thread(fleet.agents)]
        for spec in (stage.spec for stage in stages):
            kind, asked_for = spec.agent_type, spec.capabilities
            if kind is not None and not any(
                kind == other and able.issuperset(asked_for) for other, able in there
            ):
                spawned = await self._spawned(fleet, kind)
                there.extend((each.type, {*each.capabilities}) for each in spawned)

    async def _doers(self, fleet: Fleet, living: Sequence[AgentSpec]) -> Doers:
        templates = await in_thread(self._templates)
        return await in_thread(lambda: doers_of(templates, self._classes, living))


def _check_id(name: str) -> None:
    """See that an id can name a folder: the stages of a pipeline share one."""
    if not name or name in (".", "..") or any(c in "/\\" or c < " " for c in name):
        raise UsageError(
            f"{shown(name)} is no id of a pipeline: it is a word without slashes.",
            hint="Leave resume out for a new one.",
        )


def _failed(report: PipelineReport, hint: str | None = None) -> PipelineFailed:
    why = report.reason.rstrip(".")
    return PipelineFailed(f"Pipeline {report.id} ended as {report.status}: {why}.", report, hint)


def _with_requirements(config: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, **({"requirements": dict(more)} if more else {})}


def _folder_of(seat: EmbeddedSeat, name: str) -> Path | None:
    """Where the stages of a pipeline share a repository."""
    blobs = seat.blobs
    if not isinstance(blobs, FileBlobs):
        return None
    return blobs.root.parent / "pipelines" / name / "repository"


class _Shape:
    """What each stage's task is given."""

    def __init__(
        self,
        coordinator: PipelineCoordinator,
        seat: EmbeddedSeat,
        repository: Path | None,
    ) -> None:
        self._coordinator = coordinator
        self._seat = seat
        self._repository = repository

    async def __call__(self, pipeline: PipelineState, stage: StageSpec, value: object) -> Shaped:
        """See `runtime.piping.Shape`."""
        agent = await self._coordinator.agent_of(stage)
        if stage.task_type not in role_types():
            return Shaped(value, stage.description, agent=agent)
        seat, before = self._seat, pipeline.spec.stages[: pipeline.at]
        outputs = [pipeline.outputs[s.name] for s in before if s.name in pipeline.outputs]
        results = [await seat.value(each) for each in outputs]
        first = await seat.value(pipeline.spec.input)
        ground = ground_in(first, [*results, value])
        if ground is None:
            return Shaped(value, stage.description, agent=agent)
        folder = None if self._repository is None else str(self._repository)
        run = f"{pipeline.spec.id}-{stage.name}-{pipeline.round_of(stage.name) + 1}"
        ask = asked(ground, folder, run, tip_in(results))
        config = _with_requirements({}, ask.requirements)
        return Shaped(ask.input, stage.description or ask.goal, config, agent=agent)


class _Opening:
    """Finds the pipeline that is meant, or opens it."""

    def __init__(
        self,
        seat: EmbeddedSeat,
        stages: Sequence[Stage],
        value: object,
        resume: str | None,
        start_at: str | None,
    ) -> None:
        self._seat = seat
        self._stages = stages
        self._given = value
        self._resume = resume
        self._start_at = start_at

    async def open(self) -> str:
        """The id of the pipeline that is to be driven."""
        seat, name = self._seat, self._resume or self._seat.new_id()
        given = await seat.packed(self._given, "the input of the pipeline")
        spec = PipelineSpec(name, await self._specs(), given)
        found = await seat.find(name)
        if found is None:
            await seat.ask(
                lambda now_ms: pc.OpenPipeline(now_ms=now_ms, spec=spec, start=self._start_at)
            )
            return name
        await self._same(found, spec)
        if found.status is PipelineStatus.RUNNING:
            if self._start_at not in (None, found.stage.name):
                raise UsageError(
                    f"Pipeline {name} is under way at stage {found.stage.name}.",
                    hint="Leave start_at out; it goes on there.",
                )
        elif found.status is not PipelineStatus.COMPLETED or self._start_at is not None:
            anew = given if self._start_at is not None and self._given is not None else None
            await seat.ask(
                lambda now_ms: pc.ResumePipeline(
                    now_ms=now_ms, pipeline=name, stage=self._start_at, input=anew
                )
            )
        return name

    async def _specs(self) -> tuple[StageSpec, ...]:
        made: list[StageSpec] = []
        for stage in self._stages:
            config: Payload = await self._seat.packed(
                stage.config or None, f"the config of stage {stage.spec.name}"
            )
            made.append(msgspec.structs.replace(stage.spec, config=config))
        return tuple(made)

    async def _same(self, found: PipelineState, spec: PipelineSpec) -> None:
        name = spec.id
        if found.spec.stages != spec.stages:
            raise UsageError(
                f"Pipeline {name} was opened with other stages.", hint="Give this one another id."
            )
        if self._start_at is None and self._given is not None:
            if await self._seat.value(found.spec.input) != await self._seat.value(spec.input):
                raise UsageError(
                    f"Pipeline {name} was opened with another input.",
                    hint="Leave the input out to go on with it, or give this one another id.",
                )


__all__ = [
    "PipelineCoordinator",
    "PipelineFailed",
    "PipelineReport",
    "StageAgent",
    "StageRejected",
]
