"""How a swarm keeps its agents at work: restarts, recovery by cause, recycling, circuits."""

from enum import StrEnum

import msgspec

from visionflow.domain.tasks import Payload


class RestartStrategy(StrEnum):
    """Who is started again when a worker dies by itself; the names are OTP's."""

    ONE_FOR_ONE = "one_for_one"
    """It alone."""
    ONE_FOR_ALL = "one_for_all"
    """All workers of the swarm."""
    REST_FOR_ONE = "rest_for_one"
    """It, and those that were started after it."""


class SupervisionSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Of a swarm: what follows from a death, and how many are borne."""

    strategy: RestartStrategy = RestartStrategy.ONE_FOR_ONE
    restarts_max: int | None = None
    """Deaths by themselves of all workers within the period, beyond which the swarm is degraded
    and a worker that dies is not started again; `None`: bounded by each worker's own alone."""
    period_ms: int = 60_000


class RecoverySpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Of an agent: what is done about each cause of a failure. Basis points are factors."""

    name: str = "default"
    """The strategy's name, as the log tells it."""
    timeout_factor_bp: int = 15_000
    """After a timeout the next attempt at the task has so much of the time before."""
    timeout_max_ms: int | None = None
    """What it grows to at most; `None`: ten times what the task was given at first."""
    memory_factor_bp: int = 15_000
    """After its ceiling was reached an agent comes back with so much of it."""
    memory_max_bytes: int | None = None
    """What that grows to at most, and never beyond what the machine has; `None`: four times what it
    had at first, or half of what the machine has, whichever is less."""
    restarts_max: int = 3
    """Of its worker within a minute, where it has one of its own."""
    backoff_ms: int = 1_000
    """The second restart in a minute waits this long, each further one twice as long."""
    mends_config: bool = False
    """Whether a fault in its configuration that its crash names is mended (the key goes)."""
    call: str | None = None
    """`module:function` of the user's that is asked first: see docs/supervision.md."""


class RecyclingSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Of an agent: when its process is replaced by a fresh one, once what it holds is done."""

    memory_bp: int | None = 9_000
    """At this share of its memory ceiling, where it has one."""
    tasks_max: int | None = None
    """After so many tasks."""
    age_ms: int | None = None
    """After so long."""


class Upkeep(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How an agent is kept at work."""

    recovery: RecoverySpec = RecoverySpec()
    recycling: RecyclingSpec = RecyclingSpec()


USUAL_UPKEEP = Upkeep()


class Advice(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a user's own strategy says is to be done about a failure; `None`: the usual."""

    restart: bool | None = None
    wait_ms: int | None = None
    """Until the next start, or the next attempt."""
    memory_bytes: int | None = None
    timeout_ms: int | None = None
    """Of the next attempts."""
    config: Payload | None = None
    """What the agent is built with from now on."""
    fault: str = ""
    """Why nothing of it holds."""


class CircuitStatus(StrEnum):
    """Where a circuit breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One call may try whether it works again."""


class Cause(StrEnum):
    """What a recovery answers to; the guide's words."""

    TIMEOUT = "timeout"
    CRASH = "crash"
    RESOURCES = "resource_exhaustion"
    NETWORK = "network_failure"
    DEADLOCK = "deadlock"
