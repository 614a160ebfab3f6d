"""What tasks of a swarm wait for, as a graph: results, locks, a turn with an agent. Pure.

Waits of one attempt count as all needed, as those of code that waits for one thing after the
other are; and a lock counts as held for as long as its holder waits for something.
"""

from collections.abc import Iterable
from typing import NamedTuple

from visionflow.domain.agents import AgentStatus
from visionflow.domain.limits import BATCH_MAX
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.domain.teams import LEADING_MAX, is_leading
from visionflow.engine.circuits import AGENT, HALF_OPEN
from visionflow.engine.matching import GroupKey, needs
from visionflow.engine.phasing import stages_of
from visionflow.engine.state import SwarmState, TaskState
from visionflow.engine.topology.seats import key_of, offers_of
from visionflow.engine.waitgraph import Need, Place, ring, stuck

OPEN = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
TURN = "\0turn"
"""What the nodes begin with that stand for a turn with any agent that could do a task."""


class Wait(NamedTuple):
    """A wait that begins in the decision that looks."""

    task: str
    on: str
    """The task whose result it waits for, or the holder of the lock."""
    lock: str | None = None


class Waits:
    """The waits of a swarm at one moment, and one `more`. `gone`: tasks whose attempt ends in the
    same decision."""

    def __init__(
        self,
        state: SwarmState,
        more: Wait | None = None,
        gone: dict[str, None] | None = None,
    ) -> None:
        self._state = state
        self._more = more
        self._gone = gone or {}
        self._turns: dict[str, Need | None] = {}
        self._asked: dict[str, tuple[GroupKey, bool]] = {}
        """By node of a turn: what is asked for, and whether it is to lead."""

    def starts(self) -> Iterable[str]:
        """Every task whose attempt waits."""
        state = self._state
        yield from state.supervised.waits
        for lock in state.supervised.locks.values():
            for task, _, _ in lock.queue:
                yield task

    def ring(self, starts: Iterable[str]) -> list[str]:
        """Tasks that wait for each other for ever: each for the next, the last for the first.
        Empty: none of `starts`, nor what they wait for, does."""
        starts = list(starts)
        found = stuck(self._need, starts)
        first = next((name for name in starts if name in found), None)
        if first is None:
            return []
        return [name for name in ring(found, first) if not name.startswith(TURN)]

    def waiting(self, task: str) -> bool:
        """Whether an open attempt at the task waits for something."""
        found = self._state.tasks.get(task)
        return found is not None and found.status in OPEN and bool(self._awaited(task))

    def in_words(self, name: str, following: str) -> str:
        """What a task of a ring waits for; `following` is the next of the ring."""
        task = self._state.tasks[name]
        if task.status in OPEN:
            lock = self._lock_between(name, following)
            if lock is not None:
                return f"{name} waits for lock {lock}, which {following} holds"
            if following in self._awaited(name):
                return f"{name} waits for the result of {following}"
            return f"{name} has its turn with agent {task.agent} after {following}"
        if task.status is TaskStatus.QUEUED:
            return f"{name} is queued for agents that are all taken by tasks that wait"
        if task.plan is not None:
            return f"{name} is a plan with {following} as a part"
        return f"{name} comes after {following}"

    # What each needs -------------------------------------------------------------------------

    def _need(self, name: str) -> Need | None:
        if name.startswith(TURN):
            return self._turn(name)
        task = self._state.tasks.get(name)
        if task is None or name in self._gone or task.cancelling is not None:
            return None
        match task.status:
            case TaskStatus.ASSIGNED | TaskStatus.RUNNING:
                return self._of_attempt(name, task)
            case TaskStatus.QUEUED:
                key, leads = key_of(self._state, task.spec), is_leading(task.spec.type)
                node = f"{TURN}{leads}{key!r}"
                self._asked[node] = key, leads
                return Need((node,))
            case TaskStatus.PENDING if task.retry_at_ms is None:
                return self._of_pending(task)
            case TaskStatus.ORCHESTRATING if task.plan is not None:
                plan = task.plan
                phases = plan.phases[: plan.current + 1]
                parts = self._alive(part for phase in phases for part in phase.tasks)
                return Need(parts) if parts else None
            case _:
                return None

    def _of_attempt(self, name: str, task: TaskState) -> Need | None:
        awaited = self._awaited(name)
        if awaited:
            return Need(tuple(awaited))
        if task.status is TaskStatus.RUNNING or task.agent is None or is_leading(task.spec.type):
            return None
        place = self._place(task.agent)
        if task.agent in self._state.supervised.batches:
            # It may be at work beside them, in one batch.
            place = Place(place.room * BATCH_MAX, place.taken)
        return None if len(place.taken) < place.room else Need(places=(place,))

    def _of_pending(self, task: TaskState) -> Need | None:
        needed = self._alive(task.spec.depends_on)
        root = None if task.spec.parent is None else self._state.tasks.get(task.spec.parent)
        places: tuple[Place, ...] | None = None
        if root is not None and root.plan is not None:
            plan = root.plan
            phase = plan.phases[task.phase]
            if plan.current < task.phase:
                needed += self._alive(plan.phases[plan.current].tasks)
            elif phase.is_bounded:
                for stage in stages_of(phase):
                    if task.spec.id in stage:
                        before = self._alive(stage[: stage.index(task.spec.id)])
                        places = (Place(phase.turns, before),) if phase.turns else None
                        break
                    needed += self._alive(stage)
        return Need(needed, places) if needed or places else None

    def _alive(self, names: Iterable[str]) -> tuple[str, ...]:
        tasks = self._state.tasks
        found = ((name, tasks.get(name)) for name in names)
        return tuple(n for n, task in found if task is not None and task.status not in TERMINAL)

    def _awaited(self, name: str) -> list[str]:
        """Tasks that the open attempt at a task waits for, or for a lock of."""
        if name in self._gone:
            return []
        state = self._state
        found = list(self._alive(state.supervised.waits.get(name, ())))
        for lock in state.lockers.get(name, ()):
            holder = state.supervised.locks[lock].holder
            if holder is not None and holder[0] != name:
                found.append(holder[0])
        if self._more is not None and self._more.task == name:
            found.extend(self._alive((self._more.on,)))
        return found

    def _lock_between(self, name: str, holder: str) -> str | None:
        locks, more = self._state.supervised.locks, self._more
        if more is not None and more[:2] == (name, holder):
            return more.lock
        for lock in self._state.lockers.get(name, ()):
            held = locks[lock].holder
            if held is not None and held[0] == holder != name:
                return lock
        return None

    def _turn(self, node: str) -> Need | None:
        """Of a turn with any agent that could do a task; `None` where nobody could: that is no
        deadlock, and told as it is."""
        if node not in self._turns:
            self._turns[node] = self._turn_of(*self._asked[node])
        return self._turns[node]

    def _turn_of(self, key: GroupKey, leads: bool) -> Need | None:
        state, wanted = self._state, needs(key)
        places: list[Place] = []
        leaving: list[Place] = []
        for name, agent in state.agents.items():
            if key[2] not in (None, name):
                continue
            if agent.status in (AgentStatus.TERMINATING, AgentStatus.FAILED):
                continue
            if not wanted <= offers_of(state, agent.spec):
                continue
            if name in state.draining:
                leaving.append(self._idle((name,)))
                continue
            place = self._until_idle(name) or self._place(name, leads)
            if len(place.taken) < place.room:
                return None
            places.append(place)
        # Where only those could do it who are on their way out, they would stay for ever: what they
        # hold waits for what they do not begin any more.
        found = places or leaving
        if not found or any(len(place.taken) < place.room for place in found):
            return None
        return Need(places=tuple(found))

    def _until_idle(self, agent: str) -> Place | None:
        """Of an agent that gets nothing until all that it, or its worker, holds has ended."""
        state, sup = self._state, self._state.supervised
        names: dict[str, None] = {}
        circuit = sup.circuits.get(f"{AGENT}{agent}")
        half_open = circuit is not None and circuit.status is HALF_OPEN
        if agent in state.updating or agent in state.moving or half_open:
            names[agent] = None
        worker = state.workers.get(state.agents[agent].worker)
        if worker is not None and worker.id in sup.recycling:
            names.update(worker.agents)
        return self._idle(names) if names else None

    def _idle(self, agents: Iterable[str]) -> Place:
        """A turn that comes once these hold nothing: what leads others keeps it too."""
        held = (task for name in agents for task in self._state.agents[name].open)
        return Place(1, tuple(task for task in held if self.waiting(task)))

    def _place(self, agent: str, leads: bool = False) -> Place:
        """The places in which an agent works; those in which it leads are beside them."""
        found, tasks = self._state.agents[agent], self._state.tasks
        works = [task for task in found.open if not is_leading(tasks[task].spec.type)]
        taken = tuple(task for task in (found.open if leads else works) if self.waiting(task))
        room = LEADING_MAX + max(1, len(works)) if leads else found.spec.tasks_max
        return Place(room, taken)
