"""Events: what happened, in the past tense, as tagged maps.

The log holds nothing else. Fields are only ever added, with defaults. An event carries every
decision that was taken (a retry time, an attempt's number, a verdict), so that folding it needs
no rule and an old log folds the same under new rules. Times are milliseconds since the epoch.
"""

import msgspec

from visionflow.domain.agents import AgentSpec
from visionflow.domain.assigning_events import AssigningEvent
from visionflow.domain.event import Event
from visionflow.domain.mail_events import MailEvent
from visionflow.domain.mesh_events import MeshEvent
from visionflow.domain.outside_events import OutsideEvent
from visionflow.domain.pipelines_events import PipelineEvent
from visionflow.domain.shape_events import ShapeEvent
from visionflow.domain.supervision_events import SupervisionEvent
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import NOTHING, FailureKind, Payload, TaskSpec
from visionflow.domain.teams_events import TeamsEvent
from visionflow.domain.votes import Choice, VoteSpec
from visionflow.domain.votes_events import VoteDecided as VoteDecided
from visionflow.domain.votes_events import VotesEvent


class SwarmCreated(Event, frozen=True, tag="swarm_created"):
    """The first event of a log."""

    spec: SwarmSpec
    command: str | None = None


class SwarmClosed(Event, frozen=True, tag="swarm_closed"):
    """No more is accepted; what runs is being ended."""

    reason: str
    command: str | None = None


class LimitsChanged(Event, frozen=True, tag="limits_changed"):
    """From now on the swarm may have so many agents."""

    agents_max: int
    command: str | None = None


class Recovered(Event, frozen=True, tag="recovered"):
    """An orchestrator took up this log again; every attempt that was open is fenced."""

    boot: int
    kept: tuple[str, ...] = ()
    """Workers that live on with what is open in them; until `kept_until_ms` they may say hello."""
    kept_until_ms: int = 0


class TimeSkipped(Event, frozen=True, tag="time_skipped"):
    """The machine or this process stood still: no open attempt is blamed for that time."""

    gap_ms: int
    until_ms: int = 0


class WorkerStarted(Event, frozen=True, tag="worker_started"):
    """A process exists. Recorded before it is given anything, so that a recovery can end it."""

    worker: str
    incarnation: int
    pid: int
    started: str
    """What tells this process from a later one with the same pid (the kernel's start time)."""
    secret_hash: str = ""
    """SHA-256 of the secret it was given, where it may have to show it to a later orchestrator."""


class WorkerJoined(Event, frozen=True, tag="worker_joined"):
    """The process said hello with the secret it was given."""

    worker: str
    incarnation: int


class WorkerLost(Event, frozen=True, tag="worker_lost"):
    """The process is gone, or is treated as gone whatever it does from now on."""

    worker: str
    incarnation: int
    kind: FailureKind
    reason: str
    restart_at_ms: int | None = None
    """When the next process may start; `None`: not any more."""
    busy: bool = False
    """Attempts were open in it: they are judged by its end, and it is not."""
    probes: tuple[tuple[str, bool], ...] = ()
    """Of one that was given up: each probe by name, and whether it was answered."""
    judged: FailureKind | None = None
    """What it counts as for restart intensities, where that is another kind."""


WITH_ORCHESTRATOR = "its orchestrator was stopped"
"""Why a process ended that goes on when the orchestrator is started again."""


class WorkerStopped(Event, frozen=True, tag="worker_stopped"):
    """The process ended because it was told to."""

    worker: str
    incarnation: int
    reason: str = ""
    """Why; empty: nothing needs it."""


class AgentSpawned(Event, frozen=True, tag="agent_spawned"):
    """An agent exists and is placed on a worker."""

    spec: AgentSpec
    worker: str
    command: str | None = None


class AgentInitialising(Event, frozen=True, tag="agent_initialising"):
    """Its worker was told to build it."""

    agent: str


class AgentReady(Event, frozen=True, tag="agent_ready"):
    """Its worker built it; it takes tasks."""

    agent: str


class AgentErrored(Event, frozen=True, tag="agent_errored"):
    """It cannot go on: its worker died, or building it failed."""

    agent: str
    kind: FailureKind
    reason: str


class AgentRecovering(Event, frozen=True, tag="agent_recovering"):
    """It will be built again, under the same id."""

    agent: str
    command: str | None = None


class AgentFailed(Event, frozen=True, tag="agent_failed"):
    """It will not be built again."""

    agent: str
    reason: str


class AgentUpdated(Event, frozen=True, tag="agent_updated"):
    """It is something else now, as far as its spec says; its worker has yet to build that."""

    spec: AgentSpec
    revision: int
    """Which version of it this is."""
    moves: bool = False
    """It needs a process of its own with another memory ceiling, and moves once it is idle."""
    reason: str = ""
    """Why, where nobody asked for another configuration: a restart, a fault that was mended."""
    command: str | None = None

    @property
    def agent(self) -> str:
        """Whose."""
        return self.spec.id


class AgentRebuilt(Event, frozen=True, tag="agent_rebuilt"):
    """Its worker has built the version that holds now; it takes tasks again."""

    agent: str
    revision: int


class AgentMoved(Event, frozen=True, tag="agent_moved"):
    """It is on another worker now, which will build it; the one before is to end it."""

    agent: str
    worker: str


class AgentDeparted(Event, frozen=True, tag="agent_departed"):
    """The worker that it was on before has ended it."""

    agent: str
    worker: str


class AgentDraining(Event, frozen=True, tag="agent_draining"):
    """It gets no more tasks, and ends once it holds none."""

    agent: str
    command: str | None = None


class AgentTerminating(Event, frozen=True, tag="agent_terminating"):
    """It takes no more tasks and ends."""

    agent: str
    command: str | None = None


class AgentTerminated(Event, frozen=True, tag="agent_terminated"):
    """It is gone."""

    agent: str


class TaskSubmitted(Event, frozen=True, tag="task_submitted"):
    """A task was accepted. It waits (`pending`) when it depends on others, else it is queued."""

    spec: TaskSpec
    waits: bool = False
    delegated_by: str | None = None
    """The task whose agent has it done; its result is kept while that one has not ended."""
    command: str | None = None


class PlanSubmitted(Event, frozen=True, tag="plan_submitted"):
    """A root task whose parts follow as tasks of their own in the same record."""

    spec: TaskSpec
    phases: tuple[tuple[str, tuple[str, ...], bool], ...]
    """Of each phase, in order: its name, its tasks, and whether those run one by one."""
    uses: dict[str, tuple[int, ...]] = {}  # noqa: RUF012 - a Struct's, made anew for each
    """Of a phase, the places of earlier ones whose results its tasks get."""
    widths: dict[str, int] = {}  # noqa: RUF012
    """Of a phase, how many of its tasks may be under way at once, where that is bounded."""
    stages: dict[str, tuple[int, ...]] = {}  # noqa: RUF012
    """Of a phase with several stages: how many of its tasks are of each, one after the other."""
    failure_threshold_bp: int = 0
    command: str | None = None
    consensus: VoteSpec | None = None
    """How the swarm votes on its result before it completes; `None`: there is no vote."""


class TaskQueued(Event, frozen=True, tag="task_queued"):
    """What it waited for has come."""

    task: str
    command: str | None = None


class TaskBlocked(Event, frozen=True, tag="task_blocked"):
    """It waits for a person, a budget or a backend; `missing` says which."""

    task: str
    missing: str
    command: str | None = None


class PlanUnblocked(Event, frozen=True, tag="plan_unblocked"):
    """A plan that was blocked is under way (again)."""

    task: str
    command: str | None = None


class TaskAssigned(Event, frozen=True, tag="task_assigned"):
    """Attempt number `attempt` is given to an agent; results must quote it."""

    task: str
    attempt: int
    agent: str
    score_bp: int = 0
    """The match score of 0 to 10,000."""
    by: str | None = None
    """In whose name: a star's centre, a manager, a team's lead; `None`: nobody's in particular."""


class TaskStarted(Event, frozen=True, tag="task_started"):
    """The agent began. Tasks shorter than a moment complete without this."""

    task: str
    attempt: int


class StepFinished(Event, frozen=True, tag="step_finished"):
    """A step of a task is done and will not run again under this key."""

    task: str
    attempt: int
    key: str
    name: str
    value: Payload = NOTHING
    tree: str | None = None
    """The git tree of the workspace after it, where it changed the workspace."""


class TaskCompleted(Event, frozen=True, tag="task_completed"):
    """The one and only completion."""

    task: str
    attempt: int
    result: Payload = NOTHING
    duration_us: int = 0
    failed_parts: tuple[str, ...] = ()
    """Of a plan: the tasks without which it completed."""


class AttemptFailed(Event, frozen=True, tag="attempt_failed"):
    """An attempt ended without a result. Without `retry_at_ms` a terminal event follows."""

    task: str
    attempt: int
    kind: FailureKind
    reason: str
    retry_at_ms: int | None = None
    timeout_ms: int | None = None
    """The wall-clock limit of the next attempts, where this one changes it."""
    excused: bool = False
    """Supervision ended it, or mended what it failed of: it counts against nothing."""


class TaskFailed(Event, frozen=True, tag="task_failed"):
    """It ended without a result."""

    task: str
    reason: str
    kind: FailureKind | None = None


class TaskDeadLettered(Event, frozen=True, tag="task_dead_lettered"):
    """Every attempt that it was allowed failed; it is kept aside with its reason."""

    task: str
    reason: str
    kind: FailureKind


class TaskCancelling(Event, frozen=True, tag="task_cancelling"):
    """Its attempt was told to stop."""

    task: str
    reason: str
    command: str | None = None


class TaskCancelled(Event, frozen=True, tag="task_cancelled"):
    """It ended because somebody asked for that."""

    task: str
    reason: str
    command: str | None = None


class LateResultRefused(Event, frozen=True, tag="late_result_refused"):
    """A result came for an attempt that is no longer the current one."""

    task: str
    attempt: int
    current: int


class VoteOpened(Event, frozen=True, tag="vote_opened"):
    """A question was put to an electorate."""

    spec: VoteSpec
    command: str | None = None
    tasks: tuple[str, ...] = ()
    """The tasks by which the members are asked for their ballots, in the order of the electorate.
    They follow in the same record."""


class BallotCast(Event, frozen=True, tag="ballot_cast"):
    """A member's one ballot. It is never changed or taken back."""

    vote: str
    member: str
    choice: Choice
    evidence: str
    reason: str = ""
    facts: Payload = NOTHING
    command: str | None = None
    ranking: tuple[str, ...] = ()


class BallotRefused(Event, frozen=True, tag="ballot_refused"):
    """A ballot that does not count: of a stranger, a second one, or one that came late."""

    vote: str
    member: str
    choice: Choice
    code: str
    message: str
    command: str | None = None


class CommandRefused(Event, frozen=True, tag="command_refused"):
    """A command was understood and not accepted. Kept for the audit.

    It is decided anew when it comes again: what stood in its way may be gone by then.
    """

    code: str
    message: str
    command: str | None = None
    """In logs of before: its id, under which it was refused again whatever had changed."""
    asked: str | None = None
    """Its id."""


AnyEvent = (
    SwarmCreated
    | SwarmClosed
    | LimitsChanged
    | Recovered
    | TimeSkipped
    | WorkerStarted
    | WorkerJoined
    | WorkerLost
    | WorkerStopped
    | AgentSpawned
    | AgentInitialising
    | AgentReady
    | AgentErrored
    | AgentRecovering
    | AgentFailed
    | AgentUpdated
    | AgentRebuilt
    | AgentMoved
    | AgentDeparted
    | AgentDraining
    | AgentTerminating
    | AgentTerminated
    | TaskSubmitted
    | PlanSubmitted
    | TaskQueued
    | TaskBlocked
    | PlanUnblocked
    | TaskAssigned
    | TaskStarted
    | StepFinished
    | TaskCompleted
    | AttemptFailed
    | TaskFailed
    | TaskDeadLettered
    | TaskCancelling
    | TaskCancelled
    | LateResultRefused
    | VoteOpened
    | BallotCast
    | BallotRefused
    | CommandRefused
    | SupervisionEvent
    | OutsideEvent
    | AssigningEvent
    | MailEvent
    | MeshEvent
    | PipelineEvent
    | VotesEvent
    | TeamsEvent
    | ShapeEvent
)


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One append to the log: the events of a batch under one time."""

    at_ms: int
    events: list[AnyEvent]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode_record(at_ms: int, events: list[AnyEvent]) -> bytes:
    """The bytes that the log keeps."""
    return _encoder.encode((at_ms, events))


def decode_record(body: bytes) -> Record:
    """The record in these bytes.

    Raises:
        msgspec.ValidationError: an event of this log is unknown to this version.
    """
    return _decoder.decode(body)
