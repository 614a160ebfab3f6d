"""What the state of a swarm knows of outside effects. Facts, like those of `state`."""

import msgspec

from visionflow.domain.outside import EffectClass, EffectStatus, Resolution
from visionflow.domain.tasks import NOTHING, Payload


class EffectState(msgspec.Struct, gc=False, omit_defaults=True):
    """An effect of a task that has not ended, one in doubt, or one that ended not long ago."""

    name: str
    kind: EffectClass
    task: str
    """Whose attempt reserved it last."""
    attempt: int
    """The last that was allowed to carry it out."""
    status: EffectStatus
    reserved_ms: int
    """When it was reserved first."""
    changed_ms: int
    place: str = ""
    request: str = ""
    digest: str = ""
    fresh: bool = True
    """Nobody began it before that attempt."""
    holders: list[tuple[str, int]] = []
    """(task, attempt) that were ever allowed to carry it out."""
    result: Payload = NOTHING
    reason: str = ""
    """Why it failed, or is in doubt."""
    resolution: Resolution | None = None
    by: str = ""
    """Who resolved it."""
    note: str = ""


class TaskEffects(msgspec.Struct, gc=False):
    """The effects of a task that has not ended, by key."""

    keys: dict[str, None]
    unsettled: dict[str, None]
    """Of them, those that are reserved or in doubt."""


class Outside(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while there was no effect, and then no part of the digest."""

    effects: dict[str, EffectState] = {}
    tasks: dict[str, TaskEffects] = {}
    doubts: dict[str, None] = {}
    """Keys of those in doubt, oldest first."""
    orphans: dict[str, None] = {}
    """Reserved by tasks that have ended: whether they happened is in doubt from now on."""
    over: dict[str, None] = {}
    """Keys of those of ended tasks whose outcome is known, oldest first."""
