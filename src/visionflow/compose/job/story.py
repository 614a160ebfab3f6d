"""What happened in a run, folded from its events: how each part stands, and what came of it.

Everything that a run shows and hands out is taken from here, so that live progress, the outputs,
and those of a resumed run cannot differ in what they are based on.
"""

import msgspec

from visionflow.agents.plans import Plan, PlanTask
from visionflow.compose.job.naming import PLAN
from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent, Record
from visionflow.domain.tasks import NOTHING, TERMINAL, Payload, TaskStatus
from visionflow.domain.votes import Decision, VoteSpec

_STATUS: dict[type[e.Event], TaskStatus] = {
    e.TaskQueued: TaskStatus.QUEUED,
    e.TaskStarted: TaskStatus.RUNNING,
    e.TaskBlocked: TaskStatus.BLOCKED,
    e.TaskFailed: TaskStatus.FAILED,
    e.TaskDeadLettered: TaskStatus.DEAD_LETTER,
    e.TaskCancelled: TaskStatus.CANCELLED,
}


VOTE = "vote"
"""The id of the vote on the coder's change."""


class VoteStory(msgspec.Struct):
    """A vote of the run."""

    spec: VoteSpec
    ballots: dict[str, e.BallotCast] = {}
    """By member."""
    decision: Decision | None = None


class PartStory(msgspec.Struct):
    """One task of the plan."""

    status: TaskStatus = TaskStatus.PENDING
    reason: str | None = None
    until_ms: int | None = None
    """When it is tried again, in milliseconds since the epoch, while it waits for that."""
    result: Payload = NOTHING
    attempts: int = 0
    steps: dict[str, Payload] = {}
    """Values of its finished steps by name, the last of each."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in TERMINAL


class Story:
    """The fold. `take` each record once, in order."""

    def __init__(self, plan: Plan | None) -> None:
        self.tasks: dict[str, PlanTask] = {}
        """The tasks of the plan, in its order."""
        self._phases: list[tuple[str, tuple[str, ...]]] = []
        if plan is not None:
            self.tasks = {task.id: task for _, task in plan.tasks()}
            self._phases = [(p.name, tuple(t.id for t in p.tasks)) for p in plan.phases]
        self.seq = 0
        self.plan: PartStory | None = None
        """`None` until it is handed in."""
        self.parts: dict[str, PartStory] = {name: PartStory() for name in self.tasks}
        self.votes: dict[str, VoteStory] = {}
        """By their ids."""
        self.agents: dict[str, str] = {}
        """Live agents and their workers."""
        self.failed_agents: dict[str, str] = {}
        """Agents that will not come back, and why."""
        self.workers: dict[str, None] = {}
        """Workers whose process lives."""
        self.closed = False
        self.worked_ms = 0
        """Time during which somebody worked on it: neither gaps before a resumption count, nor what
        the machine slept through."""
        self._last_ms: int | None = None

    def take(self, seq: int, record: Record) -> None:
        """The next record."""
        self.seq = seq
        resumed = any(isinstance(event, e.Recovered) for event in record.events)
        if self._last_ms is not None and not resumed:
            self.worked_ms += max(0, record.at_ms - self._last_ms)
        self._last_ms = record.at_ms
        slept_ms = sum(each.gap_ms for each in record.events if isinstance(each, e.TimeSkipped))
        self.worked_ms = max(0, self.worked_ms - slept_ms)
        for event in record.events:
            self._take(event)

    def _take(self, event: AnyEvent) -> None:
        match event:
            case e.PlanSubmitted():
                self.plan = PartStory(TaskStatus.ORCHESTRATING)
            case e.TaskSubmitted():
                self._of(event.spec.id).status = (
                    TaskStatus.PENDING if event.waits else TaskStatus.QUEUED
                )
            case e.TaskAssigned():
                part = self._of(event.task)
                part.status, part.attempts, part.until_ms = TaskStatus.ASSIGNED, event.attempt, None
            case e.StepFinished():
                part = self._of(event.task)
                part.steps = part.steps | {event.name: event.value}
                part.status = TaskStatus.RUNNING
            case e.TaskCompleted():
                part = self._of(event.task)
                part.status, part.result = TaskStatus.COMPLETED, event.result
            case e.AttemptFailed():
                part = self._of(event.task)
                part.status, part.reason = TaskStatus.PENDING, event.reason
                part.until_ms = event.retry_at_ms
            case e.TaskFailed() | e.TaskDeadLettered() | e.TaskCancelled() | e.TaskBlocked():
                part = self._of(event.task)
                part.status, part.until_ms = _STATUS[type(event)], None
                part.reason = event.missing if isinstance(event, e.TaskBlocked) else event.reason
            case e.TaskQueued() | e.TaskStarted():
                part = self._of(event.task)
                part.status, part.until_ms = _STATUS[type(event)], None
            case _:
                self._take_others(event)

    def _take_others(self, event: AnyEvent) -> None:
        match event:
            case e.AgentSpawned():
                self.agents[event.spec.id] = event.worker
            case e.AgentFailed():
                self.failed_agents[event.agent] = event.reason
            case e.WorkerStarted():
                self.workers[event.worker] = None
            case e.WorkerLost() | e.WorkerStopped():
                self.workers.pop(event.worker, None)
            case e.SwarmClosed():
                self.closed = True
            case e.VoteOpened():
                self.votes[event.spec.id] = VoteStory(event.spec)
            case e.BallotCast() if (vote := self.votes.get(event.vote)) is not None:
                vote.ballots = vote.ballots | {event.member: event}
            case e.VoteDecided() if (vote := self.votes.get(event.vote)) is not None:
                vote.decision = event.decision
            case _:
                pass

    def _of(self, task: str) -> PartStory:
        if task == PLAN:
            self.plan = self.plan or PartStory()
            return self.plan
        return self.parts.setdefault(task, PartStory())

    @property
    def ended(self) -> bool:
        """Whether the plan has ended."""
        return self.plan is not None and self.plan.ended

    @property
    def over(self) -> bool:
        """Whether nothing more will come: plan and vote have ended, or nobody goes on."""
        return self.ended and (self.vote_ended or self.closed)

    @property
    def phase(self) -> str:
        """The phase under way."""
        if self.plan is None:
            return "start"
        under_way = (
            name for name, ids in self._phases if not all(self.parts[each].ended for each in ids)
        )
        return "end" if self.ended else next(under_way, "end")

    def of_type(self, kind: str) -> list[str]:
        """The tasks of the plan that are of this type."""
        return [name for name, task in self.tasks.items() if task.type == kind]

    @property
    def vote(self) -> VoteStory | None:
        """The vote on the coder's change."""
        return self.votes.get(VOTE)

    @property
    def vote_ended(self) -> bool:
        """Whether no vote is open."""
        return all(vote.decision is not None for vote in self.votes.values())

    def stranded(self) -> list[tuple[str, str]]:
        """(task, why) of parts that have not ended and whose agent will not come back."""
        return [
            (name, f"agent {task.agent} failed: {self.failed_agents[task.agent]}")
            for name, task in self.tasks.items()
            if task.agent in self.failed_agents and not self.parts[name].ended
        ]
