"""Messages between the orchestrator and its workers.

Both ends speak one version of them (see `PROTOCOL`), so these are positional. A frame carries a
list of them: whatever is ready in one turn of the loop. A worker numbers its frames and keeps each
until the orchestrator acknowledges its number, which it does once the log holds what the frame
said.
"""

import msgspec

from visionflow.domain.agents import AgentSpec
from visionflow.domain.asking_messages import (
    CircuitAnswer,
    CircuitAsked,
    DelegateAnswer,
    Delegated,
    LockAnswer,
    LockAsked,
    LockDropped,
    Outcome,
    TeamAnswer,
    TeamAsked,
    WaitAnswer,
    WaitAsked,
    WaitDropped,
)
from visionflow.domain.mail_messages import (
    EventsWanted,
    EventTold,
    InboxAnswer,
    InboxAsked,
    MailAnswer,
    MailAsked,
    MailDone,
    MailHanded,
    MailHandles,
    MailReply,
    MailTrouble,
    ReplyAwaited,
    TopicWanted,
)
from visionflow.domain.mesh_messages import (
    AuctionOver,
    Claimed,
    Copied,
    MeshFounded,
    PeerDown,
    PeerReport,
    PeersLeft,
    PeerUp,
)
from visionflow.domain.message import Message
from visionflow.domain.outside import EffectClass, EffectOutcome, Verdict
from visionflow.domain.tasks import NOTHING, FailureKind, Payload

PROTOCOL = 3
"""Goes up by one with a release in which a message is new, means something else, or has another
field than one added at its end with a default; and with what peers of a mesh have to decide alike,
as which of equal bids is the best. A worker that outlived an orchestrator of an earlier version is
replaced then, not adopted."""


class RecordedStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A step that an earlier attempt finished."""

    key: str
    value: Payload = NOTHING
    tree: str | None = None


# To a worker -------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag=0):
    """The answer to a hello that was believed. `acked` is the last frame number in the log."""

    acked: int


class Rejected(Message, frozen=True, tag=1):
    """The answer to a hello that was not: the worker ends."""

    reason: str


class HostAgent(Message, frozen=True, tag=2):
    """Build this agent; answered by AgentUp or AgentDown. Repeating it changes nothing.

    One that is there in a lower revision is built anew once it works on nothing."""

    spec: AgentSpec
    revision: int = 0


class DropAgent(Message, frozen=True, tag=3):
    """End this agent; answered by AgentDown with `ended`."""

    agent: str


class Dispatch(Message, frozen=True, tag=4):
    """Work on this attempt. Repeating it changes nothing."""

    task: str
    attempt: int
    agent: str
    type: str
    description: str = ""
    input: Payload = NOTHING
    config: Payload = NOTHING
    capabilities: tuple[str, ...] = ()
    priority: int = 20
    deadline_ms: int | None = None
    timeout_ms: int = 300_000
    steps: tuple[RecordedStep, ...] = ()
    dependencies: tuple[tuple[str, Payload], ...] = ()
    """Results of the completed tasks that this one depends on, as (task id, result)."""
    announce: bool = True
    """Whether to say at once that it started, or only when it takes a moment."""
    parcel: str | None = None
    """Where steps and dependencies are many bytes: the blob that holds both, and they are empty
    here. See `Parcel`."""
    suspect: bool = False
    """A worker went away under an earlier attempt: this one begins once the log says so, for
    otherwise nobody could tell which of a worker's tasks ends it in an instant."""
    alone: bool = False
    """It is not to share a batch: an earlier attempt failed, or it has only this one."""


class Parcel(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of a Dispatch is too large for a frame, as a blob."""

    steps: tuple[RecordedStep, ...]
    dependencies: tuple[tuple[str, Payload], ...]


class CancelAttempt(Message, frozen=True, tag=5):
    """Stop working on this attempt; answered by Failed."""

    task: str
    attempt: int
    reason: str


class StepAnswer(Message, frozen=True, tag=6):
    """A step is in the log, or the attempt is stale and must stop."""

    task: str
    attempt: int
    key: str
    accepted: bool


class FrameAck(Message, frozen=True, tag=7):
    """Everything up to this frame number is in the log."""

    number: int


class Stop(Message, frozen=True, tag=8):
    """End: close agents, then exit with 0."""

    reason: str


class Begin(Message, frozen=True, tag=9):
    """The log says that this suspect attempt has begun: its code may run."""

    task: str
    attempt: int


class RecallAttempt(Message, frozen=True, tag=10):
    """Give this attempt back if it has not begun; answered by Failed with `recalled`, or by
    Started."""

    task: str
    attempt: int
    reason: str


class Debug(Message, frozen=True, tag=14):
    """Keep lines of level debug of this agent for so long from now; 0: no more."""

    agent: str
    for_ms: int


class Ping(Message, frozen=True, tag=15):
    """Answer with a Pong of this number, at once."""

    number: int


# From a worker -----------------------------------------------------------------------------


class Hello(Message, frozen=True, tag=20):
    """The first message of a connection."""

    worker: str
    incarnation: int
    secret: str
    pid: int
    attempts: tuple[tuple[str, int], ...] = ()
    """(task, attempt) under way or finished and not yet acknowledged."""
    protocol: int = 0
    """Of which version its messages are; see `PROTOCOL`."""
    leaving: bool = False
    """It was told to end, and stays until what it has done is acknowledged."""


class AgentUp(Message, frozen=True, tag=21):
    """An agent was built."""

    agent: str
    revision: int = 0


class AgentDown(Message, frozen=True, tag=22):
    """An agent could not be built, or was ended as asked."""

    agent: str
    reason: str
    ended: bool = False
    revision: int = 0


class Started(Message, frozen=True, tag=23):
    """An attempt began; one that is suspect `waits` for a Begin."""

    task: str
    attempt: int
    waits: bool = False


class StepDone(Message, frozen=True, tag=24):
    """A step is done; the worker waits for a StepAnswer before it goes on."""

    task: str
    attempt: int
    key: str
    name: str
    value: Payload = NOTHING
    tree: str | None = None


class Result(Message, frozen=True, tag=25):
    """An attempt's result."""

    task: str
    attempt: int
    value: Payload = NOTHING
    duration_us: int = 0


class Failed(Message, frozen=True, tag=26):
    """An attempt ended without a result."""

    task: str
    attempt: int
    kind: FailureKind
    reason: str
    wait_ms: int = 0
    """Of one that was throttled: how long to wait."""
    effect: str = ""
    """Of one that ended because an outside effect is in doubt: its key."""
    circuit: str = ""
    """What it called through this circuit failed, so its agent is not to blame."""
    shared: bool = False
    """It ended with others of its batch, of which one is told without this: that is one failure of
    its agent."""


class Progress(Message, frozen=True, tag=27):
    """A signal, not kept in the log. `fraction` is 0 to 1, or unknown."""

    task: str
    attempt: int
    fraction: float | None
    note: str


class Heartbeat(Message, frozen=True, tag=28):
    """A signal on a connection of its own: this process lives and holds these attempts."""

    worker: str
    incarnation: int
    attempts: tuple[tuple[str, int], ...] = ()
    resident_bytes: int | None = None
    """Of the process; `None` where the system does not tell."""
    early: bool = False
    """It was sent before its time, because the process has grown."""
    overrunning: int = 0
    """Attempts that were given up whose code still runs, in threads that nothing can stop."""


class LogLine(Message, frozen=True, tag=29):
    """A line for the log of an agent."""

    agent: str | None
    level: str
    text: str
    left_out: int = 0
    """Instead of a line: so many of them, of this agent and level, were too many to send."""


class Pong(Message, frozen=True, tag=30):
    """The answer to a Ping."""

    number: int


class Batches(Message, frozen=True, tag=38):
    """Of these types of tasks an agent takes several at once."""

    agent: str
    types: tuple[str, ...]


class EffectAsked(Message, frozen=True, tag=40):
    """May the attempt carry out this outside effect? Answered by an EffectAnswer."""

    number: int
    """Of the question, within its attempt."""
    task: str
    attempt: int
    key: str
    name: str
    kind: EffectClass
    place: str = ""
    request: str = ""
    digest: str = ""
    again: bool = False
    """This attempt began it before."""


class EffectDone(Message, frozen=True, tag=41):
    """How it went; answered by an EffectAnswer once that is in the log."""

    number: int
    task: str
    attempt: int
    key: str
    outcome: EffectOutcome
    result: Payload = NOTHING
    reason: str = ""


class EffectAnswer(Message, frozen=True, tag=42):
    """To a worker: what the ledger of outside effects says to the question of this number."""

    number: int
    task: str
    attempt: int
    verdict: Verdict
    key: str = ""
    """Of the effect in doubt that stands in the way, where that is another one."""
    result: Payload = NOTHING
    reason: str = ""


# Of a mesh --------------------------------------------------------------------------------


class Announce(Message, frozen=True, tag=62):
    """To a worker: an auction, of which the agent of this Dispatch is one of the electorate. The
    winner begins at once. Repeating it changes nothing."""

    dispatch: Dispatch
    incarnation: int
    electorate: tuple[tuple[str, int], ...]
    offers: tuple[str, ...] = ()
    """What goes into the agent's bid, like all that follows."""
    tasks_max: int = 1
    completed: int = 0
    failed: int = 0


class HeldAgent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An agent as a worker has it, or should have it."""

    agent: str
    revision: int
    spec: str
    """A digest of what it was built as."""
    up: bool = True


class DigestAsked(Message, frozen=True, tag=72):
    """To a worker: which agents have you, and as what? Answered by a DigestTold of this number."""

    number: int


class DigestTold(Message, frozen=True, tag=73):
    """The agents that a worker has at this moment. A signal."""

    number: int
    agents: tuple[HeldAgent, ...]


class WorkerFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a worker sends. Number 0 is for signals, which are neither kept nor acknowledged."""

    number: int
    messages: list[
        Hello
        | AgentUp
        | AgentDown
        | Started
        | StepDone
        | Result
        | Failed
        | Progress
        | Heartbeat
        | LogLine
        | EffectAsked
        | EffectDone
        | Pong
        | LockAsked
        | LockDropped
        | WaitAsked
        | WaitDropped
        | Delegated
        | CircuitAsked
        | Outcome
        | Batches
        | MailAsked
        | MailDone
        | MailTrouble
        | MailHandles
        | TopicWanted
        | ReplyAwaited
        | InboxAsked
        | EventsWanted
        | Claimed
        | PeerReport
        | Copied
        | TeamAsked
        | DigestTold
    ]


class OrchestratorFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a worker receives."""

    messages: list[
        Welcome
        | Rejected
        | HostAgent
        | DropAgent
        | Dispatch
        | CancelAttempt
        | StepAnswer
        | Begin
        | FrameAck
        | Stop
        | RecallAttempt
        | LockAnswer
        | WaitAnswer
        | CircuitAnswer
        | Debug
        | Ping
        | EffectAnswer
        | DelegateAnswer
        | MailHanded
        | MailAnswer
        | MailReply
        | InboxAnswer
        | EventTold
        | PeerUp
        | PeerDown
        | Announce
        | AuctionOver
        | MeshFounded
        | PeersLeft
        | TeamAnswer
        | DigestAsked
    ]
