"""Events of supervision: suspicions, adoptions, recoveries, circuits, waits and locks."""

from visionflow.domain.event import Event
from visionflow.domain.supervision import Cause


class WorkerSuspected(Event, frozen=True, tag="worker_suspected"):
    """It may be gone: its agents get nothing new until it is heard again or given up."""

    worker: str
    incarnation: int
    evidence: str


class WorkerTrusted(Event, frozen=True, tag="worker_trusted"):
    """One that was suspected answered."""

    worker: str
    incarnation: int
    evidence: str


class WorkerAdopted(Event, frozen=True, tag="worker_adopted"):
    """It lived through a restart of its orchestrator and said hello to the new one."""

    worker: str
    incarnation: int
    attempts: tuple[tuple[str, int], ...] = ()
    """(task, attempt) that it holds or has ended and not been acknowledged for."""


class WorkerRecycling(Event, frozen=True, tag="worker_recycling"):
    """Its agents get nothing new; once they hold nothing, its process is replaced."""

    worker: str
    incarnation: int
    reason: str
    command: str | None = None


class WorkerRestarting(Event, frozen=True, tag="worker_restarting"):
    """Its process is told to end, and another takes its place."""

    worker: str
    incarnation: int
    reason: str
    command: str | None = None


class AttemptStalled(Event, frozen=True, tag="attempt_stalled"):
    """It makes no progress, as far as can be told; it goes on."""

    task: str
    attempt: int
    evidence: str


class AttemptProgressed(Event, frozen=True, tag="attempt_progressed"):
    """One that seemed to make no progress made some."""

    task: str
    attempt: int
    evidence: str


class RecoveryChosen(Event, frozen=True, tag="recovery_chosen"):
    """What is done about a failure, by which strategy."""

    cause: Cause
    strategy: str
    action: str
    agent: str | None = None
    worker: str | None = None
    task: str | None = None


class CeilingRaised(Event, frozen=True, tag="ceiling_raised"):
    """The agent's process will have another memory ceiling."""

    agent: str
    memory_bytes: int
    before_bytes: int
    worker: str = ""
    incarnation: int = 0
    """Of the process that reached the ceiling of before."""


class SwarmDegraded(Event, frozen=True, tag="swarm_degraded"):
    """More died than its supervision bears: something of it does not come back by itself."""

    reason: str
    agents: tuple[str, ...] = ()
    """Those that do not, since this."""


class SwarmRestored(Event, frozen=True, tag="swarm_restored"):
    """It is whole again."""

    reason: str


class CircuitCounted(Event, frozen=True, tag="circuit_counted"):
    """So many calls in a row have failed; 0: one succeeded."""

    circuit: str
    failures: int


class CircuitOpened(Event, frozen=True, tag="circuit_opened"):
    """Nothing more is tried with it until then."""

    circuit: str
    until_ms: int
    failures: int
    reason: str


class CircuitHalfOpened(Event, frozen=True, tag="circuit_half_opened"):
    """One call may try it."""

    circuit: str
    probing: bool = False
    """That call is under way."""


class CircuitClosed(Event, frozen=True, tag="circuit_closed"):
    """It works again, or somebody closed it."""

    circuit: str
    command: str | None = None
    reason: str = ""
    """Why somebody did; empty: it works again."""


class AttemptRecalling(Event, frozen=True, tag="attempt_recalling"):
    """Its agent was asked to give it back unless it has begun."""

    task: str
    attempt: int
    reason: str


class LockQueued(Event, frozen=True, tag="lock_queued"):
    """An attempt waits for a lock that another holds."""

    lock: str
    task: str
    attempt: int
    number: int = 0
    """Which of the attempt's requests."""


class LockGranted(Event, frozen=True, tag="lock_granted"):
    """An attempt holds a lock, until it gives it back or ends."""

    lock: str
    task: str
    attempt: int
    number: int = 0
    """Which of the attempt's requests."""


class LockReleased(Event, frozen=True, tag="lock_released"):
    """It gave it back."""

    lock: str
    task: str
    attempt: int
    number: int = 0
    """Which of the attempt's requests."""


class WaitBegan(Event, frozen=True, tag="wait_began"):
    """An attempt waits for the end of another task."""

    task: str
    attempt: int
    on: str


class WaitEnded(Event, frozen=True, tag="wait_ended"):
    """It does so no more."""

    task: str
    attempt: int
    on: str


class DeadlockFound(Event, frozen=True, tag="deadlock_found"):
    """Tasks wait for each other in a ring; the youngest attempt is ended."""

    ring: tuple[str, ...]
    """Task by task, each waiting for the next, the last for the first."""
    waits: tuple[str, ...]
    """What each waits for, in words."""
    broken: str
    """The task whose attempt is ended."""


class DebugEnabled(Event, frozen=True, tag="debug_enabled"):
    """Lines of level debug of this agent are kept until then."""

    agent: str
    until_ms: int
    command: str | None = None


class BatchesLearned(Event, frozen=True, tag="batches_learned"):
    """Its worker says of which types of tasks an agent takes several at once, as of this version
    of it. None any more: it is empty."""

    agent: str
    types: tuple[str, ...]


class ScaleDecided(Event, frozen=True, tag="scale_decided"):
    """There shall be more or fewer agents of a type, by how long tasks wait and how busy its
    agents are."""

    agent_type: str
    before: int
    after: int
    evidence: str


SupervisionEvent = (
    WorkerSuspected
    | WorkerTrusted
    | WorkerAdopted
    | WorkerRecycling
    | WorkerRestarting
    | AttemptStalled
    | AttemptProgressed
    | RecoveryChosen
    | CeilingRaised
    | SwarmDegraded
    | SwarmRestored
    | CircuitCounted
    | CircuitOpened
    | CircuitHalfOpened
    | CircuitClosed
    | AttemptRecalling
    | LockQueued
    | LockGranted
    | LockReleased
    | WaitBegan
    | WaitEnded
    | DeadlockFound
    | DebugEnabled
    | BatchesLearned
    | ScaleDecided
)
