"""Tasks: what is asked, how often it may be tried, and the words for where it stands."""

from enum import IntEnum, StrEnum

import msgspec


class TaskStatus(StrEnum):
    """Where a task stands. A task is in exactly one."""

    PENDING = "pending"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    BLOCKED = "blocked"
    ORCHESTRATING = "orchestrating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD_LETTER = "dead_letter"


TERMINAL = frozenset(
    {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.DEAD_LETTER}
)


class Priority(IntEnum):
    """The words for a priority; a lower number runs first, and any number between is allowed."""

    CRITICAL = 0
    HIGH = 10
    MEDIUM = 20
    LOW = 30


class Backoff(StrEnum):
    """How the wait between two attempts grows."""

    EXPONENTIAL = "exponential_backoff"
    LINEAR = "linear_backoff"
    NONE = "none"
    """No second attempt after a failure."""


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Attempts after failures; attempts lost to a dead worker do not count here."""

    backoff: Backoff = Backoff.EXPONENTIAL
    attempts_max: int = 3
    base_ms: int = 1_000
    wait_max_ms: int = 60_000
    jitter_bp: int = 2_000
    """Up to this share of the wait, in basis points, is added from the command's entropy."""


DEFAULT_RETRY = RetryPolicy()


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, array_like=True):
    """A value as MessagePack: `inline`, or by the hash of a blob, or neither for nothing at all."""

    inline: bytes | None = None
    blob: str | None = None


NOTHING = Payload()


class TaskSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What was asked for. Nothing in it changes after submission."""

    id: str
    type: str = "task"
    description: str = ""
    input: Payload = NOTHING
    config: Payload = NOTHING
    capabilities: tuple[str, ...] = ()
    """All of these, on one agent."""
    agent_type: str | None = None
    """Only agents of this type, where given."""
    agent: str | None = None
    """Only this agent, where given."""
    priority: int = Priority.MEDIUM
    timeout_ms: int | None = None
    """Wall-clock time of one attempt; `None` takes the swarm's."""
    deadline_ms: int | None = None
    """Milliseconds since the epoch by which the task must have ended."""
    retry: RetryPolicy = DEFAULT_RETRY
    parent: str | None = None
    phase: str | None = None
    depends_on: tuple[str, ...] = ()


class Phase(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Tasks of a plan that may start once the phase before has ended."""

    name: str
    tasks: tuple[TaskSpec, ...]
    sequential: bool = False
    """Whether its tasks run one after the other, in the order given."""
    uses: tuple[str, ...] = ()
    """Earlier phases whose results its tasks get, beside those of the phase just before. What has
    no result is left out."""
    width: int = 0
    """So many of its tasks may be under way at once; 0: all. They take their turns in the order
    given; one that waits for a retry or for another task keeps its turn."""


class FailureKind(StrEnum):
    """Why an attempt ended without a result."""

    ERROR = "error"
    """The agent's code raised."""
    TIMEOUT = "timeout"
    CRASH = "crash"
    """The worker process died by itself."""
    KILLED = "killed"
    """The worker process was killed by somebody else, or died with its orchestrator."""
    RESOURCES = "resource_exhaustion"
    LOST = "lost"
    """The attempt's lease ran out: its worker no longer knew of it."""
    AGENT_GONE = "agent_gone"
    PERMANENT = "permanent"
    """The agent says that no further attempt can help."""
    NETWORK = "network_failure"
    """Its worker lives and could not be reached for too long."""
    DEADLOCK = "deadlock"
    """It was the youngest of a ring of attempts that wait for each other."""
    RECALLED = "recalled"
    """It was given back before it began, so that another agent takes it; no failure."""
    THROTTLED = "throttled"
    """Somebody outside asks for patience: tried again when they said, and no failure."""
    IN_DOUBT = "in_doubt"
    """Whether an outside effect of it happened is for a person to say; no failure."""
    REASSIGNED = "reassigned"
    """It took too long, so another team was given its task; no failure."""


NO_FAILURES = (
    FailureKind.RECALLED,
    FailureKind.THROTTLED,
    FailureKind.IN_DOUBT,
    FailureKind.REASSIGNED,
)
"""Ends of attempts without a result that nobody failed at."""

WENT_AWAY = (
    FailureKind.KILLED,
    FailureKind.LOST,
    FailureKind.AGENT_GONE,
    FailureKind.NETWORK,
)
"""What took the worker from under an attempt, which says little against its task."""


def is_failure(kind: FailureKind, excused: bool) -> bool:
    """Whether an attempt that ended so failed. One whose process, or agent, supervision ended on
    purpose did not; one that failed of what supervision then mended did."""
    return kind not in NO_FAILURES and not (excused and kind in WENT_AWAY)
