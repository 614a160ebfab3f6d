"""Messages between the orchestrator and its workers.

Both ends speak one version of them (see `PROTOCOL`), so these are positional. A frame carries a
list of them: whatever is ready in one turn of the loop. A worker numbers its frames and keeps each
until the orchestrator acknowledges its number, which it does once the log holds what the frame
said.
"""

import msgspec

from visionflow.domain.agents import AgentSpec
from visionflow.domain.mail import Letter
from visionflow.domain.mesh import AuctionBallot, AuctionBid
from visionflow.domain.outside import EffectClass, EffectOutcome, Verdict
from visionflow.domain.tasks import NOTHING, FailureKind, Payload, TaskSpec
from visionflow.domain.teams import TeamView

PROTOCOL = 2
"""Goes up by one with a release in which a message is new, means something else, or has another
field than one added at its end with a default. A worker that outlived an orchestrator of an earlier
version of them is replaced then, not adopted."""


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="message"):
    """Base of all messages."""


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


class Debug(Message, frozen=True, tag=14):
    """Keep lines of level debug of this agent for so long from now; 0: no more."""

    agent: str
    for_ms: int


class Ping(Message, frozen=True, tag=15):
    """Answer with a Pong of this number, at once."""

    number: int


class DelegateAnswer(Message, frozen=True, tag=16):
    """The task that an attempt delegated is in the log, or why it is not."""

    task: str
    attempt: int
    delegated: str
    code: str = ""
    reason: str = ""


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


class PeerUp(Message, frozen=True, tag=60):
    """To a worker: this agent is a peer of a mesh from now on, and joins it by way of these.
    Repeating it changes nothing."""

    agent: str
    incarnation: int
    place: str
    """Its process, as `machine/process`."""
    seeds: tuple[str, ...] = ()


class PeerDown(Message, frozen=True, tag=61):
    """To a worker: this agent is no peer any more; it says so to the others."""

    agent: str


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


class AuctionOver(Message, frozen=True, tag=63):
    """To a worker: this auction is over for its agents, and what one of them began by it and the
    log does not give to it stops."""

    task: str
    attempt: int
    reason: str


class Claimed(Message, frozen=True, tag=64):
    """An agent won an auction by the agreement of its electorate, and has begun."""

    task: str
    attempt: int
    agent: str
    bids: tuple[AuctionBid, ...] = ()
    ballots: tuple[AuctionBallot, ...] = ()
    round: int = 0
    took_ms: int = 0


class PeerReport(Message, frozen=True, tag=65):
    """A signal: what a peer thinks of its mesh, and how many messages it has sent and got."""

    agent: str
    incarnation: int
    epoch: int
    members: int
    """0: it belongs to no mesh yet."""
    reachable: int
    read_only: bool
    digest: str
    """Of all that it knows of the mesh: who knows the same has the same."""
    since_ms: int
    """When that last changed, by the clock on the wall."""
    sent: int
    received: int
    sent_bytes: int
    dropped: int = 0
    """Messages that were not sent, because they were too many."""


class Copied(Message, frozen=True, tag=66):
    """Peers hold copies of a result: of an attempt that this worker has completed, or that it
    holds a copy of itself."""

    task: str
    attempt: int
    agent: str
    digest: str
    size_bytes: int
    required: int
    holders: tuple[str, ...]
    reason: str = ""


class MailHanded(Message, frozen=True, tag=50):
    """To a worker: a message for an agent that handles messages itself. Repeating it changes
    nothing."""

    agent: str
    delivery: int
    letter: Letter
    redelivered: bool = False
    failures: int = 0


class MailAnswer(Message, frozen=True, tag=51):
    """To a worker: what became of what it asked under this id about mail. The message is sent, the
    subscription holds, the deliveries are acknowledged, or why not."""

    id: str
    agent: str
    task: str = ""
    attempt: int = 0
    count: int = 0
    """Of a message: so many agents got it. Of a failed delivery: its new id, 0 for a dead one."""
    code: str = ""
    reason: str = ""
    retry_after_ms: int = 0


class MailReply(Message, frozen=True, tag=52):
    """To a worker: the answer to a request, or why there is none."""

    request: str
    agent: str
    task: str = ""
    attempt: int = 0
    letter: Letter | None = None
    code: str = ""
    reason: str = ""


class InboxAnswer(Message, frozen=True, tag=53):
    """To a worker: the first messages that wait for an agent."""

    number: int
    agent: str
    task: str = ""
    attempt: int = 0
    handed: tuple[MailHanded, ...] = ()


class EventTold(Message, frozen=True, tag=54):
    """To a worker: an event of the swarm that is in the log. A signal."""

    type: str
    seq: int
    at_ms: int
    task: str | None = None
    agent: str | None = None
    reason: str = ""


class MailAsked(Message, frozen=True, tag=55):
    """An agent sends a message; answered by a MailAnswer. Repeating it changes nothing."""

    agent: str
    id: str
    target: str
    type: str
    content: Payload = NOTHING
    priority: int = 0
    correlation: str = ""
    answers: str = ""
    ttl_ms: int = 0
    answer_ms: int = 0
    task: str = ""
    attempt: int = 0


class MailDone(Message, frozen=True, tag=56):
    """An agent dealt with these deliveries. Where `id` is given it is answered by a MailAnswer."""

    agent: str
    deliveries: tuple[int, ...]
    id: str = ""
    task: str = ""
    attempt: int = 0


class MailTrouble(Message, frozen=True, tag=57):
    """An agent's handler failed with a delivery; answered by a MailAnswer of this id."""

    id: str
    agent: str
    delivery: int
    reason: str
    for_good: bool = False


class MailHandles(Message, frozen=True, tag=58):
    """An agent that was built handles its messages itself."""

    agent: str


class TopicWanted(Message, frozen=True, tag=59):
    """An agent wants what is published under such topics, or no more; answered by a MailAnswer of
    this id."""

    id: str
    agent: str
    pattern: str
    on: bool = True
    task: str = ""
    attempt: int = 0


class ReplyAwaited(Message, frozen=True, tag=80):
    """An agent waits for the answer to a request; answered by a MailReply."""

    request: str
    agent: str
    task: str = ""
    attempt: int = 0


class InboxAsked(Message, frozen=True, tag=81):
    """An agent looks into its inbox; answered by an InboxAnswer."""

    number: int
    agent: str
    limit: int
    task: str = ""
    attempt: int = 0


class EventsWanted(Message, frozen=True, tag=82):
    """An agent wants to be told of such events of the swarm. It is said again over each new
    connection."""

    agent: str
    types: tuple[str, ...]


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


class MeshFounded(Message, frozen=True, tag=67):
    """To a worker: these found the mesh anew, for those of before are no majority any more."""

    agent: str
    incarnation: int
    epoch: int
    members: tuple[tuple[str, int, str], ...]
    """(agent, incarnation, place)."""


class PeersLeft(Message, frozen=True, tag=68):
    """To a worker: these are all that may be there. Its agent sees to it that others, which do not
    come back, count no more."""

    agent: str
    agents: tuple[str, ...]


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
