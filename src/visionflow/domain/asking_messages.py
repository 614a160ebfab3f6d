"""Messages of what attempts ask of their swarm, and its answers; see `messages`."""

from visionflow.domain.message import Message
from visionflow.domain.tasks import NOTHING, Payload, TaskSpec
from visionflow.domain.teams import TeamView


class LockAnswer(Message, frozen=True, tag=11):
    """The attempt holds the lock, or will not: it is stale."""

    task: str
    attempt: int
    lock: str
    number: int
    granted: bool
    code: str = ""
    """Why not: `stale_attempt`, or that of a refusal."""
    reason: str = ""


class WaitAnswer(Message, frozen=True, tag=12):
    """The task that the attempt waits for has ended, with this result or for this reason."""

    task: str
    attempt: int
    on: str
    status: str
    result: Payload = NOTHING
    reason: str = ""
    code: str = ""
    """Why it is not waited for; then there is no status."""


class CircuitAnswer(Message, frozen=True, tag=13):
    """Whether what stands behind a circuit may be called now, or when."""

    task: str
    attempt: int
    number: int
    allowed: bool
    retry_after_ms: int = 0
    reason: str = ""


class DelegateAnswer(Message, frozen=True, tag=16):
    """The task that an attempt delegated is in the log, or why it is not."""

    task: str
    attempt: int
    delegated: str
    code: str = ""
    reason: str = ""


class LockAsked(Message, frozen=True, tag=31):
    """An attempt wants a lock of the swarm; answered by a LockAnswer."""

    task: str
    attempt: int
    lock: str
    number: int


class LockDropped(Message, frozen=True, tag=32):
    """It gives it back, or waits for it no more."""

    task: str
    attempt: int
    lock: str
    number: int


class WaitAsked(Message, frozen=True, tag=33):
    """An attempt waits for the end of a task; answered by a WaitAnswer."""

    task: str
    attempt: int
    on: str


class WaitDropped(Message, frozen=True, tag=34):
    """It waits no more."""

    task: str
    attempt: int
    on: str


class Delegated(Message, frozen=True, tag=35):
    """An attempt has a task of its own making done by the swarm. Repeating it changes nothing."""

    task: str
    attempt: int
    spec: TaskSpec


class CircuitAsked(Message, frozen=True, tag=36):
    """May what stands behind this circuit be called? Answered by a CircuitAnswer."""

    task: str
    attempt: int
    number: int
    circuit: str


class Outcome(Message, frozen=True, tag=37):
    """How a call of it went."""

    circuit: str
    succeeded: bool | None
    reason: str = ""


class TeamAsked(Message, frozen=True, tag=70):
    """An attempt asks for the team that its agent is in; answered by a TeamAnswer."""

    task: str
    attempt: int
    number: int


class TeamAnswer(Message, frozen=True, tag=71):
    """The team, as it is now; none: its name is empty."""

    task: str
    attempt: int
    number: int
    team: TeamView = TeamView()
