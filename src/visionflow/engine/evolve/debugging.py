"""Folds that an agent's lines of level debug are kept for a while."""

from visionflow.domain import supervision_events as s
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.state import Answer, SwarmState


@folds(s.DebugEnabled)
def _(state: SwarmState, event: s.DebugEnabled) -> None:
    debugging = state.supervised.debugging
    for agent in [each for each, until_ms in debugging.items() if until_ms <= state.now_ms]:
        del debugging[agent]
    # One whose end is now stays until the next is told of: its worker has to hear of it.
    debugging[event.agent] = event.until_ms
    answer(state, event.command, Answer(state.now_ms, event.agent))
