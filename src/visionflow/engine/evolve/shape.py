"""Folds of which topology is in force."""

from visionflow.domain import shape_events as h
from visionflow.domain.shape import Measured
from visionflow.domain.swarms import Topology
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.evolve.teams import rekey
from visionflow.engine.measuring import added, measured_now, totals_now
from visionflow.engine.shape import Trial
from visionflow.engine.state import Answer, SwarmState
from visionflow.engine.topology.rules import follow

SEQUENTIAL = Topology.SEQUENTIAL


@folds(h.TopologySwitched)
def _(state: SwarmState, event: h.TopologySwitched) -> None:
    shape = state.shape
    measured = measured_now(state, state.now_ms)
    shape.past[event.before] = added(shape.past.get(event.before, Measured()), measured)
    shape.now, shape.since_ms = event.after, state.now_ms
    follow(state)
    shape.switches += 1
    shape.cooled_ms = event.cooled_ms
    if event.rolled_back:
        shape.trial = None
        shape.barred[event.before] = event.barred_ms
    else:
        shape.trial = Trial(event.before, state.now_ms, len(state.agents), measured)
        shape.barred.pop(event.after, None)
    state.totals.failed_agents.clear()
    shape.mark = totals_now(state, state.now_ms)
    if event.before is SEQUENTIAL:
        for task in state.tasks.values():
            for phase in () if task.plan is None else task.plan.phases:
                phase.stages = ()
    if state.teams.teams:
        rekey(state)
    answer(state, event.command, Answer(state.now_ms))


@folds(h.TopologyKept)
def _(state: SwarmState, event: h.TopologyKept) -> None:
    state.shape.trial = None
