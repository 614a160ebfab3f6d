"""What the state of a swarm knows of pipelines. Facts, like those of `state`."""

import msgspec

from visionflow.domain.pipelines import (
    PipelineSpec,
    PipelineStatus,
    StageAction,
    StageSpec,
    Value,
)
from visionflow.domain.tasks import Payload


class RoundState(msgspec.Struct, gc=False, omit_defaults=True):
    """One time that a stage was done."""

    stage: str
    round: int
    task: str
    action: StageAction | None = None
    """What followed; `None`: it has not been judged."""
    measured: dict[str, Value] = {}
    missed: tuple[str, ...] = ()
    to: str | None = None
    reason: str = ""


class PipelineState(msgspec.Struct, gc=False, omit_defaults=True):
    """A pipeline that is open, or ended not long ago."""

    spec: PipelineSpec
    at: int
    """The place of the stage that is under way, or next."""
    since_ms: int
    status: PipelineStatus = PipelineStatus.RUNNING
    task: str | None = None
    """Of the stage that is under way and has not been judged."""
    given: dict[str, Payload] = {}
    """By stage what it gets, where that is not what the stage before hands on."""
    outputs: dict[str, Payload] = {}
    """By stage what it handed on when it last passed."""
    failures: dict[str, int] = {}
    """By stage how often it failed and something else than the end followed."""
    rounds: list[RoundState] = []
    """All that was done, in order."""
    changed_ms: int = 0
    """When it ended, or its last stage began or was judged."""
    reason: str = ""

    @property
    def stage(self) -> StageSpec:
        """The stage that is under way, or next."""
        return self.spec.stages[self.at]

    def place_of(self, name: str) -> int | None:
        """The place of a stage by its name."""
        for place, stage in enumerate(self.spec.stages):
            if stage.name == name:
                return place
        return None

    def round_of(self, stage: str) -> int:
        """How often a stage was begun."""
        return sum(1 for each in self.rounds if each.stage == stage)

    def input_of(self, place: int) -> Payload | None:
        """What the stage at a place gets; `None` where nothing stands before it."""
        name = self.spec.stages[place].name
        if name in self.given:
            return self.given[name]
        return self.outputs.get(self.spec.stages[place - 1].name) if place else None

    @property
    def output(self) -> Payload | None:
        """What the last stage handed on; `None` unless it has completed."""
        if self.status is not PipelineStatus.COMPLETED:
            return None
        return self.outputs.get(self.spec.stages[-1].name)


class Pipelines(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while there was no pipeline, and then no part of the digest."""

    open: dict[str, PipelineState] = {}
    over: dict[str, PipelineState] = {}
    """Those that ended, oldest first."""
    tasks: dict[str, str] = {}
    """Of the open ones: the last task of each stage, whose result is still needed."""
    orphans: dict[str, None] = {}
    """Those whose root task has ended by itself."""
    unsettled: dict[str, None] = {}
    """Those that are over, and whose root task has yet to end."""

    def find(self, name: str) -> PipelineState | None:
        """One by its id."""
        return self.open.get(name) or self.over.get(name)
