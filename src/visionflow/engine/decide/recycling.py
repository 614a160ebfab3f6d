"""Decisions about recycling: a process that has grown, worked long or grown old is replaced.

Its agents get nothing new, what they hold is finished, and only then is the process told to end;
others take the work meanwhile. A process whose task never ends is not replaced by that: its memory
ceiling still ends it.
"""

from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.events import AnyEvent
from visionflow.engine.decide.draining import LIVE
from visionflow.engine.decide.table import decides
from visionflow.engine.evolve.supervising import attempts_ended
from visionflow.engine.state import SwarmState, WorkerState

Events = list[AnyEvent]


@decides(sc.RecycleWorker)
def _(state: SwarmState, command: sc.RecycleWorker) -> Events:
    worker = state.workers.get(command.worker)
    if worker is None or worker.incarnation != command.incarnation or state.closed is not None:
        return []
    if worker.status not in LIVE or _is_replaced(state, worker.id):
        return []
    return [
        s.WorkerRecycling(
            worker=worker.id,
            incarnation=worker.incarnation,
            reason=command.reason,
            command=command.command,
        )
    ]


def _is_replaced(state: SwarmState, worker: str) -> bool:
    return worker in state.supervised.recycling or worker in state.supervised.restarting


def replacements_due(state: SwarmState, now_ms: int) -> bool:
    """Whether `replace_due` would do anything. Cheap while nothing is recycled."""
    sup = state.supervised
    if not sup.recycling and not sup.lives:
        return False
    return any(_is_idle(state, name) for name in sup.recycling) or any(
        _too_old(state, name, now_ms) is not None for name in sup.lives
    )


def replace_due(state: SwarmState, now_ms: int) -> Events:
    """Begin to drain what has worked or lived for too long, and end what is drained."""
    if state.closed is not None:
        return []
    sup, events = state.supervised, list[AnyEvent]()
    for name, reason in sup.recycling.items():
        if _is_idle(state, name):
            incarnation = state.workers[name].incarnation
            events.append(s.WorkerRestarting(worker=name, incarnation=incarnation, reason=reason))
    for name in sup.lives:
        reason = _too_old(state, name, now_ms)
        if reason is not None:
            incarnation = state.workers[name].incarnation
            fate = s.WorkerRestarting if _is_idle(state, name) else s.WorkerRecycling
            events.append(fate(worker=name, incarnation=incarnation, reason=reason))
    return events


def _is_idle(state: SwarmState, worker: str) -> bool:
    return not any(state.agents[name].open for name in state.workers[worker].agents)


def _too_old(state: SwarmState, name: str, now_ms: int) -> str | None:
    """Why a process is to be replaced by its age or its work, if it is."""
    if _is_replaced(state, name):
        return None
    worker, life = state.workers[name], state.supervised.lives[name]
    if worker.status is not WorkerStatus.JOINED:
        return None
    specs = [state.agents[agent].spec.recycling for agent in worker.agents]
    tasks_max = min((spec.tasks_max for spec in specs if spec.tasks_max is not None), default=None)
    age_ms = min((spec.age_ms for spec in specs if spec.age_ms is not None), default=None)
    if tasks_max is not None:
        done = attempts_ended(state, worker) - life.done
        if done >= tasks_max:
            return f"its process has done {done} tasks, and is replaced after {tasks_max}"
    if age_ms is not None and now_ms - life.joined_ms >= age_ms:
        return f"its process is {now_ms - life.joined_ms} ms old, and is replaced after {age_ms} ms"
    return None


def too_large(state: SwarmState, worker: WorkerState, resident_bytes: int) -> str | None:
    """Why a process is to be replaced by the memory that it holds, if it is."""
    if not worker.dedicated or worker.status is not WorkerStatus.JOINED:
        return None
    for name in worker.agents:
        spec = state.agents[name].spec
        ceiling, share_bp = spec.limits.memory_bytes, spec.recycling.memory_bp
        if name in state.moving or ceiling is None or share_bp is None:
            return None
        if resident_bytes * 10_000 < ceiling * share_bp or _is_replaced(state, worker.id):
            return None
        return (
            f"its process holds {resident_bytes} bytes, {resident_bytes * 100 // ceiling} % of its "
            f"ceiling of {ceiling}; it is replaced at {share_bp / 100:g} %"
        )
    return None
