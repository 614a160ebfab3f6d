"""Adaptive topology: which would do what is left best, and whether a switch proved itself. Pure.

The prediction for a topology is a list schedule (see `makespan`) of the tasks that are not finished
(see `unfinished`), where each task takes its agent, beside the work, an overhead in the manner of
Amdahl's serial part: it does not shrink with more agents.

    overhead = delay of assignment + messages per task * hops * what a hop takes

The delay is measured under each topology that was in force in this swarm: how long what was given
out had waited although its agent had room and was not held, by a circuit say. Until `SAMPLES_MIN`
tasks were completed under it, the usual one stands in: where the engine assigns, what was measured
of another topology in which it does; of a mesh the rounds of an auction. The work grows with the
attempts that fail and are made again. Most failures are the tasks' own, so their share under a
topology counts the more the more attempts ended under it, and is until then that of the swarm.
"""

from typing import NamedTuple

from visionflow.domain import shape_events as h
from visionflow.domain.shape import Measured, Plan, Prediction
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.measuring import added, ended, failed_bp, measured_now, totals_now
from visionflow.engine.shape import Trial
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.makespan import makespan_us
from visionflow.engine.topology.rules import stages, topology_in_force
from visionflow.engine.topology.unfinished import Unfinished, shape_of, unfinished

CHOICES = (
    Topology.HIERARCHICAL,
    Topology.STAR,
    Topology.MESH,
    Topology.RING,
    Topology.SEQUENTIAL,
)
"""In the order of preference among equals."""
ASSIGNED = (Topology.HIERARCHICAL, Topology.STAR, Topology.SEQUENTIAL)
"""In these the engine assigns, and in one way."""
GAIN_BP_MIN = 2_000
"""A switch has to be worth this much of the makespan."""
MAKESPAN_MS_MIN = 2_000
"""Less than this left to do is not worth a switch."""
COOL_DOWN_MS = 300_000
BARRED_MS = 1_800_000
"""What was rolled back is not chosen again for so long."""
CONSIDER_MS = 5_000
LOOK_MS = 100
"""How long the moment lasts, once in `CONSIDER_MS`, in which a tick weighs a switch."""
SAMPLES_MIN = 10
"""Fewer tasks, or attempts, tell nothing of a rate."""
PRIOR = 40
"""The swarm's own share of failures counts as if so many attempts under a topology had shown it."""
TRIAL_MS = 60_000
"""A switch has proved itself after so long at work."""
TRIAL_MS_MAX = 1_800_000
"""And at the latest after so long: what happens later is not its doing."""
PERFORMANCE_LOSS_BP = 2_500
ERRORS_MORE_BP = 1_500
AGENTS_FAILED_BP = 3_000
COMPARABLE_BP = 7_500
"""At least this share of the tasks of before has to be there for work done to be compared."""
HOP_US = 500
"""What one message takes: measured, of submit to done (0.9 ms, two of them, each with a commit)."""
AUCTION_US = 4_000
"""What an auction takes: measured, of five peers in two processes."""


class Proposal(NamedTuple):
    """What is predicted, and what would be best."""

    before: Topology
    plan: Plan
    predictions: tuple[Prediction, ...]
    best: Topology | None
    """`None`: nothing is known that a prediction could rest on."""
    gain_bp: int | None
    """Of the best over the one in force."""


def measured_under(state: SwarmState, topology: Topology, now_ms: int) -> Measured:
    """All that was measured under a topology in this swarm."""
    past = state.shape.past.get(topology, Measured())
    if topology is topology_in_force(state):
        return added(past, measured_now(state, now_ms))
    return past


def propose(state: SwarmState, now_ms: int) -> Proposal:
    """Predict what each topology would make of what is left."""
    before = topology_in_force(state)
    work = unfinished(state, now_ms)
    plan = shape_of(work)
    found = tuple(_predicted(state, work, plan, each, now_ms) for each in CHOICES)
    known = {each.topology: each.makespan_ms for each in found if each.makespan_ms is not None}
    if not known:
        return Proposal(before, plan, found, None, None)
    allowed = [
        each for each in known if each is before or state.shape.barred.get(each, 0) <= now_ms
    ]
    best = min(allowed, key=lambda each: (known[each], each is not before))
    own_ms = known[before]
    gain_bp = (own_ms - known[best]) * 10_000 // own_ms if own_ms else 0
    return Proposal(before, plan, found, best, gain_bp)


def _predicted(
    state: SwarmState, work: Unfinished, plan: Plan, topology: Topology, now_ms: int
) -> Prediction:
    under = measured_under(state, topology, now_ms)
    if plan.work_ms is None:
        return Prediction(topology, measured=under.done)
    share_bp = _failed_bp(state, under, now_ms)
    overhead_us = _delay_us(state, topology, under, now_ms) + _talk_us(state, topology)
    found_us = makespan_us(work, topology, overhead_us, min(share_bp or 0, 9_000))
    return Prediction(topology, found_us // 1_000, overhead_us, under.done, share_bp)


def _failed_bp(state: SwarmState, under: Measured, now_ms: int) -> int | None:
    """The share of attempts that is expected to fail; `None`: too few ended to tell."""
    whole = totals_now(state, now_ms)
    own_bp = failed_bp(whole)
    if own_bp is None or ended(whole) < SAMPLES_MIN:
        return None
    return (under.failed * 10_000 + PRIOR * own_bp) // (ended(under) + PRIOR)


def _delay_us(state: SwarmState, topology: Topology, under: Measured, now_ms: int) -> int:
    if under.done >= SAMPLES_MIN:
        return _mean_delay_us(state, topology, under)
    if topology is Topology.MESH:
        return AUCTION_US
    if topology not in ASSIGNED:
        return 0
    others = ((each, measured_under(state, each, now_ms)) for each in ASSIGNED)
    measured = (
        _mean_delay_us(state, each, found) for each, found in others if found.done >= SAMPLES_MIN
    )
    return min(measured, default=0)


def _mean_delay_us(state: SwarmState, topology: Topology, under: Measured) -> int:
    return state.totals.delays.get(topology, 0) * 1_000 // max(1, under.attempts)


def _talk_us(state: SwarmState, topology: Topology) -> int:
    """What the messages about a task take, as many as were sent for each until now."""
    totals = state.totals
    if not totals.messages or not totals.done:
        return 0
    return totals.messages * HOP_US * _hops_tenths(state, topology) // (10 * totals.done)


def _hops_tenths(state: SwarmState, topology: Topology) -> int:
    """How many messages bring word from one agent to another, on average, in tenths: its length of
    the way along which the rules let it pass."""
    count = max(2, len(state.agents))
    match topology:
        case Topology.STAR:
            return 20 * (count - 1) // count
        case Topology.HIERARCHICAL:
            return 40 if state.teams.teams else 20 * (count - 1) // count
        case Topology.RING:
            return 10 * count // 2
        case Topology.SEQUENTIAL:
            return max(10, 10 * len(stages(state)) // 3)
        case _:
            return 10


# When and whether ------------------------------------------------------------------------------


def weighs(state: SwarmState, now_ms: int) -> bool:
    """Whether a tick at this time weighs a switch. Cheap: it is asked at every tick."""
    spec, shape = state.spec, state.shape
    return (
        spec is not None
        and spec.topology is Topology.ADAPTIVE
        and state.live > 1
        and now_ms % CONSIDER_MS < LOOK_MS
        and shape.trial is None
        and now_ms >= shape.cooled_ms
        and state.closed is None
    )


def is_due(state: SwarmState, now_ms: int) -> bool:
    """Whether a tick would do anything about the topology, or has to weigh it."""
    if state.shape.trial is None:
        return weighs(state, now_ms)
    return judged(state, now_ms) is not None


def due(state: SwarmState, now_ms: int) -> list[h.ShapeEvent]:
    """What time has made due."""
    if state.shape.trial is not None:
        verdict = judged(state, now_ms)
        return [] if verdict is None else [verdict]
    if not weighs(state, now_ms):
        return []
    found = propose(state, now_ms)
    if not is_worth(found):
        return []
    return [switched(state, found, found.best or found.before, now_ms, why(found))]


def is_worth(found: Proposal) -> bool:
    """Whether the best is worth a switch."""
    if found.best is None or found.best is found.before or found.gain_bp is None:
        return False
    own_ms = makespan_of(found, found.before) or 0
    return found.gain_bp >= GAIN_BP_MIN and own_ms >= MAKESPAN_MS_MIN


def makespan_of(found: Proposal, topology: Topology) -> int | None:
    """What is predicted of a topology."""
    return next(each.makespan_ms for each in found.predictions if each.topology is topology)


def why(found: Proposal) -> str:
    """The reason of a switch to the best, in words."""
    before, best, plan = found.before, found.best or found.before, found.plan
    left = f"{plan.tasks} tasks that are not finished ({plan.width} wide, {plan.depth} deep)"
    if best is before:
        return (
            f"{left} would take {makespan_of(found, before)} ms as {before}, and no less as another"
        )
    return (
        f"{left} would take {makespan_of(found, best)} ms, and {makespan_of(found, before)} ms as "
        f"{before}: {_because(found, best)}"
    )


def _because(found: Proposal, best: Topology) -> str:
    """Which figures differ between the best and the one in force, in words."""
    of = {each.topology: each for each in found.predictions}
    one, other = of[best], of[found.before]
    told: list[str] = []
    if one.overhead_us != other.overhead_us:
        told.append(
            f"coordination takes {(one.overhead_us or 0) / 1_000:g} ms of each task instead of "
            f"{(other.overhead_us or 0) / 1_000:g} ms"
        )
    if one.failed_bp != other.failed_bp:
        told.append(
            f"{_percent(one.failed_bp or 0)} of attempts fail instead of "
            f"{_percent(other.failed_bp or 0)}"
        )
    same = "coordination and failures take the same, and the rest is who may do what and when"
    return " and ".join(told) or same


def switched(
    state: SwarmState,
    found: Proposal,
    after: Topology,
    now_ms: int,
    reason: str,
) -> h.TopologySwitched:
    """The event of a switch by these predictions, for which nobody asked."""
    own_ms, other_ms = makespan_of(found, found.before), makespan_of(found, after)
    gain_bp = None
    if own_ms is not None and other_ms is not None:
        gain_bp = (own_ms - other_ms) * 10_000 // own_ms if own_ms else 0
    return h.TopologySwitched(
        before=found.before,
        after=after,
        reason=reason,
        gain_bp=gain_bp,
        predictions=found.predictions,
        plan=found.plan,
        measured=measured_now(state, now_ms),
        cooled_ms=now_ms + COOL_DOWN_MS,
    )


# A switch on trial -----------------------------------------------------------------------------


def judged(state: SwarmState, now_ms: int) -> h.ShapeEvent | None:
    """What is to become of a switch on trial; `None`: nothing yet."""
    trial = state.shape.trial
    if trial is None or state.closed is not None:
        return None
    since = measured_now(state, now_ms)
    worse = _worse(state, trial, since, now_ms)
    topology = topology_in_force(state)
    if worse is not None:
        return h.TopologySwitched(
            before=topology,
            after=trial.before,
            reason=worse,
            measured=since,
            rolled_back=True,
            cooled_ms=now_ms + COOL_DOWN_MS,
            barred_ms=now_ms + BARRED_MS,
        )
    proved = since.busy_ms >= TRIAL_MS and since.done >= SAMPLES_MIN
    if not proved and now_ms - trial.since_ms < TRIAL_MS_MAX:
        return None
    reason = f"nothing of it was worse than {trial.before} in {since.busy_ms} ms at work"
    return h.TopologyKept(topology=topology, reason=reason, measured=since)


def _worse(state: SwarmState, trial: Trial, since: Measured, now_ms: int) -> str | None:
    """Which trigger of a roll-back is met, in words."""
    base, was = trial.baseline, trial.before
    if trial.agents and since.agents_failed * 10_000 >= AGENTS_FAILED_BP * trial.agents:
        return f"{since.agents_failed} of {trial.agents} agents failed since the switch"
    if min(ended(since), ended(base)) >= SAMPLES_MIN:
        now_bp, was_bp = failed_bp(since) or 0, failed_bp(base) or 0
        if now_bp - was_bp >= ERRORS_MORE_BP:
            return (
                f"{_percent(now_bp)} of attempts failed since the switch, {_percent(was_bp)} "
                f"as {was}"
            )
    return _slower(state, trial, since, now_ms)


def _slower(state: SwarmState, trial: Trial, since: Measured, now_ms: int) -> str | None:
    """Whether agents get less work done in the time in which there is some: not how many tasks, for
    one may take ten times as long as another."""
    base = trial.baseline
    if base.done < SAMPLES_MIN or not base.busy_ms or not base.work_us:
        return None
    mean_us = base.work_us // base.done
    expected_us = base.work_us * since.busy_ms // base.busy_ms
    if expected_us < SAMPLES_MIN * mean_us or since.busy_ms * 1_000 < mean_us:
        return None  # Too early to tell: not even one that began since the switch could be done.
    least_us = expected_us * (10_000 - PERFORMANCE_LOSS_BP) // 10_000
    if since.work_us > least_us or not _is_comparable(state, base, since):
        return None
    did_us = since.work_us + _under_way_us(state, since, now_ms)
    if did_us > least_us:
        return None
    return (
        f"agents did {did_us / 1e6:.1f} s of work in {since.busy_ms / 1e3:.1f} s since the switch; "
        f"as {trial.before} it would have been {expected_us / 1e6:.1f} s"
    )


def _under_way_us(state: SwarmState, since: Measured, now_ms: int) -> int:
    """What attempts that are at work have done of it since the topology came into force."""
    found_ms = 0
    for agent in state.agents.values():
        for name in agent.open:
            task = state.tasks[name]
            if task.status is TaskStatus.RUNNING:
                began_ms = max(task.changed_ms, state.shape.since_ms)
                found_ms += min(max(0, now_ms - began_ms), since.busy_ms)
    return found_ms * 1_000


def _is_comparable(state: SwarmState, base: Measured, since: Measured) -> bool:
    """Whether as much was there to do as before: Little's law gives the mean number of tasks in a
    swarm from what they took and how long it was at work."""
    then = base.completion_ms * 10_000 // base.busy_ms
    now = since.completion_ms * 10_000 // max(1, since.busy_ms)
    return max(now, state.live * 10_000) >= then * COMPARABLE_BP // 10_000


def _percent(share_bp: int) -> str:
    return f"{share_bp / 100:.0f} %"
