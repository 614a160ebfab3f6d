"""Pipelines: stages one after the other, what is demanded of each, and what one that fails does."""

import sys
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import NOTHING, Payload, Priority
from visionflow.domain.wording import shown

Value = float | bool | None
"""A measure: a number, an approval, or `None` for one that could not be taken."""
STAGES_MAX = 100
"""Of one pipeline."""
TIMES_MAX = 100
"""So often a stage may be retried, or lead back, at most."""
MEASURES_MAX = 100
"""Of one stage."""
PIPELINES_OPEN_MAX = 1_000
PIPELINE_TYPE = "pipeline"
"""The type of the task that a pipeline of a server is."""
PIPELINES_KEPT_MAX = 200
"""Pipelines that are over, with what was measured of their stages, that the state keeps."""


class OnFailure(StrEnum):
    """What follows when a stage fails."""

    STOP = "stop"
    """The pipeline ends."""
    RETRY = "retry"
    """The stage is done again, so often at most; then it stops."""
    LOOP = "loop"
    """An earlier stage follows, so often at most; then it stops."""


class FailurePolicy(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a stage that fails does."""

    action: OnFailure = OnFailure.STOP
    to: str | None = None
    """Of a loop: the stage that it leads back to."""
    times: int = 0
    """So often at most."""


STOPS = FailurePolicy()


class StageSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A stage as it was asked for."""

    name: str
    task_type: str = "task"
    agent_type: str | None = None
    """Only agents of this type, where given."""
    description: str = ""
    config: Payload = NOTHING
    validation: dict[str, float | bool] = {}
    """Measures, and what is demanded of each."""
    on_failure: FailurePolicy = STOPS
    capabilities: tuple[str, ...] = ()
    timeout_ms: int | None = None
    """Wall-clock time of one attempt; `None` takes the swarm's."""


class PipelineSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A pipeline as it was opened. Nothing in it changes after that."""

    id: str
    stages: tuple[StageSpec, ...]
    input: Payload = NOTHING
    """What the first stage gets."""
    description: str = ""
    priority: int = Priority.MEDIUM
    rooted: bool = False
    """It has a root task under its id, which ends with it."""
    asked: Payload = NOTHING
    """What whoever drives it needs to go on with it after a crash."""


class PipelineStatus(StrEnum):
    """Where a pipeline stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    """A stage failed, and nothing more followed."""
    CANCELLED = "cancelled"


class StageAction(StrEnum):
    """What follows after a stage was judged."""

    GO_ON = "go_on"
    FINISH = "finish"
    """It was the last one, and it passed."""
    RETRY = "retry"
    LOOP = "loop"
    STOP = "stop"


PASSED = (StageAction.GO_ON, StageAction.FINISH)


def demands_in(validation: Mapping[str, object], whose: str) -> dict[str, float | bool]:
    """What is demanded of measures, as it was written. `whose`: who does, for the message.

    Raises:
        UsageError: a demand is neither a number nor an approval.
    """
    found: dict[str, float | bool] = {}
    for measure, demand in validation.items():
        if isinstance(demand, bool):
            found[measure] = demand
        elif isinstance(demand, int | float) and abs(demand) <= sys.float_info.max:
            found[measure] = float(demand)
        else:
            raise UsageError(
                f"{whose} demands {shown(demand)} of {measure!s:.100}; a demand is a number (at "
                "least that much), or true or false."
            )
    return found


def meets(value: Value, demand: float | bool) -> bool:
    """Whether a measure meets a demand: it is at least as large, or, of an approval, the same.

    What was not measured meets nothing, except that no approval is demanded.
    """
    if isinstance(demand, bool):
        return not demand or value is True
    return value is not None and not isinstance(value, bool) and value >= demand


def missed(measured: Mapping[str, Value], demands: Mapping[str, float | bool]) -> tuple[str, ...]:
    """The names of the demands that are not met, sorted."""
    return tuple(
        sorted(name for name, each in demands.items() if not meets(measured.get(name), each))
    )
