"""Folds of what happens to outside effects."""

from visionflow.domain import outside_events as o
from visionflow.domain.event import Event
from visionflow.domain.limits import EFFECTS_KEPT_MAX
from visionflow.domain.outside import EffectStatus as E
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.lifecycles import IllegalTransition
from visionflow.engine.outside import EffectState, TaskEffects
from visionflow.engine.state import Answer, SwarmState

EFFECT: dict[E, dict[type[Event], E]] = {
    E.RESERVED: {
        o.EffectReserved: E.RESERVED,
        o.EffectSettled: E.SETTLED,
        o.EffectFailed: E.FAILED,
        o.EffectDoubted: E.IN_DOUBT,
    },
    E.FAILED: {o.EffectReserved: E.RESERVED, o.EffectSettled: E.SETTLED},
    E.IN_DOUBT: {
        o.EffectSettled: E.SETTLED,
        o.EffectFailed: E.FAILED,
        o.EffectResolved: E.RESOLVED,
    },
    E.RESOLVED: {
        o.EffectReserved: E.RESERVED,
        o.EffectSettled: E.SETTLED,
        o.EffectResolved: E.RESOLVED,
    },
    E.SETTLED: {},
}
"""The life of an effect; its first event is a reservation."""


def _move(state: SwarmState, key: str, event: type[Event]) -> EffectState:
    found = state.outside.effects[key]
    after = EFFECT[found.status].get(event)
    if after is None:
        raise IllegalTransition(
            f"effect {key} is {found.status}: {event.__name__} cannot happen then"
        )
    found.status = after
    found.changed_ms = state.now_ms
    return found


def _known(state: SwarmState, key: str, found: EffectState) -> None:
    """Its outcome is known. One of a task that has ended is kept for a while yet."""
    outside = state.outside
    outside.doubts.pop(key, None)
    outside.orphans.pop(key, None)
    of_task = outside.tasks.get(found.task)
    if of_task is not None and key in of_task.keys:
        of_task.unsettled.pop(key, None)
    else:
        _keep(state, key)


def _keep(state: SwarmState, key: str) -> None:
    outside = state.outside
    outside.over.pop(key, None)
    outside.over[key] = None
    if len(outside.over) > EFFECTS_KEPT_MAX:
        oldest = next(iter(outside.over))
        del outside.over[oldest]
        del outside.effects[oldest]


def task_ended(state: SwarmState, task: str) -> None:
    """A task has ended: what it left reserved is in doubt, the rest may leave in time."""
    outside = state.outside
    of_task = outside.tasks.pop(task, None)
    if of_task is None:
        return
    for key in of_task.keys:
        status = outside.effects[key].status
        if status is E.RESERVED:
            outside.orphans[key] = None
        elif status is not E.IN_DOUBT:
            _keep(state, key)


def _begin(state: SwarmState, event: o.EffectReserved) -> EffectState:
    """The entry of an effect that is reserved for the first time, or again."""
    outside, key, now_ms = state.outside, event.key, state.now_ms
    if key not in outside.effects:
        found = outside.effects[key] = EffectState(
            event.name, event.kind, event.task, event.attempt, E.RESERVED, now_ms, now_ms
        )
        return found
    found = _move(state, key, o.EffectReserved)
    _unsay(found)
    outside.over.pop(key, None)
    before = outside.tasks.get(found.task)
    if before is not None and found.task != event.task:
        before.keys.pop(key, None)
        if not before.keys:
            del outside.tasks[found.task]
    return found


def _unsay(found: EffectState) -> None:
    """What was said of it before holds no more."""
    found.resolution = None
    found.reason = found.by = found.note = ""


@folds(o.EffectReserved)
def _(state: SwarmState, event: o.EffectReserved) -> None:
    found, task = _begin(state, event), event.task
    found.name, found.kind, found.task, found.attempt = event.name, event.kind, task, event.attempt
    found.place, found.request, found.digest = event.place, event.request, event.digest
    found.fresh = event.fresh
    found.holders.append((task, event.attempt))
    of_task = state.outside.tasks.get(task)
    if of_task is None:
        of_task = state.outside.tasks[task] = TaskEffects({}, {})
    of_task.keys[event.key] = of_task.unsettled[event.key] = None


@folds(o.EffectSettled)
def _(state: SwarmState, event: o.EffectSettled) -> None:
    found = _move(state, event.key, o.EffectSettled)
    _unsay(found)
    found.result = event.result
    _known(state, event.key, found)


@folds(o.EffectFailed)
def _(state: SwarmState, event: o.EffectFailed) -> None:
    found = _move(state, event.key, o.EffectFailed)
    _unsay(found)
    found.reason = event.reason
    _known(state, event.key, found)


@folds(o.EffectDoubted)
def _(state: SwarmState, event: o.EffectDoubted) -> None:
    found = _move(state, event.key, o.EffectDoubted)
    found.reason = event.why
    state.outside.orphans.pop(event.key, None)
    state.outside.doubts[event.key] = None


@folds(o.EffectResolved)
def _(state: SwarmState, event: o.EffectResolved) -> None:
    found = _move(state, event.key, o.EffectResolved)
    found.resolution, found.by, found.note = event.resolution, event.by, event.note
    found.result = event.result
    _known(state, event.key, found)
    answer(state, event.command, Answer(state.now_ms, event.key))
