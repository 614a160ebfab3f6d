"""A seat in a hierarchy, as somebody asks for it with an agent, and the command that gives it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from visionflow.domain import teams_commands as tc
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import UsageError
from visionflow.domain.teams import SPAN, SPAN_MAX, TeamSpec

HIERARCHY = "hierarchy"
"""The setting of an agent that says where it sits."""


class Seat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where somebody is to sit."""

    rank: Literal["manager", "lead", "worker"]
    team: str = ""
    domain: str = ""
    capabilities: tuple[str, ...] = ()
    """Of a lead's team: the words of its domain."""
    span: int = SPAN
    """Of the manager or a lead: so many report to them at most."""

    @property
    def told(self) -> dict[str, Any]:
        """As a setting says it."""
        return msgspec.to_builtins(msgspec.structs.replace(self, span=SPAN))

    def command(self, agent: str, now_ms: int, command: str | None = None) -> AnyCommand:
        """What gives an agent this seat."""
        if self.rank == "manager":
            return tc.PutInCharge(now_ms=now_ms, command=command, agent=agent, span=self.span)
        if self.rank == "lead":
            team = TeamSpec(self.team, agent, (), self.domain, self.capabilities, self.span)
            return tc.FormTeam(now_ms=now_ms, command=command, team=team)
        return tc.JoinTeam(now_ms=now_ms, command=command, team=self.team, agent=agent)


def span_in(config: Mapping[str, Any]) -> int:
    """How many may report to a manager or a lead with these settings: `max_workers`.

    Raises:
        UsageError: it is no whole number from 1 to `SPAN_MAX`.
    """
    found = config.get("max_workers", SPAN)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= SPAN_MAX:
        raise UsageError(f"max_workers is {found!r}; it is a whole number from 1 to {SPAN_MAX}.")
    return found


def seat_in(config: Mapping[str, Any]) -> Seat | None:
    """The seat that these settings ask for; `None`: none.

    Raises:
        UsageError: it is no seat; the message says what one is.
    """
    said = config.get(HIERARCHY)
    if said is None:
        return None
    try:
        seat = msgspec.convert(said, Seat)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"config.{HIERARCHY} cannot be used: {error}.",
            hint='Write {"rank": "lead", "team": "tests"}; rank is manager, lead or worker, and a '
            "lead's team may have a domain and capabilities.",
        ) from error
    if seat.rank != "manager" and not seat.team:
        raise UsageError(f"config.{HIERARCHY} names no team for this {seat.rank}.")
    return msgspec.structs.replace(seat, span=span_in(config))
