"""The doctor: looks at the machine, at what is kept, and at the server, and says what to do.

It changes nothing. Each finding names the command that mends it, where one does.
"""

from collections.abc import Iterable

from visionflow.compose.doctor.keeping import keeping_checks
from visionflow.compose.doctor.machine import machine_checks
from visionflow.compose.doctor.service import Connect, service_checks
from visionflow.compose.doctor.values import (
    Check,
    Checked,
    Examined,
    Finding,
    Level,
    Place,
    Seen,
    Skipped,
)
from visionflow.domain.errors import VisionFlowError

__all__ = [
    "Check",
    "Checked",
    "Examined",
    "Finding",
    "Level",
    "Place",
    "Seen",
    "Skipped",
    "all_checks",
    "examine",
]


def all_checks(connect: Connect) -> tuple[Check, ...]:
    """Every check. `connect` makes a client of the server; nothing is dialled before one asks."""
    return (*machine_checks(), *keeping_checks(), *service_checks(connect))


def examine(place: Place, checks: Iterable[Check]) -> Examined:
    """Make these checks. One that fails itself is told of as not made, and the others go on."""
    return Examined(checks=tuple(_made(place, each) for each in checks))


def _made(place: Place, check: Check) -> Checked:
    try:
        seen = check.look(place)
    except (OSError, VisionFlowError) as error:
        seen = Skipped(f"it could not be looked at: {error}")
    if isinstance(seen, Skipped):
        return Checked(check=check.id, title=check.title, told=seen.why, made=False)
    return Checked(
        check=check.id, title=check.title, told=seen.told, made=True, findings=seen.findings
    )
