"""The table of what decides each command."""

from collections.abc import Callable
from typing import TypeVar, cast

from visionflow.domain.commands import Command
from visionflow.domain.events import AnyEvent
from visionflow.engine.state import SwarmState

C = TypeVar("C", bound=Command)
Decide = Callable[[SwarmState, Command], list[AnyEvent]]
TABLE: dict[type[Command], Decide] = {}


def decides(kind: type[C]) -> Callable[[Callable[[SwarmState, C], list[AnyEvent]]], None]:
    """Register what decides this kind of command."""

    def register(function: Callable[[SwarmState, C], list[AnyEvent]]) -> None:
        TABLE[kind] = cast("Decide", function)

    return register
