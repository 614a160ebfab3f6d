"""The table of what decides each command."""

from collections.abc import Callable
from typing import TypeVar, cast

from visionflow.domain.commands import Command
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.engine.state import SwarmState

C = TypeVar("C", bound=Command)
Decide = Callable[[SwarmState, Command], list[AnyEvent]]
TABLE: dict[type[Command], Decide] = {}


class RefusedOnRecord(Refused):
    """A refusal for which the log has an event of its own."""

    def __init__(self, event: AnyEvent, code: str, message: str) -> None:
        super().__init__(message, code=code)
        self.event = event


def decides(kind: type[C]) -> Callable[[Callable[[SwarmState, C], list[AnyEvent]]], None]:
    """Register what decides this kind of command."""

    def register(function: Callable[[SwarmState, C], list[AnyEvent]]) -> None:
        TABLE[kind] = cast("Decide", function)

    return register
