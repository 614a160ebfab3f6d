"""Folds that an agent's lines of level debug are kept for a while."""

from visionflow.domain import supervision_events as s
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.state import Answer, SwarmState


@folds(s.DebugEnabled)
def _(state: SwarmState, event: s.DebugEnabled) -> None:
    # One whose time is over stays while the agent does: its worker has to hear of an end too.
    state.supervised.debugging[event.agent] = event.until_ms
    answer(state, event.command, Answer(state.now_ms, event.agent))
