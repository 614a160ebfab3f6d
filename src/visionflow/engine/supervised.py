"""What the state of a swarm knows of its supervision. Facts, like those of `state`."""

import msgspec

from visionflow.domain.supervision import CircuitStatus


class CircuitState(msgspec.Struct, gc=False):
    """A circuit breaker that has counted a failure, or more."""

    status: CircuitStatus = CircuitStatus.CLOSED
    failures: int = 0
    """In a row."""
    until_ms: int = 0
    """Of one that is open: when one call may try it."""
    probing_ms: int = 0
    """Of one that is half open: since when a call tries it; 0: none does."""
    reason: str = ""


class LockState(msgspec.Struct, gc=False):
    """A lock that somebody holds or waits for."""

    holder: tuple[str, int, int] | None = None
    """(task, attempt, number of its request)."""
    queue: list[tuple[str, int, int]] = []


class LifeState(msgspec.Struct, gc=False):
    """The process that a worker has now: what its age and its work are counted from."""

    joined_ms: int
    done: int
    """Attempts that its agents had ended when it joined."""


class Supervised(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while nothing of it has happened, and then no part of the digest."""

    suspects: dict[str, str] = {}
    """Workers that may be gone, with the evidence."""
    awaited: dict[str, int] = {}
    """Workers that live on from before a recovery and have not said hello, with until when."""
    secrets: dict[str, str] = {}
    """Of workers that may have to show it again: the hash of the secret of the process."""
    stalled: dict[str, int] = {}
    """Tasks whose attempt of this number makes no progress."""
    timeouts: dict[str, int] = {}
    """Tasks whose wall-clock limit has grown, with what it is in ms."""
    recycling: dict[str, str] = {}
    """Workers that are replaced once their agents hold nothing, with why."""
    restarting: dict[str, str] = {}
    """Workers whose process was told to end so that another takes its place, with why."""
    lives: dict[str, LifeState] = {}
    exhausted: dict[str, int] = {}
    """Workers whose process of this incarnation reached its memory ceiling with a task at work."""
    ceilings: dict[str, int] = {}
    """Agents whose memory ceiling was raised, with what it was at first, in bytes."""
    raised: dict[str, int] = {}
    """Workers that get another ceiling because the process of this incarnation reached it."""
    deaths: list[int] = []
    """When workers died by themselves within the supervision period."""
    degraded: str | None = None
    """Why something of the swarm does not come back by itself."""
    given_up: dict[str, None] = {}
    """Agents that do not, while it is degraded."""
    circuits: dict[str, CircuitState] = {}
    """By name: `agent:ID`, `provider:NAME`, `tool:NAME`."""
    locks: dict[str, LockState] = {}
    waits: dict[str, dict[str, None]] = {}
    """Tasks whose attempt waits for the end of these."""
    delegated: dict[str, str] = {}
    """Tasks that an agent has done by the swarm, with the task that it does so for."""
    recalling: dict[str, int] = {}
    """Tasks whose attempt of this number was asked back."""
    debugging: dict[str, int] = {}
    """Agents whose lines of level debug are kept, with until when in ms."""
    batches: dict[str, tuple[str, ...]] = {}
    """Agents that take several tasks of these types at once."""
    scaled: dict[str, int] = {}
    """Types of agents whose number was decided on, with when that was last, in ms."""
