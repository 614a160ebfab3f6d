"""What the state of a swarm knows of its teams. Facts, like those of `state`, and their index."""

import msgspec

from visionflow.domain.teams import SPAN, Estimate


class TeamState(msgspec.Struct, gc=False, omit_defaults=True):
    """A team, whoever of it is left."""

    lead: str | None = None
    """`None`: nobody is left to lead it."""
    members: dict[str, None] = {}
    """Those that report to the lead."""
    domain: str = ""
    capabilities: tuple[str, ...] = ()
    span: int = SPAN
    escalated: str = ""
    """What came before the manager last."""
    recent: list[bool] = []
    """Whether each of its last attempts completed, oldest first."""


class Teams(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while there are none, and then no part of the digest."""

    manager: str | None = None
    span: int = SPAN
    """So many leads may report to the manager."""
    teams: dict[str, TeamState] = {}
    delegated: dict[str, str] = {}
    """Tasks that have not ended, with the team that has each; empty: the manager kept it."""
    estimates: dict[str, Estimate] = {}
    """By type of task, since there are teams."""
    escalated: dict[str, None] = {}
    """Tasks that have not ended and came before the manager."""


class Seating:
    """An index: who is in which team, and what the manager has yet to give to a team."""

    def __init__(self) -> None:
        self.team_of: dict[str, str] = {}
        """Of each lead and member: its team."""
        self.loads: dict[str, int] = {}
        """Of each team, how many tasks it has that have not ended: those that it was given, and
        those that ask for one of its seats."""
        self.vacant: dict[str, None] = {}
        """Teams whose lead is gone for good, or that have none and somebody who could be it."""
        self.headless = False
        """There are teams, and their manager is gone for good."""
        self.led: dict[str, dict[str, None]] = {}
        """By the word of a seat: queued tasks by which who sits there leads."""
        self.due: dict[str, None] = {}
        """Queued tasks for which the manager has yet to choose a team."""
