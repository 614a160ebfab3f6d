"""Commands of supervision."""

from visionflow.domain.command import Command
from visionflow.domain.tasks import TaskSpec


class ReportSuspicion(Command, frozen=True, tag="report_suspicion"):
    """The detector has come to suspect a worker."""

    worker: str
    incarnation: int
    evidence: str


class ReportTrust(Command, frozen=True, tag="report_trust"):
    """A worker that was suspected has been heard."""

    worker: str
    incarnation: int
    evidence: str


class ReportWorkerAdopted(Command, frozen=True, tag="report_worker_adopted"):
    """A worker of before the recovery said hello. `attempts`: (task, attempt) that it holds, or
    has ended without being acknowledged for."""

    worker: str
    incarnation: int
    attempts: tuple[tuple[str, int], ...] = ()


class ReportStall(Command, frozen=True, tag="report_stall"):
    """An attempt seems to make no progress."""

    task: str
    attempt: int
    evidence: str


class ReportProgress(Command, frozen=True, tag="report_progress"):
    """An attempt that seemed to make no progress made some."""

    task: str
    attempt: int
    evidence: str


class RestartAgent(Command, frozen=True, tag="restart_agent"):
    """Build an agent anew under its id, in a fresh process where it has one of its own.

    `drain`: what it holds is done first; else that is given out again.
    """

    agent: str
    drain: bool = False
    reason: str = "restarted on request"


class RecycleWorker(Command, frozen=True, tag="recycle_worker"):
    """Replace a worker's process once its agents hold nothing."""

    worker: str
    incarnation: int
    reason: str


class ReportOutcome(Command, frozen=True, tag="report_outcome"):
    """A call of something that has a circuit succeeded or failed."""

    circuit: str
    succeeded: bool | None
    """`None`: it ended without telling whether what was called works."""
    reason: str = ""


class TryCircuit(Command, frozen=True, tag="try_circuit"):
    """May it be called? Refused with `circuit_open` and how long to wait while it may not."""

    circuit: str


class ResetCircuit(Command, frozen=True, tag="reset_circuit"):
    """Close a circuit, whatever stands against it."""

    circuit: str


class RecallAttempt(Command, frozen=True, tag="recall_attempt"):
    """Have an attempt given back unless it has begun; its task is queued again."""

    task: str
    attempt: int
    reason: str


class AcquireLock(Command, frozen=True, tag="acquire_lock"):
    """An attempt wants a lock of the swarm."""

    lock: str
    task: str
    attempt: int
    number: int = 0
    """Which of the attempt's requests this is; it is quoted when the lock is given back."""
    entropy: int = 0


class ReleaseLock(Command, frozen=True, tag="release_lock"):
    """An attempt gives a lock back, or waits for it no more."""

    lock: str
    task: str
    attempt: int
    number: int = 0
    """As in the request; another one is not given back by it."""


class BeginWait(Command, frozen=True, tag="begin_wait"):
    """An attempt waits for the end of a task."""

    task: str
    attempt: int
    on: str
    entropy: int = 0


class EndWait(Command, frozen=True, tag="end_wait"):
    """It waits no more."""

    task: str
    attempt: int
    on: str


class DelegateTask(Command, frozen=True, tag="delegate_task"):
    """An attempt has a task of its own making done by the swarm; again it changes nothing."""

    task: str
    attempt: int
    spec: TaskSpec


class EnableDebug(Command, frozen=True, tag="enable_debug"):
    """Keep an agent's lines of level debug until then."""

    agent: str
    until_ms: int


class ReportBatches(Command, frozen=True, tag="report_batches"):
    """A worker says of which types of tasks an agent takes several at once."""

    agent: str
    worker: str
    incarnation: int
    types: tuple[str, ...]


class RecordScale(Command, frozen=True, tag="record_scale"):
    """The autoscaler has decided how many agents of a type there shall be."""

    agent_type: str
    before: int
    after: int
    evidence: str


SupervisionCommand = (
    ReportSuspicion
    | ReportTrust
    | ReportWorkerAdopted
    | ReportStall
    | ReportProgress
    | RestartAgent
    | RecycleWorker
    | ReportOutcome
    | TryCircuit
    | DelegateTask
    | ResetCircuit
    | RecallAttempt
    | AcquireLock
    | ReleaseLock
    | BeginWait
    | EndWait
    | EnableDebug
    | ReportBatches
    | RecordScale
)
