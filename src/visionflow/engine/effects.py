"""Effects: what the shell must still do, given the state.

There is no outbox: `outstanding` reads every effect off the state, so after a crash nothing can
be forgotten that the log remembers. Each may be carried out again without harm: a worker knows
the (task, attempt) and the agents it has, and a process is known by its incarnation.
"""

from collections.abc import Iterator

import msgspec

from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.mesh import Seat
from visionflow.domain.messages import Dispatch, RecordedStep
from visionflow.domain.tasks import DEFAULT_RETRY, Backoff, Payload, TaskStatus
from visionflow.engine.scoring import RECORD_TASKS_MIN
from visionflow.engine.state import AgentState, SwarmState, TaskState, WorkerState

NONE = Backoff.NONE
ANNOUNCE_ABOVE_US = 20_000
"""Starts of tasks expected to be shorter are only told of when they turn out longer."""


class StartWorker(msgspec.Struct, frozen=True, gc=False):
    """Start a process, not before `at_ms`."""

    worker: str
    incarnation: int
    at_ms: int
    memory_bytes: int | None


class StopWorker(msgspec.Struct, frozen=True, gc=False):
    """End a process that nothing needs."""

    worker: str
    incarnation: int


class Host(msgspec.Struct, frozen=True, gc=False):
    """Have a worker build an agent."""

    worker: str
    incarnation: int
    agent: str
    revision: int = 0


class Drop(msgspec.Struct, frozen=True, gc=False):
    """Have a worker end an agent."""

    worker: str
    incarnation: int
    agent: str


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Give an attempt to the worker of its agent."""

    worker: str
    incarnation: int
    task: str
    attempt: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Tell a worker to stop an attempt."""

    worker: str
    incarnation: int
    task: str
    attempt: int
    reason: str


class Debug(msgspec.Struct, frozen=True, gc=False):
    """Have a worker keep an agent's lines of level debug until then."""

    worker: str
    incarnation: int
    agent: str
    until_ms: int


class Recall(msgspec.Struct, frozen=True, gc=False):
    """Ask a worker to give an attempt back unless it has begun."""

    worker: str
    incarnation: int
    task: str
    attempt: int


class Hand(msgspec.Struct, frozen=True, gc=False):
    """Give a message to the worker of its agent, which handles messages itself."""

    worker: str
    incarnation: int
    agent: str
    delivery: int


class Bid(msgspec.Struct, frozen=True, gc=False):
    """Tell a worker of an auction in which an agent of it has a vote."""

    worker: str
    incarnation: int
    agent: str
    task: str
    attempt: int


ABLE = (AgentStatus.READY, AgentStatus.PROCESSING)
Effect = StartWorker | StopWorker | Host | Drop | Deliver | Cancel | Debug | Recall | Hand | Bid


def outstanding(state: SwarmState) -> Iterator[Effect]:
    """Every effect that must still happen and is not confirmed."""
    for worker in state.workers.values():
        yield from of_worker(state, worker)


def of_worker(state: SwarmState, worker: WorkerState) -> Iterator[Effect]:
    """The same, for one worker and all that it hosts."""
    needed = state.closed is None and any(
        state.agents[name].status not in (AgentStatus.TERMINATING, AgentStatus.FAILED)
        for name in worker.agents
    )
    if worker.status is WorkerStatus.WANTED and needed:
        yield StartWorker(
            worker.id, worker.incarnation + 1, worker.restart_at_ms, memory_of(state, worker)
        )
    if worker.status not in (WorkerStatus.STARTING, WorkerStatus.JOINED):
        return
    if not needed or worker.id in state.supervised.restarting:
        yield StopWorker(worker.id, worker.incarnation)
    # One that lives on from before a recovery hears nothing until it says hello.
    if worker.status is WorkerStatus.JOINED and worker.id not in state.supervised.awaited:
        updating, debugging = state.updating, state.supervised.debugging
        inboxes = state.mail.inboxes
        for name in worker.agents:
            agent = state.agents[name]
            # Of hundreds on one worker almost all need nothing.
            if agent.open or agent.status not in ABLE or name in updating or name in debugging:
                yield from _of_agent(state, worker, agent)
            if name in inboxes:
                yield from _mail(state, worker, agent)
        for name, place in state.departing.items():
            if place == worker.id:
                yield Drop(worker.id, worker.incarnation, name)
        for task, auction in state.mesh.auctions.items():
            for seat in auction.seats:
                # Not to one in its next life: it would promise what its former self promised not.
                if seat.worker == worker.id and holds_seat(state, seat):
                    yield Bid(worker.id, worker.incarnation, seat.agent, task, auction.attempt)


def holds_seat(state: SwarmState, seat: Seat) -> bool:
    """Whether an agent still is what it was when it got its vote in an auction."""
    agent = state.agents.get(seat.agent)
    if agent is None or agent.worker != seat.worker or agent.status not in ABLE:
        return False
    return state.lives.of(seat.agent) == seat.incarnation


def memory_of(state: SwarmState, worker: WorkerState) -> int | None:
    """The memory ceiling of a worker's process, in bytes; `None`: it has none."""
    if not worker.dedicated:
        return None
    for name in worker.agents:
        if name in state.moving:
            return state.moving[name]
        return state.agents[name].spec.limits.memory_bytes
    return None


def hears(state: SwarmState, agent: AgentState) -> bool:
    """Whether messages are handed to an agent now: it is up, and handles them itself."""
    life = state.mail.handling.get(agent.spec.id)
    if life is None or agent.status not in ABLE or agent.worker in state.supervised.awaited:
        return False
    worker = state.workers[agent.worker]
    return worker.status is WorkerStatus.JOINED and life == (worker.id, worker.incarnation)


def _mail(state: SwarmState, worker: WorkerState, agent: AgentState) -> Iterator[Effect]:
    if hears(state, agent):
        name = agent.spec.id
        for delivery in state.mail.inboxes[name].deliveries:
            yield Hand(worker.id, worker.incarnation, name, delivery)


def _of_agent(state: SwarmState, worker: WorkerState, agent: AgentState) -> Iterator[Effect]:
    name = agent.spec.id
    if agent.status in (AgentStatus.INITIALISING, AgentStatus.RECOVERING):
        # Where it was before, it may still be using its folder.
        if name not in state.departing:
            yield Host(worker.id, worker.incarnation, name, state.revisions.get(name, 0))
    elif agent.status in ABLE:
        if name in state.updating and name not in state.moving:
            yield Host(worker.id, worker.incarnation, name, state.revisions[name])
    elif agent.status is AgentStatus.TERMINATING:
        yield Drop(worker.id, worker.incarnation, name)
    until_ms = state.supervised.debugging.get(name)
    if until_ms is not None:
        yield Debug(worker.id, worker.incarnation, name, until_ms)
    for task, attempt in agent.open.items():
        found = state.tasks[task]
        if found.cancelling is not None:
            yield Cancel(worker.id, worker.incarnation, task, attempt, found.cancelling)
        elif found.status is TaskStatus.ASSIGNED:
            # One that was asked back is not given out again: a worker that does not know it says
            # so, and that is an answer too.
            kind = Recall if state.supervised.recalling.get(task) == attempt else Deliver
            yield kind(worker.id, worker.incarnation, task, attempt)


def dispatch(state: SwarmState, task: TaskState, agent_id: str | None = None) -> Dispatch:
    """The message that delivers the open attempt of a task to its agent, or to one that bids."""
    spec, agent = task.spec, state.agents[agent_id or task.agent or ""]
    default_ms = 0 if state.spec is None else state.spec.limits.attempt_timeout_ms
    steps = (
        ()
        if task.steps is None
        else tuple(RecordedStep(key, step.value, step.tree) for key, step in task.steps.items())
    )
    return Dispatch(
        task=spec.id,
        attempt=task.attempt,
        agent=agent.spec.id,
        type=spec.type,
        description=spec.description,
        input=spec.input,
        config=spec.config,
        capabilities=spec.capabilities,
        priority=spec.priority,
        deadline_ms=spec.deadline_ms,
        timeout_ms=state.supervised.timeouts.get(spec.id) or spec.timeout_ms or default_ms,
        steps=steps,
        dependencies=_dependencies(state, task),
        suspect=task.kills > 0 or task.crashes > 0,
        alone=_stands_alone(task),
        announce=agent.completed < RECORD_TASKS_MIN or agent.mean_us >= ANNOUNCE_ABOVE_US,
    )


def _stands_alone(task: TaskState) -> bool:
    """Whether a task is to share no batch: one that failed might fail the others with it, and one
    that may not be tried again would have to bear their failure."""
    policy = task.spec.retry
    if policy is not DEFAULT_RETRY and (policy.attempts_max == 1 or policy.backoff is NONE):
        return True
    return bool(task.failures or task.kills or task.crashes or task.steps)


def _dependencies(state: SwarmState, task: TaskState) -> tuple[tuple[str, Payload], ...]:
    """Results of what the task depends on, of the phase before its own, and of those it uses."""
    names = list(task.spec.depends_on)
    root = None if task.spec.parent is None else state.tasks.get(task.spec.parent)
    if root is not None and root.plan is not None and task.phase > 0:
        phases = root.plan.phases
        for place in sorted({*phases[task.phase].uses, task.phase - 1}):
            names.extend(phases[place].tasks)
    found: list[tuple[str, Payload]] = []
    for name in dict.fromkeys(names):
        needed = state.tasks.get(name)
        if needed is not None and needed.status is TaskStatus.COMPLETED:
            found.append((name, needed.result))
    return tuple(found)
