"""Events of teams: who sits where, which team gets what, and what was escalated."""

from visionflow.domain.event import Event
from visionflow.domain.teams import SPAN, Fit, TeamSpec


class ManagerNamed(Event, frozen=True, tag="manager_named"):
    """This agent is the manager of the hierarchy from now on."""

    agent: str | None
    """`None`: nobody is left."""
    before: str | None = None
    reason: str = ""
    span: int = SPAN
    """So many teams there may be."""
    command: str | None = None


class TeamFormed(Event, frozen=True, tag="team_formed"):
    """A team exists."""

    team: TeamSpec
    command: str | None = None


class TeamJoined(Event, frozen=True, tag="team_joined"):
    """An agent reports to the lead of a team from now on."""

    team: str
    agent: str
    reason: str = ""
    command: str | None = None


class LeadReplaced(Event, frozen=True, tag="lead_replaced"):
    """A member takes the seat of a team's lead; what is meant for that seat is its own now."""

    team: str
    before: str | None
    after: str | None
    """`None`: nobody of the team is left."""
    reason: str
    completed: int = 0
    """By its record: tasks that it completed."""
    failed: int = 0
    """And attempts of it that failed."""


class TaskDelegated(Event, frozen=True, tag="task_delegated"):
    """The manager gives a task to a team, whose members alone it is matched to from now on."""

    task: str
    by: str
    """The manager."""
    team: str
    """Empty: nobody in a team can do it, so it stays with the manager, for whoever can."""
    fits: tuple[Fit, ...] = ()
    """The teams that were able to do it, the best first."""
    reason: str = ""
    """Why another team than before, where it had one."""


class Escalated(Event, frozen=True, tag="escalated"):
    """Something of a team came before the manager, with figures, and what the manager does."""

    team: str
    cause: str
    """`success`, `overdue` or `utilisation`."""
    evidence: str
    action: str
    task: str | None = None
    agent: str | None = None


TeamsEvent = ManagerNamed | TeamFormed | TeamJoined | LeadReplaced | TaskDelegated | Escalated
