"""How a swarm is supervised: as a client writes it, and how it is told."""

from collections.abc import Mapping
from typing import Annotated, Any

from visionflow.domain.errors import UsageError
from visionflow.domain.supervision import RestartStrategy, SupervisionSpec
from visionflow.interfaces.tools.arguments import Arguments, Result, parse
from visionflow.interfaces.tools.forms import about, form

PERIOD_MS_MIN = 1_000
RESTARTS_MAX = 1_000_000
TELLS = (
    "What follows when a worker dies: strategy (one_for_one, one_for_all, rest_for_one), restarts "
    "(deaths that the swarm bears; absent: as many as its workers do) and period (seconds)."
)


class Oversight(Arguments, frozen=True, kw_only=True):
    """What follows when a worker dies."""

    strategy: Annotated[RestartStrategy, about("Who is started again beside it.")] = (
        RestartStrategy.ONE_FOR_ONE
    )
    restarts: Annotated[int | None, about("Deaths that the swarm bears within the period.")] = None
    period: Annotated[int, form("seconds", "In which deaths are counted.")] = 60_000


class OversightTold(Result, frozen=True, kw_only=True):
    """How a swarm is supervised."""

    strategy: str
    restarts: Annotated[int | None, about("Null: as many as its workers bear, each for itself.")]
    period: float
    """Seconds."""


def read_oversight(given: Mapping[str, Any]) -> SupervisionSpec:
    """The argument `supervision`, read.

    Raises:
        UsageError: one is unknown, or cannot be.
    """
    try:
        read = parse(Oversight, given)
    except UsageError as error:
        raise UsageError(f"supervision: {error.message}", hint=error.hint) from error
    if read.restarts is not None and not 0 <= read.restarts <= RESTARTS_MAX:
        raise UsageError(f"supervision.restarts is 0 to {RESTARTS_MAX}.")
    if read.period < PERIOD_MS_MIN:
        raise UsageError("supervision.period is at least 1 second.")
    return SupervisionSpec(read.strategy, read.restarts, read.period)


def oversight_told(spec: SupervisionSpec) -> OversightTold:
    """The same, to tell it."""
    return OversightTold(
        strategy=spec.strategy, restarts=spec.restarts_max, period=spec.period_ms / 1_000
    )
