"""What must still be done, worked out from the events alone: a second opinion on the engine.

It knows nothing of the engine's state. It keeps the least it needs, in the words of the log, so
that the tests can hold `outstanding` against it for every prefix.
"""

from collections import Counter
from dataclasses import dataclass, field

from tests.engine.mail_ledger import MailLedger
from visionflow.domain import events as e
from visionflow.domain import mesh_events as me
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent

Wanted = tuple[str, ...]
BIDDING_ENDS = (
    me.AuctionSettled,
    me.AuctionLapsed,
    e.TaskBlocked,
    e.TaskCancelled,
    e.TaskFailed,
)
PROCESS = e.WorkerStarted | e.WorkerJoined | e.WorkerLost | e.WorkerStopped
"""What tells of the life of a process."""


@dataclass
class Place:
    """A worker: what is known of its process, and whether another may start."""

    agents: set[str] = field(default_factory=set)
    incarnation: int = 0
    alive: bool = False
    joined: bool = False
    awaited: bool = False
    """Its process lives on from before a recovery, and hears nothing until it is back."""
    for_good: bool = False
    ending: bool = False
    """Its process is told to end so that another takes its place."""
    not_before_ms: int = 0


@dataclass
class Attempt:
    """An attempt that was given out and of which no end is recorded."""

    number: int
    agent: str
    begun: bool = False
    stop: str | None = None
    asked_back: bool = False


class Ledger:
    """Follows the events of a log."""

    def __init__(self) -> None:
        self.closed = False
        self.places: dict[str, Place] = {}
        self.home: dict[str, str] = {}
        self.life: dict[str, str] = {}
        self.memory: dict[str, int | None] = {}
        self.version: dict[str, int] = {}
        self.unbuilt: set[str] = set()
        """Up in an older version than the one that holds."""
        self.movers: dict[str, int | None] = {}
        """With the ceiling that they move to."""
        self.left_behind: dict[str, str] = {}
        """By agent that moved, the worker that still has it."""
        self.attempts: dict[str, Attempt] = {}
        self.debugging: dict[str, int] = {}
        self.retired = 0
        self.mail = MailLedger()

        self.lives: Counter[str] = Counter()
        """How often each agent got ready."""
        self.auctions: dict[str, me.AuctionOpened] = {}

    def see(self, event: AnyEvent) -> None:
        """Take one event into account."""
        self._bid(event)
        self.mail.see(event)
        if isinstance(event, e.SwarmClosed):
            self.closed = True
        elif isinstance(event, e.Recovered):
            for worker, place in self.places.items():
                place.awaited = worker in event.kept
        elif isinstance(event, s.DebugEnabled):
            self.debugging[event.agent] = event.until_ms
        elif isinstance(event, s.CeilingRaised):
            self.memory[event.agent] = event.memory_bytes
        elif type(event).__name__.startswith("Worker"):
            self._worker(event)
        elif isinstance(event, e.AgentSpawned):
            self._spawned(event)
        elif type(event).__name__.startswith("Agent"):
            self._agent(event)
        else:
            self._task(event)

    def _worker(self, event: AnyEvent) -> None:
        place = self.places[event.worker]
        if isinstance(event, s.WorkerRestarting):
            place.ending = True
        if isinstance(event, s.WorkerAdopted):
            place.joined, place.awaited = True, False
        if not isinstance(event, PROCESS):
            return
        place.ending = False
        place.incarnation = max(place.incarnation, event.incarnation)
        place.alive = isinstance(event, e.WorkerStarted | e.WorkerJoined)
        place.joined = isinstance(event, e.WorkerJoined)
        place.awaited = False
        if isinstance(event, e.WorkerLost):
            place.for_good = event.restart_at_ms is None
            place.not_before_ms = event.restart_at_ms or 0
        if not place.alive:
            self.left_behind = {a: w for a, w in self.left_behind.items() if w != event.worker}
        self._sweep(event.worker)

    def _sweep(self, worker: str) -> None:
        place = self.places[worker]
        if not place.agents and not place.alive:
            self.retired = max(self.retired, place.incarnation)
            del self.places[worker]

    def _spawned(self, event: e.AgentSpawned) -> None:
        place = self.places.setdefault(event.worker, Place(incarnation=self.retired))
        place.agents.add(event.spec.id)
        self.home[event.spec.id] = event.worker
        self.life[event.spec.id] = "spawned"
        self.memory[event.spec.id] = event.spec.limits.memory_bytes

    def _updated(self, event: e.AgentUpdated) -> None:
        name = event.spec.id
        self.version[name] = event.revision
        if self.life[name] in ("ready", "rebuilt"):
            self.unbuilt.add(name)
        if event.moves:
            self.movers[name] = event.spec.limits.memory_bytes

    def _moved(self, event: e.AgentMoved) -> None:
        before, self.home[event.agent] = self.home[event.agent], event.worker
        self.left_behind[event.agent] = before
        self.places[before].agents.discard(event.agent)
        self.places[event.worker] = Place({event.agent}, self.retired)
        self.memory[event.agent] = self.movers.pop(event.agent)
        self.life[event.agent] = "recovering"

    def _agent(self, event: AnyEvent) -> None:
        if isinstance(event, e.AgentUpdated):
            self._updated(event)
            return
        if isinstance(event, e.AgentMoved):
            self._moved(event)
            return
        if isinstance(event, e.AgentDeparted):
            del self.left_behind[event.agent]
            return
        if not isinstance(event, e.AgentDraining):
            self.unbuilt.discard(event.agent)
        if isinstance(event, e.AgentFailed) and event.agent in self.movers:
            # It does not move any more; should it come back, it is built where it is.
            self.memory[event.agent] = self.movers.pop(event.agent)
        if isinstance(event, e.AgentRecovering) and self.life[event.agent] == "failed":
            place = self.places[self.home[event.agent]]
            if place.for_good:
                place.for_good, place.not_before_ms = False, 0
        self.life[event.agent] = type(event).__name__.removeprefix("Agent").lower()
        if isinstance(event, e.AgentTerminated):
            worker = self.home.pop(event.agent)
            self.places[worker].agents.discard(event.agent)
            self._sweep(worker)

    def _bid(self, event: AnyEvent) -> None:
        if isinstance(event, me.AuctionOpened):
            self.auctions[event.task] = event
        elif isinstance(event, BIDDING_ENDS):
            self.auctions.pop(event.task, None)
        elif isinstance(event, e.AgentReady):
            self.lives[event.agent] += 1

    def _task(self, event: AnyEvent) -> None:
        if isinstance(event, e.TaskAssigned):
            self.attempts[event.task] = Attempt(event.attempt, event.agent)
        elif isinstance(event, e.TaskStarted):
            self.attempts[event.task].begun = True
        elif isinstance(event, e.TaskCancelling):
            self.attempts[event.task].stop = event.reason
        elif isinstance(event, s.AttemptRecalling):
            self.attempts[event.task].asked_back = True
        elif isinstance(event, e.TaskCompleted | e.AttemptFailed):
            self.attempts.pop(event.task, None)

    # What follows --------------------------------------------------------------------------

    def wanted(self) -> set[Wanted]:
        """Every effect that is due and of which no event says that it happened."""
        found: set[Wanted] = set()
        for worker, place in self.places.items():
            found |= self._of_place(worker, place)
        for task, attempt in self.attempts.items():
            worker = self.home[attempt.agent]
            place = self.places[worker]
            name = (worker, str(place.incarnation), task, str(attempt.number))
            if place.awaited:
                continue
            if attempt.stop is not None:
                found.add(("Cancel", *name, attempt.stop))
            elif not attempt.begun:
                found.add(("Recall" if attempt.asked_back else "Deliver", *name))
        return found

    def _of_place(self, worker: str, place: Place) -> set[Wanted]:
        found: set[Wanted] = set()
        useful = [a for a in place.agents if self.life[a] not in ("terminating", "failed")]
        needed = bool(useful) and not self.closed
        if needed and not place.alive and not place.for_good:
            limit = next((self.memory[a] for a in place.agents if self.memory[a]), None)
            after = (str(place.incarnation + 1), str(place.not_before_ms), str(limit))
            found.add(("StartWorker", worker, *after))
        if place.alive and (place.ending or not needed):
            found.add(("StopWorker", worker, str(place.incarnation)))
        joined = place.joined and not place.awaited
        for agent in place.agents if joined else ():
            if self.life[agent] in ("ready", "rebuilt", "draining"):
                found |= self.mail.wanted(agent, worker, place.incarnation)
            if agent in self.debugging:
                until = str(self.debugging[agent])
                found.add(("Debug", worker, str(place.incarnation), agent, until))
            host = ("Host", worker, str(place.incarnation), agent, str(self.version.get(agent, 0)))
            if self.life[agent] in ("initialising", "recovering"):
                if agent not in self.left_behind:
                    found.add(host)
            elif agent in self.unbuilt and agent not in self.movers:
                found.add(host)
            elif self.life[agent] == "terminating":
                found.add(("Drop", worker, str(place.incarnation), agent))
        for opened in self.auctions.values() if joined else ():
            for seat in opened.seats:
                ready = self.life.get(seat.agent) in ("ready", "rebuilt", "draining")
                here = ready and self.home.get(seat.agent) == seat.worker == worker
                if here and self.lives[seat.agent] == seat.incarnation:
                    told = (seat.agent, opened.task, str(opened.attempt))
                    found.add(("Bid", worker, str(place.incarnation), *told))
        for agent, where in self.left_behind.items():
            if where == worker and joined:
                found.add(("Drop", worker, str(place.incarnation), agent))
        return found
