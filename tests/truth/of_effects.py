"""Sources of what is told of outside effects: the events of each in the log."""

from dataclasses import dataclass
from typing import Any

import msgspec

from tests.truth.checking import Among, At, Source
from tests.truth.origins import Table, iso, swarm_id
from visionflow.domain import events as e
from visionflow.domain import outside_events as o


@dataclass
class Effect:
    """One effect, as its events tell."""

    first: o.EffectReserved
    reserved_ms: int
    status: str = "reserved"
    attempt: int = 0
    changed_ms: int = 0
    reason: str | None = None
    resolution: str | None = None
    by: str | None = None
    note: str | None = None
    result: Any = None


def effects_of(at: At) -> dict[str, Effect]:
    """All of the swarm, in order, as they were when the answer was there."""
    found: dict[str, Effect] = {}
    for _, _, at_ms, event in at.swarm.events:
        if at_ms > at.after_ms or not isinstance(event, o.OutsideEvent):
            continue
        if isinstance(event, o.EffectReserved) and event.key not in found:
            found[event.key] = Effect(event, at_ms)
        effect = found[event.key]
        effect.changed_ms = at_ms
        _tell(effect, event)
    return found


def _tell(effect: Effect, event: Any) -> None:
    match event:
        case o.EffectReserved():
            effect.status, effect.attempt = "reserved", event.attempt
            effect.reason = effect.resolution = effect.by = effect.note = None
        case o.EffectSettled():
            effect.status, effect.attempt, effect.reason = "settled", event.attempt, None
            effect.result = msgspec.msgpack.decode(event.result.inline)
        case o.EffectFailed():
            effect.status, effect.reason = "failed", event.reason
        case o.EffectDoubted():
            effect.status, effect.reason = "in_doubt", event.why
        case _:
            effect.status, effect.resolution = "resolved", str(event.resolution)
            effect.by, effect.note = event.by, event.note
            body = event.result.inline
            effect.result = None if body is None else msgspec.msgpack.decode(body)


def own(at: At) -> Effect:
    return effects_of(at)[at.own["key"]]


def of(name: str) -> Source:
    return lambda at: getattr(own(at), name)


def first(name: str) -> Source:
    return lambda at: getattr(own(at).first, name)


def result(at: At) -> Any:
    """Of one that is asked for alone."""
    return own(at).result if "key" in at.given else None


def cursor(at: At) -> str | None:
    """Of a page that is full: where its last one stands."""
    shown = at.reply["effects"]
    if "key" in at.given or len(shown) < at.given.get("limit", 100):
        return None
    key = shown[-1]["key"]
    return f"{effects_of(at)[key].reserved_ms}-{key}"


def went_on(at: At) -> Any:
    """Tasks that were blocked by it."""
    words = f"effect {at.given['key']} in doubt"
    blocked = [
        event.task
        for _, _, _, event in at.swarm.events
        if isinstance(event, e.TaskBlocked) and event.missing == words
    ]
    return Among(*blocked)


EFFECTS: Table = {
    "swarmId": swarm_id,
    "effects[].key": lambda at: Among(*effects_of(at)),
    "effects[].name": first("name"),
    "effects[].effectClass": first("kind"),
    "effects[].status": of("status"),
    "effects[].taskId": first("task"),
    "effects[].attempt": of("attempt"),
    "effects[].request": first("request"),
    "effects[].reason": of("reason"),
    "effects[].resolution": of("resolution"),
    "effects[].by": of("by"),
    "effects[].note": of("note"),
    "effects[].result": result,
    "effects[].reservedAt": lambda at: iso(own(at).reserved_ms),
    "effects[].changedAt": lambda at: iso(own(at).changed_ms),
    "nextCursor": cursor,
}
RESOLVED: Table = {
    "swarmId": swarm_id,
    "key": lambda at: at.given["key"],
    "status": lambda at: effects_of(at)[at.given["key"]].status,
    "resolution": lambda at: at.given["resolution"],
    "tasks[]": went_on,
}
