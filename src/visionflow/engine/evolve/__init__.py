"""Evolve: fold one event into the state.

It copies what events decided and keeps the indexes in step; it makes no choice, computes no retry
time and rounds nothing. It owns the state and changes it in place.
"""

from visionflow.domain.events import AnyEvent, Record
from visionflow.engine.evolve import (
    adopting,
    assigning,
    auctions,
    balancing,
    circuits,
    debugging,
    detecting,
    fleet,
    mail,
    outside,
    pipelines,
    shape,
    tasks,
    teams,
    votes,
    waiting,
)
from visionflow.engine.evolve.table import TABLE
from visionflow.engine.state import SwarmState

__all__ = ["evolve", "fold", "open_record"]
_REGISTERED = (
    adopting.__name__,
    assigning.__name__,
    auctions.__name__,
    balancing.__name__,
    circuits.__name__,
    debugging.__name__,
    detecting.__name__,
    fleet.__name__,
    mail.__name__,
    outside.__name__,
    pipelines.__name__,
    shape.__name__,
    tasks.__name__,
    teams.__name__,
    votes.__name__,
    waiting.__name__,
)


def evolve(state: SwarmState, event: AnyEvent) -> None:
    """Fold one event. The time of its record must have been set by `open_record`.

    Raises:
        IllegalTransition: a lifecycle does not list the event.
    """
    TABLE[type(event)](state, event)


def open_record(state: SwarmState, at_ms: int) -> None:
    """The events that follow happened at this time."""
    state.now_ms = at_ms


def fold(state: SwarmState, record: Record) -> None:
    """Fold a whole record."""
    open_record(state, record.at_ms)
    for event in record.events:
        TABLE[type(event)](state, event)
