"""What is so, by other code than the product's: the log's events, read and counted here.

No state, view or helper of the runtime is used: records are decoded, and simple sums are made.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import events as e
from visionflow.domain import fleet as f
from visionflow.domain.events import decode_record
from visionflow.domain.tasks import Payload

ENDS = {"completed", "failed", "cancelled", "dead_letter"}
UNKNOWN_MS = 1 << 60
BLAMELESS = set(
    "throttled recalled reassigned in_doubt crash killed lost agent_gone network_failure "
    "deadlock".split()
)
"""Ends of an attempt that say nothing about its agent."""


class Timeline:
    """The words for something, each with since when."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, Any]] = []

    def add(self, at_ms: int, word: Any) -> None:
        """From now on it is this."""
        self.steps.append((at_ms, word))

    @property
    def now(self) -> Any:
        """The last one."""
        return self.steps[-1][1] if self.steps else None

    def during(self, since_ms: int, until_ms: int) -> set[Any]:
        """All that held at some time in between."""
        found = set()
        for place, (at_ms, word) in enumerate(self.steps):
            over = self.steps[place + 1][0] if place + 1 < len(self.steps) else UNKNOWN_MS
            if at_ms <= until_ms and over >= since_ms:
                found.add(word)
        return found


@dataclass
class Agent:
    """One agent, as its events tell."""

    spec: Any
    spawned_ms: int
    worker: str
    status: Timeline = field(default_factory=Timeline)
    pid: Timeline = field(default_factory=Timeline)
    ready_ms: int | None = None
    ended_ms: int | None = None
    draining: bool = False
    open: list[str] = field(default_factory=list)
    completed: int = 0
    failed: int = 0
    mean_us: int = 0
    reason: str | None = None
    """Why it is in error or failed."""
    up: str = "created"
    """What it is when it has no task."""


@dataclass
class Attempt:
    """One try at a task."""

    task: str
    number: int
    agent: str
    score_bp: int
    assigned_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    outcome: str | None = None
    reason: str | None = None
    duration_us: int = 0
    cancelled: bool = False
    excused: bool = False


@dataclass
class Task:
    """One task, as its events tell."""

    spec: Any
    submitted_ms: int
    status: Timeline = field(default_factory=Timeline)
    changed_ms: int = 0
    ended_ms: int | None = None
    reasons: Timeline = field(default_factory=Timeline)
    retry_ms: int | None = None
    cancelling: str | None = None
    result: Any = None
    duration_us: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    phases: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        """Why it is where it is now."""
        return self.reasons.now

    @property
    def agent(self) -> str | None:
        """Who has it, or did it."""
        if not self.attempts or self.attempts[-1].outcome not in (None, "completed"):
            return None
        return self.attempts[-1].agent


class Swarm:
    """One swarm's stream."""

    def __init__(self) -> None:
        self.spec: Any = None
        self.agents_max: list[int] = []
        self.closed: str | None = None
        self.agents: dict[str, Agent] = {}
        self.tasks: dict[str, Task] = {}
        self.events: list[tuple[int, int, int, Any]] = []
        self.head = 0
        self.pids: dict[str, int] = {}

    def take(self, seq: int, index: int, at_ms: int, event: Any) -> None:
        """The next event."""
        self.head = seq
        self.events.append((seq, index, at_ms, event))
        if isinstance(event, e.SwarmCreated):
            self.spec = event.spec
            self.agents_max.append(event.spec.limits.agents_max)
        elif isinstance(event, e.LimitsChanged):
            self.agents_max.append(event.agents_max)
        elif isinstance(event, e.SwarmClosed):
            self.closed = event.reason
        elif hasattr(event, "worker") and not isinstance(event, e.AgentSpawned | e.AgentMoved):
            self._worker(at_ms, event)
        elif type(event).__name__.startswith("Agent"):
            self._agent(at_ms, event)
        elif isinstance(event, e.VoteDecided):
            for each in event.regraded:
                agent = self.agents[each.agent]
                agent.completed += (each.after == "completed") - (each.before == "completed")
                agent.failed += (each.after == "failed") - (each.before == "failed")
        elif getattr(event, "task", None) or isinstance(event, e.TaskSubmitted | e.PlanSubmitted):
            self._task(at_ms, event)

    def _worker(self, at_ms: int, event: Any) -> None:
        if isinstance(event, e.WorkerStarted):
            self.pids[event.worker] = event.pid
        elif isinstance(event, e.WorkerLost | e.WorkerStopped):
            self.pids.pop(event.worker, None)
        for agent in self.agents.values():
            if agent.worker == event.worker and agent.ended_ms is None:
                agent.pid.add(at_ms, self.pids.get(agent.worker))

    def _agent(self, at_ms: int, event: Any) -> None:
        if isinstance(event, e.AgentSpawned):
            made = Agent(event.spec, at_ms, event.worker)
            made.pid.add(at_ms, self.pids.get(event.worker))
            made.status.add(at_ms, "created")
            self.agents[event.spec.id] = made
            return
        agent = self.agents[event.agent]
        words = {
            e.AgentInitialising: "initialising",
            e.AgentReady: "ready",
            e.AgentErrored: "error",
            e.AgentRecovering: "recovering",
            e.AgentFailed: "failed",
            e.AgentTerminating: "terminating",
            e.AgentTerminated: "terminated",
        }
        if type(event) in words:
            agent.up = words[type(event)]
            agent.status.add(at_ms, agent.up)
        if isinstance(event, e.AgentErrored | e.AgentFailed):
            agent.reason = event.reason
        if isinstance(event, e.AgentReady) and agent.ready_ms is None:
            agent.ready_ms = at_ms
        elif isinstance(event, e.AgentUpdated):
            agent.spec = event.spec
        elif isinstance(event, e.AgentMoved):
            agent.worker, agent.up = event.worker, "recovering"
            agent.status.add(at_ms, agent.up)
            agent.pid.add(at_ms, self.pids.get(event.worker))
        elif isinstance(event, e.AgentDraining):
            agent.draining = True
        elif isinstance(event, e.AgentTerminated):
            agent.ended_ms = at_ms
            agent.draining = False
            agent.pid.add(at_ms, None)

    def _task(self, at_ms: int, event: Any) -> None:
        if isinstance(event, e.TaskSubmitted | e.PlanSubmitted):
            made = Task(event.spec, at_ms, changed_ms=at_ms)
            if isinstance(event, e.PlanSubmitted):
                made.phases = [(name, tasks) for name, tasks, _ in event.phases]
                made.status.add(at_ms, "orchestrating")
            else:
                made.status.add(at_ms, "pending" if event.waits else "queued")
            self.tasks[event.spec.id] = made
            return
        task = self.tasks[event.task]
        if isinstance(event, e.TaskAssigned):
            number, agent = event.attempt, event.agent
            made_now = Attempt(event.task, number, agent, event.score_bp, at_ms)
            task.attempts.append(made_now)
            self._hold(at_ms, agent, event.task)
            self._move(task, at_ms, "assigned")
        elif isinstance(event, e.TaskStarted):
            task.attempts[-1].started_ms = at_ms
            self._move(task, at_ms, "running")
        elif isinstance(event, e.TaskCompleted):
            task.result = event.result
            task.reasons.add(at_ms, None)
            if task.attempts:
                task.duration_us = event.duration_us
                task.attempts[-1].duration_us = event.duration_us
                self._over(task, at_ms, "completed", None)
            self._move(task, at_ms, "completed")
        elif isinstance(event, e.AttemptFailed):
            task.retry_ms = event.retry_at_ms
            task.reasons.add(at_ms, event.reason)
            self._over(task, at_ms, str(event.kind), event.reason, event.excused)
            if event.retry_at_ms is not None:
                self._move(task, at_ms, "pending")
        elif isinstance(event, e.TaskCancelling):
            task.cancelling = event.reason
            task.attempts[-1].cancelled = True
        else:
            self._settle(task, at_ms, event)

    def _settle(self, task: Task, at_ms: int, event: Any) -> None:
        words = {
            e.TaskQueued: "queued",
            e.TaskBlocked: "blocked",
            e.PlanUnblocked: "orchestrating",
            e.TaskFailed: "failed",
            e.TaskDeadLettered: "dead_letter",
            e.TaskCancelled: "cancelled",
        }
        if type(event) not in words:
            return
        why = getattr(event, "reason", None) or getattr(event, "missing", None)
        task.reasons.add(at_ms, why)
        if isinstance(event, e.TaskQueued):
            task.retry_ms = task.ended_ms = task.cancelling = None
        self._move(task, at_ms, words[type(event)])

    def _move(self, task: Task, at_ms: int, word: str) -> None:
        task.status.add(at_ms, word)
        task.changed_ms = at_ms
        if word in ENDS:
            task.ended_ms, task.cancelling = at_ms, None

    def _hold(self, at_ms: int, name: str, task: str) -> None:
        agent = self.agents[name]
        agent.open.append(task)
        agent.status.add(at_ms, "processing")

    def _over(
        self, task: Task, at_ms: int, outcome: str, reason: str | None, excused: bool = False
    ) -> None:
        attempt = task.attempts[-1]
        attempt.ended_ms, attempt.outcome, attempt.reason = at_ms, outcome, reason
        attempt.excused = excused
        agent = self.agents[attempt.agent]
        agent.open.remove(attempt.task)
        if outcome == "completed":
            agent.completed += 1
            change = attempt.duration_us - agent.mean_us
            first = agent.completed == 1
            agent.mean_us = attempt.duration_us if first else agent.mean_us + change // 8
        elif outcome not in BLAMELESS and not attempt.cancelled and not excused:
            agent.failed += 1
        if not agent.open and agent.up == "ready":
            agent.status.add(at_ms, "ready")

    # Sums -----------------------------------------------------------------------------------

    @property
    def living(self) -> dict[str, Agent]:
        """Agents that are not gone."""
        return {name: each for name, each in self.agents.items() if each.ended_ms is None}

    def standing(self, status: str) -> int:
        """How many tasks are so now."""
        return sum(1 for each in self.tasks.values() if each.status.now == status)

    def attempts(self, agent: str | None = None) -> list[Attempt]:
        """All of them, or those of an agent."""
        every = [each for task in self.tasks.values() for each in task.attempts]
        return [each for each in every if agent in (None, each.agent)]

    def births(self, kind: str, dedicated: bool, before: str) -> list[int]:
        """What the agents of a kind took to be ready that were so before another was spawned."""
        spawned = self.agents[before].spawned_ms
        return [
            each.ready_ms - each.spawned_ms
            for each in self.agents.values()
            if each.spec.type == kind
            and (each.spec.limits.memory_bytes is not None) == dedicated
            and each.ready_ms is not None
            and each.ready_ms <= spawned
        ]


class World:
    """All streams of a server's log."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.swarms: dict[str, Swarm] = defaultdict(Swarm)
        self.reserved: dict[str, Any] = {}
        self.reserved_ms: dict[str, int] = {}
        self.ended: dict[str, str] = {}
        self.ends: dict[str, tuple[int, str]] = {}
        """When, and by whom."""
        self.memory: dict[tuple[str, str], Any] = {}
        log = SqliteLog.open(home / "server" / "log.db", read_only=True)
        try:
            for stream in log.streams():
                for entry in log.read(stream):
                    self._take(stream, entry.seq, entry.body)
        finally:
            log.close()

    def _take(self, stream: str, seq: int, body: bytes) -> None:
        if stream != f.STREAM:
            record = decode_record(body)
            for index, event in enumerate(record.events):
                self.swarms[stream].take(seq, index, record.at_ms, event)
            return
        fleet = f.decode_fleet_record(body)
        for event in fleet.events:
            if isinstance(event, f.SwarmReserved):
                self.reserved[event.spec.id] = event.spec
                self.reserved_ms[event.spec.id] = fleet.at_ms
            elif isinstance(event, f.SwarmEnded):
                self.ended[event.swarm] = event.reason
                self.ends[event.swarm] = (fleet.at_ms, event.by)
            elif isinstance(event, f.MemoryStored):
                self.memory[event.namespace, event.key] = event
            elif isinstance(event, f.MemoryExpired):
                for key in event.keys:
                    self.memory.pop(key, None)

    @property
    def live(self) -> dict[str, Swarm]:
        """Swarms that are not over."""
        return {name: each for name, each in self.swarms.items() if name not in self.ended}

    def value(self, payload: Payload) -> Any:
        """What a payload stands for."""
        if payload.blob is not None:
            path = self.home / "server" / "blobs" / payload.blob[:2] / payload.blob[2:]
            return msgspec.msgpack.decode(path.read_bytes())
        return None if payload.inline is None else msgspec.msgpack.decode(payload.inline)

    def agent(self, name: str) -> tuple[str, Agent]:
        """An agent with its swarm, by its id or by its name, the latest of several."""
        for swarm, each in self.swarms.items():
            if name in each.agents:
                return swarm, each.agents[name]
        named = [
            (swarm, agent)
            for swarm, each in self.swarms.items()
            for agent in each.agents.values()
            if agent.spec.name == name
        ]
        return max(named, key=lambda pair: pair[1].spawned_ms)

    def task(self, name: str) -> tuple[str, Task]:
        """A task with its swarm."""
        return next((s, each.tasks[name]) for s, each in self.swarms.items() if name in each.tasks)

    def middle(self, took: list[int]) -> int | None:
        """The middle one."""
        return round(median(took)) if took else None
