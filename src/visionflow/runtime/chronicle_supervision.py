"""What a log line tells of each event of supervision; it fills the table of `chronicle_words`."""

from datetime import UTC, datetime

from visionflow.domain import supervision_events as s
from visionflow.runtime.chronicle_words import REASON_CHARS_MAX, Known, Told, one_line, tells

AGENT_CIRCUIT = "agent:"
"""What the name of an agent's circuit begins with."""


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _why(text: str) -> str:
    return one_line(text, REASON_CHARS_MAX)


def _worker(event: s.WorkerSuspected | s.WorkerTrusted | s.WorkerAdopted, known: Known) -> str:
    return f"{event.worker}.{event.incarnation} of {known.swarm}"


# Workers ---------------------------------------------------------------------------------------


@tells("warning", "agent", s.WorkerSuspected)
def _(event: s.WorkerSuspected, known: Known) -> Told:
    told = f"{_worker(event, known)} gets nothing new: {_why(event.evidence)}"
    return Told(None, "worker_suspected", told)


@tells("info", "agent", s.WorkerTrusted)
def _(event: s.WorkerTrusted, known: Known) -> Told:
    told = f"{_worker(event, known)} is heard again: {_why(event.evidence)}"
    return Told(None, "worker_trusted", told)


@tells("info", "agent", s.WorkerAdopted)
def _(event: s.WorkerAdopted, known: Known) -> Told:
    count = len(event.attempts)
    holds = f"it holds {count} attempt{'' if count == 1 else 's'}"
    told = f"{_worker(event, known)} lived through the restart of the server; {holds}"
    return Told(None, "worker_adopted", told)


@tells("info", "agent", s.WorkerRecycling)
def _(event: s.WorkerRecycling, known: Known) -> Told:
    told = f"{event.worker}.{event.incarnation} is replaced once it holds nothing"
    return Told(None, "worker_recycling", f"{told}: {_why(event.reason)}")


@tells("info", "agent", s.WorkerRestarting)
def _(event: s.WorkerRestarting, known: Known) -> Told:
    told = f"{event.worker}.{event.incarnation} is told to end, and another takes its place"
    return Told(None, "worker_restarting", f"{told}: {_why(event.reason)}")


@tells("error", "agent", s.SwarmDegraded)
def _(event: s.SwarmDegraded, known: Known) -> Told:
    return Told(None, "swarm_degraded", f"{known.swarm}: {_why(event.reason)}")


@tells("info", "agent", s.SwarmRestored)
def _(event: s.SwarmRestored, known: Known) -> Told:
    return Told(None, "swarm_restored", f"{known.swarm} is whole again: {_why(event.reason)}")


# Recovery --------------------------------------------------------------------------------------


@tells("warning", "fault", s.RecoveryChosen)
def _(event: s.RecoveryChosen, known: Known) -> Told:
    of = [] if event.task is None else [known.task(event.task)]
    if event.worker is not None:
        of.append(f"worker {event.worker}")
    action = _why(event.action)
    if event.task is not None:
        action = known.reason(event.task, event.action)
    told = f"{event.cause} is met by {_why(event.strategy)}: {action}"
    agent = event.agent
    if agent is None and event.task is not None:
        agent = known.holders.get(event.task)
    return Told(agent, "recovery_chosen", f"{', '.join(of)}: {told}" if of else told)


@tells("warning", "agent", s.CeilingRaised)
def _(event: s.CeilingRaised, known: Known) -> Told:
    told = f"its memory ceiling is {event.memory_bytes} bytes from now on, not {event.before_bytes}"
    return Told(event.agent, "ceiling_raised", told)


@tells("warning", "fault", s.AttemptStalled)
def _(event: s.AttemptStalled, known: Known) -> Told:
    why = known.reason(event.task, event.evidence)
    told = f"{known.task(event.task)}, attempt {event.attempt} makes no progress: {why}"
    return Told(known.holders.get(event.task), "attempt_stalled", told)


@tells("info", "task", s.AttemptProgressed)
def _(event: s.AttemptProgressed, known: Known) -> Told:
    why = known.reason(event.task, event.evidence)
    told = f"{known.task(event.task)}, attempt {event.attempt} makes progress again: {why}"
    return Told(known.holders.get(event.task), "attempt_progressed", told)


@tells("info", "task", s.AttemptRecalling)
def _(event: s.AttemptRecalling, known: Known) -> Told:
    why = known.reason(event.task, event.reason)
    told = f"{known.task(event.task)}, attempt {event.attempt} is asked back: {why}"
    return Told(known.holders.get(event.task), "attempt_recalling", told)


# Circuits --------------------------------------------------------------------------------------


def _of_circuit(circuit: str) -> str | None:
    return circuit.removeprefix(AGENT_CIRCUIT) if circuit.startswith(AGENT_CIRCUIT) else None


@tells("debug", "fault", s.CircuitCounted)
def _(event: s.CircuitCounted, known: Known) -> Told:
    told = f"{event.circuit}: {event.failures} failures in a row"
    return Told(_of_circuit(event.circuit), "circuit_counted", told)


@tells("error", "fault", s.CircuitOpened)
def _(event: s.CircuitOpened, known: Known) -> Told:
    told = f"{event.circuit} after {event.failures} failures, until {_time(event.until_ms)}"
    return Told(_of_circuit(event.circuit), "circuit_open", f"{told}: {_why(event.reason)}")


@tells("info", "fault", s.CircuitHalfOpened)
def _(event: s.CircuitHalfOpened, known: Known) -> Told:
    told = f"{event.circuit}: one call may try whether it works again"
    return Told(_of_circuit(event.circuit), "circuit_half_open", told)


@tells("info", "fault", s.CircuitClosed)
def _(event: s.CircuitClosed, known: Known) -> Told:
    why = f"is closed: {_why(event.reason)}" if event.reason else "works again"
    return Told(_of_circuit(event.circuit), "circuit_closed", f"{event.circuit} {why}")


# Locks and waits -------------------------------------------------------------------------------


def _lock(event: s.LockQueued | s.LockGranted | s.LockReleased, code: str, known: Known) -> Told:
    told = f"{known.task(event.task)}, attempt {event.attempt}: {_why(event.lock)}"
    return Told(known.holders.get(event.task), code, told)


@tells("debug", "task", s.LockQueued)
def _(event: s.LockQueued, known: Known) -> Told:
    return _lock(event, "lock_queued", known)


@tells("debug", "task", s.LockGranted)
def _(event: s.LockGranted, known: Known) -> Told:
    return _lock(event, "lock_granted", known)


@tells("debug", "task", s.LockReleased)
def _(event: s.LockReleased, known: Known) -> Told:
    return _lock(event, "lock_released", known)


@tells("debug", "task", s.WaitBegan)
def _(event: s.WaitBegan, known: Known) -> Told:
    told = f"{known.task(event.task)} waits for {known.task(event.on)}"
    return Told(known.holders.get(event.task), "wait_began", told)


@tells("debug", "task", s.WaitEnded)
def _(event: s.WaitEnded, known: Known) -> Told:
    told = f"{known.task(event.task)} waits for {known.task(event.on)} no more"
    return Told(known.holders.get(event.task), "wait_ended", told)


@tells("error", "fault", s.DeadlockFound)
def _(event: s.DeadlockFound, known: Known) -> Told:
    waits = "; ".join(known.reason(event.broken, each) for each in event.waits)
    told = f"{', '.join(event.ring)} wait for each other ({waits})"
    ended = f"the attempt at {event.broken} is ended"
    return Told(known.holders.get(event.broken), "deadlock", f"{told}: {ended}")


# Debugging -------------------------------------------------------------------------------------


@tells("info", "agent", s.DebugEnabled)
def _(event: s.DebugEnabled, known: Known) -> Told:
    told = f"its lines of level debug are kept until {_time(event.until_ms)}"
    return Told(event.agent, "debug_enabled", told)


# Sharing the load ------------------------------------------------------------------------------


@tells("debug", "agent", s.BatchesLearned)
def _(event: s.BatchesLearned, known: Known) -> Told:
    types = _why(", ".join(event.types))
    told = f"it takes several tasks at once of {types}" if types else "it takes tasks one by one"
    return Told(event.agent, "batches_learned", told)


@tells("info", "agent", s.ScaleDecided)
def _(event: s.ScaleDecided, known: Known) -> Told:
    told = f"{_why(event.agent_type)} in {known.swarm}: {event.before} become {event.after}"
    return Told(None, "scale_decided", f"{told}: {_why(event.evidence)}")
