"""Decisions about the processes of workers: their starts and ends, and what follows for agents.

A death is answered by the strategy of the agent whose process it was, and by the swarm's
supervision; an end that was wanted by neither.
"""

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.events import AnyEvent
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import WENT_AWAY, FailureKind, TaskStatus
from visionflow.engine.decide import balloting
from visionflow.engine.decide.attempts import Ending, end_attempt
from visionflow.engine.decide.building import UP, finding, mend, reconfigured
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.draining import LIVE
from visionflow.engine.decide.parting import (
    PARTED_AFTER,
    apart,
    blocked_again,
    is_to_part,
    part_newcomers,
)
from visionflow.engine.decide.recovering import (
    exhausted_before,
    higher_ceiling,
    owner,
    restart_at,
    strategy_of,
    was_raised,
    worker_recovery,
)
from visionflow.engine.decide.supervising import bears_no_more, degrade, restart_siblings
from visionflow.engine.decide.table import decides
from visionflow.engine.diagnosis import is_error, last_line
from visionflow.engine.state import SwarmState, WorkerState

Events = list[AnyEvent]
NAMES_MAX = 5
"""Agents of a process that are named when it dies."""


def is_current(state: SwarmState, worker: str, incarnation: int) -> bool:
    """Whether this is the process that a worker has now."""
    found = state.workers.get(worker)
    return found is not None and found.incarnation == incarnation and found.status in LIVE


@decides(c.ReportWorkerStarted)
def _(state: SwarmState, command: c.ReportWorkerStarted) -> Events:
    worker = state.workers.get(command.worker)
    if worker is None or worker.status in LIVE or command.incarnation <= worker.incarnation:
        return []
    events: Events = [
        e.WorkerStarted(
            worker=command.worker,
            incarnation=command.incarnation,
            pid=command.pid,
            started=command.started,
            secret_hash=command.secret_hash,
        )
    ]
    for name in worker.agents:
        if state.agents[name].status is AgentStatus.CREATED:
            events.append(e.AgentInitialising(agent=name))
    return events


@decides(c.ReportWorkerJoined)
def _(state: SwarmState, command: c.ReportWorkerJoined) -> Events:
    worker = state.workers.get(command.worker)
    if worker is None or worker.incarnation != command.incarnation:
        return []
    if worker.status is not WorkerStatus.STARTING or worker.id in state.supervised.awaited:
        return []
    return [e.WorkerJoined(worker=command.worker, incarnation=command.incarnation)]


@decides(c.ReportWorkerLost)
def _(state: SwarmState, command: c.ReportWorkerLost) -> Events:
    worker = state.workers.get(command.worker)
    if worker is None or worker.status is WorkerStatus.FAILED:
        return []
    never_started = worker.status is WorkerStatus.WANTED
    if command.incarnation != worker.incarnation + never_started:
        return []
    closing, now_ms = Closing(state), command.now_ms
    reason, mended = _last_words(state, worker, command)
    ceiling, busy = _new_ceiling(state, worker, command), _is_busy(state, worker)
    judged = _judged(state, worker, command.kind, ceiling)
    advice = command.advice or Advice()
    too_many = bears_no_more(state, judged or command.kind, now_ms)
    if too_many is None and advice.restart is False:
        too_many = f"worker {worker.id} died, and its strategy gives it up"
    restart_at_ms = None
    if too_many is None:
        # Each attempt that is open now counts this against its task, which ends after a few. Where
        # the worker were given up too, one bad task would take every other's agents with it.
        counts_as = FailureKind.KILLED if busy else judged or command.kind
        restart_at_ms = restart_at(worker, counts_as, now_ms, strategy_of(state, worker))
        if restart_at_ms is not None and advice.wait_ms is not None:
            restart_at_ms = now_ms + advice.wait_ms
    again = restart_at_ms is not None
    closing.events.append(
        e.WorkerLost(
            worker=worker.id,
            incarnation=worker.incarnation + never_started,
            kind=command.kind,
            reason=reason,
            restart_at_ms=restart_at_ms,
            busy=busy,
            probes=command.probes,
            judged=judged,
        )
    )
    excused = ceiling is not None or was_raised(state, worker)
    given_up = None if again else too_many or f"worker {worker.id} died too often: {reason}"
    parted_after = PARTED_AFTER.get(command.kind) if again else None
    _lose_agents(
        state, closing, worker, command.kind, reason, now_ms, given_up, excused, parted_after
    )
    if state.closed is not None:
        return closing.events
    wait_ms = None if restart_at_ms is None else restart_at_ms - now_ms
    if not again:
        mended = None
    closing.events.append(
        worker_recovery(state, worker, command.kind, wait_ms, ceiling, mended, command.advice)
    )
    if mended is not None:
        closing.events.append(mended)
    if ceiling is not None:
        closing.events.append(ceiling)
    if given_up is None:
        restart_siblings(state, closing, worker)
    else:
        degrade(closing, given_up, [n for n in worker.agents if _is_wanted(state, n)])
    return closing.events


def _last_words(
    state: SwarmState, worker: WorkerState, command: c.ReportWorkerLost
) -> tuple[str, e.AgentUpdated | None]:
    """Why a process died, with what it said itself; and its agent without the fault that a crash
    names, where its strategy mends such."""
    spec, reason = owner(state, worker), command.reason
    line = last_line(command.last_words) if command.kind is FailureKind.CRASH else None
    if line is not None:
        # Whoever printed a line that is no exception may have ended long before.
        what = "its last words" if is_error(line) else "the last line that it had printed"
        reason = f"{reason}; {what}: {line}"
    if spec is None:
        return reason, None
    agent = state.agents[spec.id]
    if agent.status not in (*UP, AgentStatus.INITIALISING, AgentStatus.RECOVERING):
        return reason, None
    advised = reconfigured(state, agent, command.advice)
    if advised is not None or line is None:
        return reason, advised
    return reason, mend(state, agent, finding(spec, command.last_words))


def _is_busy(state: SwarmState, worker: WorkerState) -> bool:
    return any(state.agents[name].open for name in worker.agents)


def _is_wanted(state: SwarmState, agent: str) -> bool:
    status = state.agents[agent].status
    return status not in (AgentStatus.TERMINATING, AgentStatus.FAILED)


def _new_ceiling(
    state: SwarmState, worker: WorkerState, command: c.ReportWorkerLost
) -> s.CeilingRaised | None:
    advice, exhausted = command.advice, command.kind is FailureKind.RESOURCES
    wanted = advice is not None and advice.memory_bytes is not None
    if not (exhausted or wanted) or exhausted_before(state, worker):
        return None
    return higher_ceiling(state, worker, command.machine_bytes, advice)


def _judged(
    state: SwarmState, worker: WorkerState, kind: FailureKind, ceiling: s.CeilingRaised | None
) -> FailureKind | None:
    """What a death counts as for restart intensities, where that is another kind: nothing, where
    memory ran out and that was mended, or its attempts have been judged for it already. Nobody may
    be left who was told that this was the end of it too."""
    ended = kind in (FailureKind.RESOURCES, FailureKind.CRASH)
    exhausted = ended and exhausted_before(state, worker)
    return FailureKind.KILLED if exhausted or ceiling is not None else None


@decides(c.ReportWorkerStopped)
def _(state: SwarmState, command: c.ReportWorkerStopped) -> Events:
    worker = state.workers.get(command.worker)
    if worker is None or not is_current(state, command.worker, command.incarnation):
        return []
    closing, now_ms = Closing(state), command.now_ms
    wanted = state.supervised.restarting.get(command.worker)
    closing.events.append(
        e.WorkerStopped(worker=command.worker, incarnation=command.incarnation, reason=wanted or "")
    )
    if wanted is not None:
        _go_on_anew(state, closing, worker)
        _excuse(state, closing, worker, f"worker {worker.id} is restarted: {wanted}", now_ms)
        return closing.events
    # An agent may have been placed on it after it was told to end.
    reason = "its process was told to end"
    _lose_agents(state, closing, worker, FailureKind.KILLED, reason, now_ms)
    return closing.events


@decides(c.ReportStopped)
def _(state: SwarmState, command: c.ReportStopped) -> Events:
    closing = Closing(state)
    ended = [
        state.workers[name] for name, number in command.workers if is_current(state, name, number)
    ]
    for worker in ended:
        goes_on = any(state.agents[name].status in UP for name in worker.agents)
        closing.events.append(
            e.WorkerStopped(
                worker=worker.id,
                incarnation=worker.incarnation,
                reason=e.WITH_ORCHESTRATOR if goes_on else "",
            )
        )
        _go_on_anew(state, closing, worker)
    for worker in ended:
        told = f"worker {worker.id}: {e.WITH_ORCHESTRATOR}"
        _excuse(state, closing, worker, told, command.now_ms)
    return closing.events


def _go_on_anew(state: SwarmState, closing: Closing, worker: WorkerState) -> None:
    """The process ended so that another takes its place: its agents are built there."""
    for name in worker.agents:
        status = state.agents[name].status
        if status is AgentStatus.TERMINATING:
            closing.events.append(e.AgentTerminated(agent=name))
        elif status in (AgentStatus.INITIALISING, AgentStatus.READY, AgentStatus.PROCESSING):
            closing.events.append(e.AgentRecovering(agent=name))


def _excuse(
    state: SwarmState, closing: Closing, worker: WorkerState, reason: str, now_ms: int
) -> None:
    """What was open in a process whose end was wanted is no failure."""
    for name in worker.agents:
        for task in state.agents[name].open:
            found = state.tasks[task]
            end_attempt(closing, found, now_ms, Ending(FailureKind.KILLED, reason, excused=True))


def lose_to_recovery(state: SwarmState, closing: Closing, worker: WorkerState, now_ms: int) -> None:
    """A process ended with its orchestrator: another takes its place at once."""
    kind, reason = FailureKind.KILLED, "its orchestrator ended"
    closing.events.append(
        e.WorkerLost(
            worker=worker.id,
            incarnation=worker.incarnation,
            kind=kind,
            reason=reason,
            restart_at_ms=now_ms,
            busy=_is_busy(state, worker),
        )
    )
    _lose_agents(state, closing, worker, kind, reason, now_ms)


def _lose_agents(
    state: SwarmState,
    closing: Closing,
    worker: WorkerState,
    kind: FailureKind,
    reason: str,
    now_ms: int,
    given_up: str | None = None,
    excused: bool = False,
    parted_after: int | None = None,
) -> None:
    """`given_up`: why the process does not start again, if it does not."""
    suspects = [name for name in worker.agents if _running(state, name)]
    shared = kind is FailureKind.CRASH and len(suspects) > 1
    in_time = _in_time(state, worker, now_ms) if kind is FailureKind.TIMEOUT else {}
    # What ran in it and may have ended it; where that is nothing, it was the start of an agent.
    late = [name for name in suspects if any(t not in in_time for t in _running(state, name))]
    told = f"worker {worker.id}: {reason}"
    if shared:
        told = f"{told}; agents {_few(suspects)} worked in it, and whose doing it was is not known"
    for name in worker.agents:
        _lose_agent(state, closing, name, kind, reason, given_up)
        if parted_after is None or len(suspects) < 2 or name not in late:
            continue
        if kind is FailureKind.TIMEOUT:
            parts = blocked_again(state, name, parted_after, in_time)
        else:
            parts = is_to_part(state, name, parted_after)
        if parts:
            closing.events.append(apart(state, name, worker))
    if parted_after is not None and not late:
        part_newcomers(state, closing, worker)
    for name in worker.agents:
        for task in state.agents[name].open:
            found = state.tasks[task]
            began = found.status is TaskStatus.RUNNING
            guilty = began and not shared and task not in in_time
            # Where memory ran out and that was mended nothing counts, and all may be told by name.
            mended = excused and kind is FailureKind.RESOURCES
            suspect = kind if guilty or mended else FailureKind.KILLED
            words = told if began else f"{told}; nobody had heard yet that the attempt began"
            if began and task in in_time:
                words = f"{told}; its own time was not over"
            # Excused and gone is what supervision ended on purpose, and nobody else's end.
            free = excused and suspect not in WENT_AWAY
            end_attempt(closing, found, now_ms, Ending(suspect, words, excused=free))


def _in_time(state: SwarmState, worker: WorkerState, now_ms: int) -> dict[str, None]:
    """Of what ran in a process that one attempt, or one start, blocked beyond its limit, what has
    time left by its own. An attempt that was alone in it is the one."""
    starting = any(
        state.agents[agent].status is AgentStatus.INITIALISING or agent in state.updating
        for agent in worker.agents
    )
    running = [name for agent in worker.agents for name in _running(state, agent)]
    if len(running) < 2 and not starting:
        return {}
    late = dict.fromkeys(state.clocks.overdue(now_ms, 0))
    return {name: None for name in running if name not in late}


def _running(state: SwarmState, agent: str) -> list[str]:
    """Of what an agent holds, what has begun as far as the log says."""
    tasks = state.tasks
    return [name for name in state.agents[agent].open if tasks[name].status is TaskStatus.RUNNING]


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_MAX])
    return shown if len(names) <= NAMES_MAX else f"{shown} and {len(names) - NAMES_MAX} more"


def _lose_agent(
    state: SwarmState,
    closing: Closing,
    name: str,
    kind: FailureKind,
    reason: str,
    given_up: str | None,
) -> None:
    status = state.agents[name].status
    if status is AgentStatus.TERMINATING:
        closing.events.append(e.AgentTerminated(agent=name))
        return
    if status is AgentStatus.CREATED and given_up is not None:
        closing.events.append(e.AgentInitialising(agent=name))
        status = AgentStatus.INITIALISING
    if status in (AgentStatus.INITIALISING, AgentStatus.READY, AgentStatus.PROCESSING):
        closing.events.append(e.AgentErrored(agent=name, kind=kind, reason=reason))
        status = AgentStatus.ERROR
        if given_up is None:
            closing.events.append(e.AgentRecovering(agent=name))
            return
    if given_up is not None and status in (AgentStatus.ERROR, AgentStatus.RECOVERING):
        closing.events.append(e.AgentFailed(agent=name, reason=given_up))
        balloting.leaves(closing, name, f"agent {name} failed: {given_up}")
