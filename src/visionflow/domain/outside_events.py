"""Events of the ledger of outside effects."""

from visionflow.domain.event import Event
from visionflow.domain.outside import EffectClass, Resolution
from visionflow.domain.tasks import NOTHING, Payload


class EffectReserved(Event, frozen=True, tag="effect_reserved"):
    """From here on this attempt may carry it out."""

    key: str
    task: str
    attempt: int
    name: str
    kind: EffectClass
    place: str = ""
    """Which of the task's effects of this name it is, where its key was not given by the agent."""
    request: str = ""
    """What is asked of the world, in words."""
    digest: str = ""
    """The hash of the arguments."""
    fresh: bool = True
    """Nobody began it before, or what was begun certainly did not happen."""


class EffectSettled(Event, frozen=True, tag="effect_settled"):
    """It happened. True whichever attempt says so, also one that is stale."""

    key: str
    task: str
    attempt: int
    result: Payload = NOTHING


class EffectFailed(Event, frozen=True, tag="effect_failed"):
    """It certainly did not happen."""

    key: str
    task: str
    attempt: int
    reason: str


class EffectDoubted(Event, frozen=True, tag="effect_doubted"):
    """It may have happened, and nothing can tell: a person has to say."""

    key: str
    task: str
    attempt: int
    why: str


class EffectResolved(Event, frozen=True, tag="effect_resolved"):
    """A person has said."""

    key: str
    resolution: Resolution
    by: str
    note: str
    result: Payload = NOTHING
    """Of one that was done: what those get who ask for it."""
    command: str | None = None


OutsideEvent = EffectReserved | EffectSettled | EffectFailed | EffectDoubted | EffectResolved
