"""Folds of what happens to circuits. That of an agent decides whether it is offered tasks."""

from visionflow.domain import supervision_events as s
from visionflow.engine import circuits
from visionflow.engine.evolve import teams
from visionflow.engine.evolve.table import answer, folds, refresh
from visionflow.engine.state import Answer, SwarmState


def _fold(state: SwarmState, event: circuits.CircuitEvent) -> None:
    circuits.fold(state.supervised.circuits, event, state.now_ms)
    if event.circuit.startswith(circuits.AGENT):
        agent = state.agents.get(event.circuit.removeprefix(circuits.AGENT))
        if agent is not None and state.matching.room(agent.spec.id) is not None:
            refresh(state, agent)


@folds(s.CircuitCounted)
def _(state: SwarmState, event: s.CircuitCounted) -> None:
    _fold(state, event)


@folds(s.CircuitOpened)
def _(state: SwarmState, event: s.CircuitOpened) -> None:
    _fold(state, event)
    if state.teams.teams and event.circuit.startswith(circuits.AGENT):
        teams.circuit_opened(state, event.circuit.removeprefix(circuits.AGENT))


@folds(s.CircuitHalfOpened)
def _(state: SwarmState, event: s.CircuitHalfOpened) -> None:
    _fold(state, event)


@folds(s.CircuitClosed)
def _(state: SwarmState, event: s.CircuitClosed) -> None:
    _fold(state, event)
    answer(state, event.command, Answer(state.now_ms))


def forget_agent(state: SwarmState, agent: str) -> None:
    """It is gone, and its circuit with it."""
    state.supervised.circuits.pop(f"{circuits.AGENT}{agent}", None)
