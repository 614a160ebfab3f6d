"""Folds of what an assignment rests on: it is the next event."""

from visionflow.domain import assigning_events as ae
from visionflow.engine.evolve.table import folds
from visionflow.engine.state import SwarmState


@folds(ae.TokenPassed)
def _(state: SwarmState, event: ae.TokenPassed) -> None:
    assigning = state.assigning
    assigning.token = event.agent
    assigning.token_place = state.roster.place(event.agent) or 0
    assigning.chosen = (event.task, event.agent)


@folds(ae.BidsPlaced)
def _(state: SwarmState, event: ae.BidsPlaced) -> None:
    state.assigning.chosen = (event.task, event.agent)
