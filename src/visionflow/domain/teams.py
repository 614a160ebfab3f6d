"""Teams of a hierarchical swarm: a manager, team leads, and the members that report to them.

Where somebody sits is a word that the matching index knows, so work is meant for a seat and not
for whoever sits there now.
"""

import msgspec

from visionflow.domain.tasks import FailureKind

TEAM_PREFIX = "team:"
LEAD_PREFIX = "lead:"
MANAGER = "rank:manager"
"""What only the manager offers."""
LEADS = "rank:lead"
"""Asked for: the lead of the team that the manager chooses, as one that has members for all else
that is asked for. Nobody offers it."""
LEADING = "hierarchy."
"""What types of tasks begin with by which leads and manager lead. They hand out, wait and judge, so
they take no place of those that an agent works in."""
DELEGATE, LEAD = "hierarchy.delegate", "hierarchy.lead"
ASSIGN, ACCEPT = "hierarchy.assign", "hierarchy.accept"
DISTRIBUTE = "hierarchy.distribute"
AGGREGATE, REVIEW = "hierarchy.aggregate", "hierarchy.review"
LEADING_MAX = 64
"""Of those an agent has at one time; with more they take places like any other."""
SPAN = 10
"""Agents that report to one lead at most, where nobody says otherwise; the guide's number."""
SPAN_MAX = 256
TEAMS_MAX = 64
SUCCESS_BP = 7_000
"""A team under this share of success escalates."""
WINDOW = 20
"""Attempts that a team's success is counted over."""
COUNTED = (
    FailureKind.ERROR,
    FailureKind.TIMEOUT,
    FailureKind.CRASH,
    FailureKind.RESOURCES,
    FailureKind.PERMANENT,
)
"""Ends of attempts that count against a team. What somebody else did to it does not."""
ATTEMPTS_MIN = 10
"""With fewer attempts in it the window says nothing."""
OVERDUE_FACTOR = 2
"""A task that takes so many times its estimate escalates."""
OVERDUE_MS_MIN = 10_000
"""A shorter one never does: what is ended on the way is done anew."""
LIKE_MIN = 3
"""Completed tasks of a type that an estimate rests on."""
TYPES_MAX = 256
"""Types of tasks whose durations are known at one time."""
BUSY_BP = 9_000
"""At this share of its places a team wants more workers,"""
BUSY_MS = 10_000
"""where it has been so busy for this long with tasks waiting."""
COOL_DOWN_MS = 60_000
"""Between two times that this is told of a team."""


def is_leading(task_type: str) -> bool:
    """Whether this is one of the types by which leads and manager lead."""
    return task_type.startswith(LEADING)


def team_word(team: str) -> str:
    """What everybody in a team offers, its lead included."""
    return f"{TEAM_PREFIX}{team}"


def lead_word(team: str) -> str:
    """What only its lead offers."""
    return f"{LEAD_PREFIX}{team}"


class TeamSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A team as it was formed."""

    name: str
    lead: str
    """The agent that leads it."""
    members: tuple[str, ...] = ()
    """Those that report to the lead."""
    domain: str = ""
    """What it is for, in a word."""
    capabilities: tuple[str, ...] = ()
    """Words of its domain: tasks that ask for them go to it rather than to others."""
    span: int = SPAN
    """So many may report to its lead."""


class Fit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How a team suits a task, in figures; the manager's choice rests on them."""

    team: str
    score_bp: int
    domain_bp: int
    """Share of what the task asks for that is of its domain."""
    able: int
    """How many in it have all that the task asks for and are not held by an open circuit."""
    places: int
    """So many tasks those can work on at once."""
    waiting: int
    """Tasks that the team has and has not ended."""
    success_bp: int | None = None
    """Over its last attempts; `None`: there are none yet."""


class Seated(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Somebody in a team, as its lead sees them."""

    agent: str
    type: str
    capabilities: tuple[str, ...] = ()
    tasks_max: int = 1
    open: int = 0
    completed: int = 0
    failed: int = 0


class TeamView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A team, as its lead sees it."""

    name: str = ""
    lead: str | None = None
    members: tuple[Seated, ...] = ()
    """Those that stay, without the lead."""


class Estimate(msgspec.Struct, gc=False):
    """How long tasks of a type take: a moving mean over those that completed."""

    count: int = 0
    mean_us: int = 0
