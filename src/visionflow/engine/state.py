"""The state of a swarm: what a fold of its log amounts to.

Facts are Structs that can be written down and hashed. Beside them stand indexes (the matching
index, alarms, open clocks) that can be rebuilt from the facts at any time and are no part of the
hash. Only `evolve` changes any of it.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from visionflow.domain.agents import AgentSpec, AgentStatus, WorkerStatus
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import NOTHING, FailureKind, Payload, TaskSpec, TaskStatus
from visionflow.domain.votes import Decision
from visionflow.engine.assigning import Assigning
from visionflow.engine.mail import Mail
from visionflow.engine.matching import Matching
from visionflow.engine.meshed import Lives, Mesh
from visionflow.engine.outside import Outside
from visionflow.engine.pipelines import Pipelines
from visionflow.engine.polls import Polls
from visionflow.engine.polls import VoteState as VoteState
from visionflow.engine.records import Records
from visionflow.engine.roster import Roster
from visionflow.engine.shape import ShapeState, Totals
from visionflow.engine.supervised import Supervised
from visionflow.engine.teams import Seating, Teams
from visionflow.engine.timing import Alarm


class StepState(msgspec.Struct, gc=False):
    """A finished step of a task that has not ended."""

    name: str
    value: Payload
    tree: str | None


class PhaseState(msgspec.Struct, gc=False, omit_defaults=True):
    """A phase of a plan under way."""

    name: str
    tasks: tuple[str, ...]
    sequential: bool
    open: int
    """Of its tasks, how many have not ended."""
    failed: list[str]
    uses: tuple[int, ...] = ()
    """Places of earlier phases whose results its tasks get."""
    width: int = 0
    """So many of its tasks may be under way at once; 0: all."""
    stages: tuple[int, ...] = ()
    """So many tasks each of its stages has, in order; empty: it is all one."""

    @property
    def turns(self) -> int:
        """How many of its tasks that have not ended may be under way, the first ones first; 0:
        all of them."""
        return 1 if self.sequential else self.width

    @property
    def is_bounded(self) -> bool:
        """Whether some of its tasks wait for others of it."""
        return bool(self.sequential or self.width or self.stages)


class PlanState(msgspec.Struct, gc=False):
    """What a root task consists of."""

    phases: list[PhaseState]
    threshold_bp: int
    current: int = 0
    """The phase that is under way."""


class TaskState(msgspec.Struct, gc=False):
    """A task that is alive, or ended not long ago."""

    spec: TaskSpec
    status: TaskStatus
    since_ms: int
    """When it was submitted."""
    attempt: int = 0
    agent: str | None = None
    """Who holds the open attempt."""
    changed_ms: int = 0
    """When the status last changed."""
    waiting: int = 0
    """Of `depends_on`, how many have not ended."""
    failures: int = 0
    """Failed attempts of this round that count against the retry policy."""
    crashes: int = 0
    kills: int = 0
    """Attempts that died with their worker since the last finished step."""
    retry_at_ms: int | None = None
    cancelling: str | None = None
    """Why its open attempt was told to stop."""
    reason: str | None = None
    """Why it is blocked or how it failed."""
    result: Payload = NOTHING
    steps: dict[str, StepState] | None = None
    dependents: list[str] | None = None
    plan: PlanState | None = None
    phase: int = 0
    """Of a part: the index of its phase."""


class AgentState(msgspec.Struct, gc=False):
    """An agent, with its record."""

    spec: AgentSpec
    status: AgentStatus
    worker: str
    open: dict[str, int]
    """Tasks it holds, with the attempt."""
    completed: int = 0
    failed: int = 0
    mean_us: int = 0
    """Moving mean of how long its completed tasks took."""
    reason: str | None = None


class WorkerState(msgspec.Struct, gc=False):
    """A place for a process; each process on it is an incarnation."""

    id: str
    status: WorkerStatus
    dedicated: bool
    """It hosts one agent, with that agent's limits."""
    agents: dict[str, None]
    incarnation: int = 0
    pid: int | None = None
    started: str | None = None
    restart_at_ms: int = 0
    deaths: list[tuple[int, FailureKind]] = []
    """When processes of it died within the restart period."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The first answer to a command: what it concerned, or why it was refused. Kept under the
    command's id where something was done, and where no change of things could lift a refusal."""

    at_ms: int = 0
    subject: str | None = None
    code: str | None = None
    message: str | None = None


class Denial(Answer, frozen=True, gc=False):
    """The answer to a command that is refused now. It is told and not kept; nothing was done."""

    hint: str | None = None
    """The end of the message that says what to do."""


class Counters(msgspec.Struct, gc=False):
    """Totals since the swarm was created."""

    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    dead_letter: int = 0
    attempts: int = 0
    attempts_failed: int = 0
    late_results: int = 0
    refusals: int = 0


class Clocks:
    """Open attempts by the length of their wall-clock limit, oldest first."""

    def __init__(self) -> None:
        self.by_length: dict[int, dict[str, int]] = {}

    def start(self, task: str, length_ms: int, now_ms: int) -> None:
        """The attempt of this task began to count."""
        clock = self.by_length.get(length_ms)
        if clock is None:
            clock = self.by_length[length_ms] = {}
        clock.pop(task, None)
        clock[task] = now_ms

    def stop(self, task: str, length_ms: int) -> None:
        """It no longer counts."""
        clock = self.by_length.get(length_ms)
        if clock is not None:
            clock.pop(task, None)
            if not clock:
                del self.by_length[length_ms]

    def restart(self, tasks: Iterable[str], now_ms: int) -> None:
        """Of these tasks, those whose attempt counts begin to count anew."""
        for clock in self.by_length.values():
            for task in tasks:
                if clock.pop(task, None) is not None:
                    clock[task] = now_ms

    def shift(self, gap_ms: int, now_ms: int) -> None:
        """The last `gap_ms` do not count."""
        for clock in self.by_length.values():
            for task, since_ms in clock.items():
                clock[task] = min(since_ms + gap_ms, now_ms)

    def overdue(self, now_ms: int, grace_ms: int) -> list[str]:
        """Tasks whose attempt has been open longer than its limit and the grace together."""
        found: list[str] = []
        for length_ms, clock in self.by_length.items():
            for task, since_ms in clock.items():
                if now_ms - since_ms < length_ms + grace_ms:
                    break
                found.append(task)
        return found


class SwarmState:
    """Everything the engine knows of one swarm."""

    def __init__(self) -> None:
        self.spec: SwarmSpec | None = None
        self.by_load = False
        """Whether its strategy looks at the load of agents alone. Like the next two it follows from
        the spec and the topology in force, and is here because it is asked for all the time."""
        self.is_mesh = False
        self.is_indexed = True
        """Whether the best agent of the matching index is the one to assign to, in nobody's name
        but that of a manager."""
        self.closed: str | None = None
        self.now_ms = 0
        self.boot = 0
        self.retired = 0
        """The highest incarnation of any worker that has left."""
        self.agents: dict[str, AgentState] = {}
        self.draining: dict[str, None] = {}
        """Agents that end once they hold no task."""
        self.workers: dict[str, WorkerState] = {}
        self.tasks: dict[str, TaskState] = {}
        self.live = 0
        """Tasks that have not ended."""
        self.throttles: dict[str, int] = {}
        """Tasks whose attempts were throttled since the last finished step, and how often."""
        self.ended: dict[str, None] = {}
        """Ended tasks that are still in `tasks`, oldest first."""
        self.finished: dict[str, int] = {}
        """Tasks that have left, with their last attempt."""
        self.votes: dict[str, VoteState] = {}
        """Those that are open."""
        self.decided: dict[str, Decision] = {}
        """Votes that are over, oldest first."""
        self.polls = Polls()
        self.vote_ends = Alarm()
        self.revisions: dict[str, int] = {}
        """Of agents that were updated: which version of them holds."""
        self.updating: dict[str, None] = {}
        """Agents whose worker has yet to confirm that it built the version that holds."""
        self.moving: dict[str, int | None] = {}
        """Agents that move to a process of their own once they are idle, with the memory ceiling
        of the one that they are in."""
        self.departing: dict[str, str] = {}
        """Agents that moved, with the worker that has yet to end them."""
        self.answers: dict[str, Answer] = {}
        self.counters = Counters()
        self.completion_ms = 0
        """What all completed tasks took, from submission to completion. Like `revived` a sum over
        the log that decides nothing, so it is no part of the hash."""
        self.revived: dict[TaskStatus, int] = {}
        """How many ended tasks were queued again, by what they had ended as."""
        self.supervised = Supervised()
        self.left_behind: dict[str, int] = {}
        """Of workers whose work is counted: how many attempts agents had ended that left since that
        began. An index."""
        self.lockers: dict[str, dict[str, None]] = {}
        """Tasks whose attempt holds or waits for these locks; like the two that follow an index."""
        self.unheld: dict[str, None] = {}
        """Locks that nobody holds and somebody waits for: for an instant."""
        self.awaiters: dict[str, dict[str, None]] = {}
        """Tasks that the attempts of these others wait for."""
        self.outside = Outside()
        self.mail = Mail()
        self.mail_alarm = Alarm()
        self.assigning = Assigning()
        self.mesh = Mesh()
        self.lives = Lives()
        self.pipelines = Pipelines()
        self.shape = ShapeState()
        self.totals = Totals()
        self.teams = Teams()
        self.seating = Seating()
        self.records = Records()
        self.matching = Matching()
        self.roster = Roster()
        self.retries = Alarm()
        self.deadlines = Alarm()
        self.clocks = Clocks()

    def digest(self) -> str:
        """A hash of every fact. Two folds of one log have the same."""
        facts = (
            self.spec,
            self.closed,
            self.now_ms,
            self.boot,
            self.retired,
            self.agents,
            self.workers,
            self.tasks,
            self.live,
            list(self.ended),
            list(self.finished.items()),
            list(self.answers.items()),
            self.counters,
        )
        if self.votes or self.decided:
            # Only then, so that a log from before there were votes keeps its hash.
            facts = (*facts, list(self.votes.items()), list(self.decided.items()))
        if self.revisions or self.departing:
            held = (self.revisions, self.updating, self.moving, self.departing)
            facts = (*facts, [list(each.items()) for each in held])
        if self.throttles:
            facts = (*facts, ("throttles", *self.throttles.items()))
        if self.draining:
            facts = (*facts, ("draining", *self.draining))
        if self.supervised != Supervised():
            facts = (*facts, ("supervised", self.supervised))
        if self.polls != Polls():
            facts = (*facts, ("polls", self.polls))
        if self.outside != Outside():
            facts = (*facts, ("outside", self.outside))
        if self.assigning != Assigning():
            facts = (*facts, ("assigning", self.assigning))
        if self.mail != Mail():
            facts = (*facts, ("mail", self.mail))
        if self.mesh != Mesh():
            facts = (*facts, ("mesh", self.mesh))
        if self.pipelines != Pipelines():
            facts = (*facts, ("pipelines", self.pipelines))
        if self.shape != ShapeState():
            facts = (*facts, ("shape", self.shape))
        if self.teams != Teams():
            facts = (*facts, ("teams", self.teams))
        return sha256(msgspec.msgpack.encode(facts)).hexdigest()
