"""Commands of teams."""

from visionflow.domain.command import Command
from visionflow.domain.teams import SPAN, TeamSpec


class PutInCharge(Command, frozen=True, tag="put_in_charge"):
    """Make an agent the manager of the hierarchy."""

    agent: str
    span: int = SPAN
    """So many leads may report to it."""


class FormTeam(Command, frozen=True, tag="form_team"):
    """Form a team of agents that are in none."""

    team: TeamSpec


class JoinTeam(Command, frozen=True, tag="join_team"):
    """Have an agent that is in no team report to the lead of one."""

    team: str
    agent: str
    reason: str = ""


class ReportUtilisation(Command, frozen=True, tag="report_utilisation"):
    """The places of a team have been taken for so long that it wants more workers."""

    team: str
    busy: int
    places: int
    for_ms: int
    action: str
    """What is done about it."""


TeamsCommand = PutInCharge | FormTeam | JoinTeam | ReportUtilisation
