"""Commands: what somebody wants to happen, in the imperative.

Intake stamps each with the time, fresh ids and entropy; `decide` reads nothing else. A command
with a `command` id that was seen before gets its first answer again.
"""

from visionflow.domain.agents import AgentSpec
from visionflow.domain.command import Command
from visionflow.domain.mail_commands import MailCommand
from visionflow.domain.mesh_commands import MeshCommand
from visionflow.domain.outside_commands import OutsideCommand
from visionflow.domain.pipelines_commands import PipelineCommand
from visionflow.domain.shape_commands import ShapeCommand
from visionflow.domain.supervision import Advice
from visionflow.domain.supervision_commands import SupervisionCommand
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import NOTHING, FailureKind, Payload, Phase, TaskSpec
from visionflow.domain.teams_commands import TeamsCommand
from visionflow.domain.votes import Choice, VoteSpec
from visionflow.domain.votes_commands import VotesCommand


class CreateSwarm(Command, frozen=True, tag="create_swarm"):
    """Open a log with its first event."""

    spec: SwarmSpec


class CloseSwarm(Command, frozen=True, tag="close_swarm"):
    """End every agent and worker; queued tasks stay as they are in the log."""

    reason: str


class Recover(Command, frozen=True, tag="recover"):
    """Take up a log. Processes of workers that are not `kept` are all gone (the caller has seen to
    that); those kept live on, and may say hello until `kept_until_ms`."""

    kept: tuple[str, ...] = ()
    kept_until_ms: int = 0


class SpawnAgent(Command, frozen=True, tag="spawn_agent"):
    """Add an agent to the swarm."""

    spec: AgentSpec


class TerminateAgent(Command, frozen=True, tag="terminate_agent"):
    """End an agent; its open attempts are given to others."""

    agent: str
    drain: bool = False
    """Let it finish what it holds first; it gets nothing more."""


class UpdateAgent(Command, frozen=True, tag="update_agent"):
    """Change what an agent is, from its next task on. `None` leaves a thing as it is.

    What it works on goes on undisturbed. It gets no further task until its worker has built it
    anew, or, with another memory ceiling, until it has moved to a process of its own that has it.
    """

    agent: str
    config: Payload | None = None
    tasks_max: int | None = None
    memory_bytes: int | None = None


class ChangeLimits(Command, frozen=True, tag="change_limits"):
    """Change how many agents the swarm may have. Those that there are stay."""

    agents_max: int


class SubmitTask(Command, frozen=True, tag="submit_task"):
    """Accept one task."""

    spec: TaskSpec
    blocked: str | None = None
    """What it waits for: then it is accepted and at once blocked."""


class SubmitPlan(Command, frozen=True, tag="submit_plan"):
    """Accept a root task and the phases it consists of."""

    spec: TaskSpec
    phases: tuple[Phase, ...]
    failure_threshold_bp: int = 0
    consensus: VoteSpec | None = None
    """How its result is voted on before it completes, without an electorate, which is made then."""
    blocked: str | None = None
    """What it waits for: then none of its parts is queued until it is unblocked."""


class BlockTask(Command, frozen=True, tag="block_task"):
    """Set a task aside until what is missing is there."""

    task: str
    missing: str


class UnblockTask(Command, frozen=True, tag="unblock_task"):
    """Queue a blocked task again; of a plan, what may run of its parts."""

    task: str


class CancelTask(Command, frozen=True, tag="cancel_task"):
    """End a task, and its parts if it is a plan."""

    task: str
    reason: str = "cancelled on request"


class RetryTask(Command, frozen=True, tag="retry_task"):
    """Queue a dead-lettered, failed or cancelled task again, for one round of attempts.

    Its steps went with its end and run anew."""

    task: str
    blocked: str | None = None
    """What it waits for: then it is queued and at once blocked."""


class OpenVote(Command, frozen=True, tag="open_vote"):
    """Put a question to an electorate, which is fixed from now on."""

    spec: VoteSpec


class CastBallot(Command, frozen=True, tag="cast_ballot"):
    """The one ballot of a member of an electorate, with what it rests on."""

    vote: str
    member: str
    choice: Choice
    evidence: str
    """A word for the measurement behind it."""
    reason: str = ""
    facts: Payload = NOTHING
    """What was measured."""
    ranking: tuple[str, ...] = ()
    """Of one that ranks: the options, best first."""


class CloseVote(Command, frozen=True, tag="close_vote"):
    """Decide a vote by the ballots that are there."""

    vote: str
    reason: str


class ReportWorkerStarted(Command, frozen=True, tag="report_worker_started"):
    """A worker process exists."""

    worker: str
    incarnation: int
    pid: int
    started: str
    secret_hash: str = ""


class ReportWorkerJoined(Command, frozen=True, tag="report_worker_joined"):
    """A worker said hello. `attempts` are those under way in it, as (task, attempt)."""

    worker: str
    incarnation: int


class ReportWorkerLost(Command, frozen=True, tag="report_worker_lost"):
    """A worker process died or is given up."""

    worker: str
    incarnation: int
    kind: FailureKind
    reason: str
    probes: tuple[tuple[str, bool], ...] = ()
    machine_bytes: int | None = None
    """Memory that the machine has, where that is known."""
    last_words: str = ""
    """The end of what the process wrote to its standard error."""
    advice: Advice | None = None


class ReportWorkerStopped(Command, frozen=True, tag="report_worker_stopped"):
    """A worker process that was told to end has ended."""

    worker: str
    incarnation: int


class ReportStopped(Command, frozen=True, tag="report_stopped"):
    """The orchestrator was told to stop, and these processes have ended with it."""

    workers: tuple[tuple[str, int], ...]
    """Worker and incarnation."""


class ReportAgentUp(Command, frozen=True, tag="report_agent_up"):
    """A worker built an agent."""

    agent: str
    worker: str
    incarnation: int
    revision: int = 0
    """Which version of it: it counts up with each update."""


class ReportAgentDown(Command, frozen=True, tag="report_agent_down"):
    """A worker could not build an agent, or has ended it."""

    agent: str
    worker: str
    incarnation: int
    reason: str
    ended: bool = False
    """It was told to end it, and has."""
    revision: int = 0
    """Which version of it could not be built."""
    advice: Advice | None = None


class ReportStarted(Command, frozen=True, tag="report_started"):
    """An agent began an attempt."""

    task: str
    attempt: int


class ReportStep(Command, frozen=True, tag="report_step"):
    """A step of an attempt is done."""

    task: str
    attempt: int
    key: str
    name: str
    value: Payload = NOTHING
    tree: str | None = None


class ReportResult(Command, frozen=True, tag="report_result"):
    """An attempt ended with a result."""

    task: str
    attempt: int
    result: Payload = NOTHING
    duration_us: int = 0


class ReportFailure(Command, frozen=True, tag="report_failure"):
    """An attempt ended without one."""

    task: str
    attempt: int
    kind: FailureKind
    reason: str
    entropy: int = 0
    """The source of the retry's jitter."""
    wait_ms: int = 0
    """Of one that was throttled: how long to wait."""
    machine_bytes: int | None = None
    """Memory that the machine has, where that is known."""
    advice: Advice | None = None
    effect: str = ""
    """Of one that ended because an outside effect is in doubt: its key."""
    circuit: str = ""
    """What it called through this circuit failed, so its agent is not to blame."""
    shared: bool = False
    """It ended in a batch whose failure was told with another attempt, and counts against the agent
    with that one."""


class ExpireLease(Command, frozen=True, tag="expire_lease"):
    """Nobody has vouched for an attempt for its lease time."""

    task: str
    attempt: int
    evidence: str
    entropy: int = 0


class Tick(Command, frozen=True, tag="tick"):
    """Time has passed: retries, deadlines and wall-clock limits may be due."""

    entropy: int = 0
    gap_ms: int = 0
    """For this long nobody looked: a closed lid, or a process that was stopped."""
    waits: bool = False
    """Tasks may wait for each other for ever: look for such and break them."""


AnyCommand = (
    CreateSwarm
    | CloseSwarm
    | Recover
    | SpawnAgent
    | TerminateAgent
    | UpdateAgent
    | ChangeLimits
    | SubmitTask
    | SubmitPlan
    | BlockTask
    | UnblockTask
    | CancelTask
    | RetryTask
    | OpenVote
    | CastBallot
    | CloseVote
    | ReportWorkerStarted
    | ReportWorkerJoined
    | ReportWorkerLost
    | ReportWorkerStopped
    | ReportStopped
    | ReportAgentUp
    | ReportAgentDown
    | ReportStarted
    | ReportStep
    | ReportResult
    | ReportFailure
    | ExpireLease
    | Tick
    | SupervisionCommand
    | OutsideCommand
    | MailCommand
    | MeshCommand
    | PipelineCommand
    | VotesCommand
    | TeamsCommand
    | ShapeCommand
)
