"""What a log line tells of each event: its level, whose it is, its code word, and its words.

Pure: an event and what is known of the swarm in, words out. An event that is in no table here is
nothing that a person needs. The code of a failure is its kind, so that codes can be counted.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from visionflow.domain import events as e
from visionflow.domain import fleet as f
from visionflow.domain.events import AnyEvent, Event
from visionflow.domain.tasks import FailureKind, TaskSpec

E = TypeVar("E", bound=Event)
TEXT_CHARS_MAX = 120
"""Of what a task says of itself."""
REASON_CHARS_MAX = 500
ORDINARY_ACCESS = ("login", "token_present", "token_created", "token_revoked")


class Told(NamedTuple):
    """What a line says."""

    agent: str | None
    code: str
    message: str


class Known(msgspec.Struct):
    """What lines tell beside their event. It follows the events that are durable."""

    swarm: str
    specs: Callable[[str], TaskSpec | None]
    """The specification of a task that was not forgotten yet."""
    cover: Callable[[str, str], str]
    """What may be told of a task's words: its id and they in, they without secrets out."""
    holders: dict[str, str] = {}
    """By task that has not ended, the agent that its last attempt was given to."""
    workers: dict[str, str] = {}
    """By agent, the worker that it is placed on."""
    pids: dict[str, int] = {}
    """By worker."""

    def task(self, task: str) -> str:
        """A task as a line names it."""
        spec = self.specs(task)
        return task if spec is None else f"{task} {spec.type}"

    def reason(self, task: str, reason: str) -> str:
        """Why something happened to a task, on one line."""
        return one_line(self.cover(task, reason), REASON_CHARS_MAX)

    def asked(self, spec: TaskSpec) -> str:
        """What a task says of itself."""
        return f'"{one_line(self.cover(spec.id, spec.description), TEXT_CHARS_MAX)}"'


class Row(NamedTuple):
    """How events of one kind are told."""

    level: str
    subject: str
    """task, agent or fault: each has its own share of lines."""
    words: Callable[[Any, Known], Told]


ROWS: dict[type[Event], Row] = {}
"""Of a swarm's stream."""


def one_line(text: str, most: int) -> str:
    """A text without line ends, cut."""
    words = " ".join(text[: 4 * most].split())
    return words if len(words) <= most else f"{words[:most]}..."


def tells(
    level: str, subject: str, kind: type[E]
) -> Callable[[Callable[[E, Known], Told]], Callable[[E, Known], Told]]:
    def register(words: Callable[[E, Known], Told]) -> Callable[[E, Known], Told]:
        ROWS[kind] = Row(level, subject, words)
        return words

    return register


# The swarm and its workers ---------------------------------------------------------------------


@tells("info", "agent", e.SwarmCreated)
def _(event: e.SwarmCreated, known: Known) -> Told:
    spec = event.spec
    told = f'{spec.id} "{one_line(spec.name, TEXT_CHARS_MAX)}", {spec.topology}, {spec.strategy}'
    return Told(None, "swarm_made", f"{told}, at most {spec.limits.agents_max} agents")


@tells("info", "agent", e.Recovered)
def _(event: e.Recovered, known: Known) -> Told:
    count = len(event.kept)
    live = f", {count} of its workers may live on" if count else ""
    return Told(None, "swarm_recovered", f"{known.swarm} goes on, start {event.boot}{live}")


@tells("info", "agent", e.SwarmClosed)
def _(event: e.SwarmClosed, known: Known) -> Told:
    return Told(None, "swarm_closed", f"{known.swarm}: {one_line(event.reason, REASON_CHARS_MAX)}")


@tells("info", "agent", e.LimitsChanged)
def _(event: e.LimitsChanged, known: Known) -> Told:
    return Told(None, "limits_changed", f"{known.swarm} may have {event.agents_max} agents")


@tells("warning", "agent", e.TimeSkipped)
def _(event: e.TimeSkipped, known: Known) -> Told:
    return Told(None, "time_skipped", f"{known.swarm} stood still for {event.gap_ms} ms")


@tells("info", "agent", e.WorkerStarted)
def _(event: e.WorkerStarted, known: Known) -> Told:
    return Told(None, "worker_started", f"{_worker(event, known)} is process {event.pid}")


@tells("warning", "agent", e.WorkerLost)
def _(event: e.WorkerLost, known: Known) -> Told:
    then = "is started again" if event.restart_at_ms is not None else "is not started again"
    why = one_line(event.reason, REASON_CHARS_MAX)
    if event.probes:
        heard = (f"{name} {'answered' if ok else 'failed'}" for name, ok in event.probes)
        why = f"{why} (probes: {', '.join(heard)})"
    return Told(None, "worker_lost", f"{_worker(event, known)}, {event.kind}: {why}; {then}")


@tells("info", "agent", e.WorkerStopped)
def _(event: e.WorkerStopped, known: Known) -> Told:
    why = one_line(event.reason, REASON_CHARS_MAX) or "nothing needs it"
    return Told(None, "worker_stopped", f"{_worker(event, known)}: {why}")


def stop_told(swarm: str, events: list[AnyEvent]) -> Told | None:
    """One line for a record in which workers ended with their orchestrator, as it was asked to;
    `None`: it is none."""
    ended = [each for each in events if isinstance(each, e.WorkerStopped)]
    if all(each.reason != e.WITH_ORCHESTRATOR for each in ended):
        return None
    agents = sum(isinstance(each, e.AgentRecovering) for each in events)
    attempts = sum(isinstance(each, e.AttemptFailed) for each in events)
    many = f"{len(ended)} worker{'' if len(ended) == 1 else 's'} ended"
    built = f"{agents} agent{'' if agents == 1 else 's'} built again"
    tried = f", {attempts} attempt{'' if attempts == 1 else 's'} made again" if attempts else ""
    told = f"{swarm} was stopped in order: {many}; at the next start {built}{tried}"
    return Told(None, "swarm_stopped", told)


def _worker(event: e.WorkerStarted | e.WorkerLost | e.WorkerStopped, known: Known) -> str:
    return f"{event.worker}.{event.incarnation} of {known.swarm}"


# Agents ----------------------------------------------------------------------------------------


@tells("info", "agent", e.AgentSpawned)
def _(event: e.AgentSpawned, known: Known) -> Told:
    spec = event.spec
    name = "" if spec.name == spec.id else f' "{one_line(spec.name, TEXT_CHARS_MAX)}"'
    told = f"{spec.type}{name} in {known.swarm}"
    return Told(spec.id, "agent_spawned", f"{told}, on worker {event.worker}")


@tells("debug", "agent", e.AgentInitialising)
def _(event: e.AgentInitialising, known: Known) -> Told:
    return Told(event.agent, "agent_initialising", "its worker builds it")


@tells("info", "agent", e.AgentReady)
def _(event: e.AgentReady, known: Known) -> Told:
    worker = known.workers.get(event.agent, "")
    pid = known.pids.get(worker)
    where = "" if pid is None else f", in process {pid} (worker {worker})"
    return Told(event.agent, "agent_ready", f"takes tasks{where}")


@tells("error", "fault", e.AgentErrored)
def _(event: e.AgentErrored, known: Known) -> Told:
    why = one_line(event.reason, REASON_CHARS_MAX)
    return Told(event.agent, event.kind, f"the agent cannot go on: {why}")


@tells("info", "agent", e.AgentRecovering)
def _(event: e.AgentRecovering, known: Known) -> Told:
    return Told(event.agent, "agent_recovering", "it is built again, under the same id")


@tells("error", "fault", e.AgentFailed)
def _(event: e.AgentFailed, known: Known) -> Told:
    why = one_line(event.reason, REASON_CHARS_MAX)
    return Told(event.agent, "agent_failed", f"it is not built again: {why}")


@tells("info", "agent", e.AgentUpdated)
def _(event: e.AgentUpdated, known: Known) -> Told:
    then = ", on a worker of its own" if event.moves else ""
    why = f": {one_line(event.reason, REASON_CHARS_MAX)}" if event.reason else ""
    return Told(event.agent, "agent_updated", f"revision {event.revision}{then}{why}")


@tells("info", "agent", e.AgentRebuilt)
def _(event: e.AgentRebuilt, known: Known) -> Told:
    return Told(event.agent, "agent_rebuilt", f"it is revision {event.revision} now")


@tells("info", "agent", e.AgentMoved)
def _(event: e.AgentMoved, known: Known) -> Told:
    return Told(event.agent, "agent_moved", f"it is on worker {event.worker} now")


@tells("info", "agent", e.AgentDraining)
def _(event: e.AgentDraining, known: Known) -> Told:
    return Told(event.agent, "agent_draining", "it ends once it has no task left")


@tells("info", "agent", e.AgentTerminating)
def _(event: e.AgentTerminating, known: Known) -> Told:
    return Told(event.agent, "agent_terminating", "it takes no more tasks")


@tells("info", "agent", e.AgentTerminated)
def _(event: e.AgentTerminated, known: Known) -> Told:
    return Told(event.agent, "agent_terminated", "it is gone")


# Tasks -----------------------------------------------------------------------------------------


@tells("info", "task", e.TaskSubmitted)
def _(event: e.TaskSubmitted, known: Known) -> Told:
    spec = event.spec
    return Told(None, "task_submitted", f"{spec.id} {spec.type} {known.asked(spec)}")


@tells("info", "task", e.PlanSubmitted)
def _(event: e.PlanSubmitted, known: Known) -> Told:
    phases = ", ".join(name for name, _, _ in event.phases)
    count = sum(len(tasks) for _, tasks, _ in event.phases)
    told = f"{event.spec.id} {known.asked(event.spec)}: {count} tasks in the phases {phases}"
    return Told(None, "plan_submitted", told)


@tells("debug", "task", e.TaskQueued)
def _(event: e.TaskQueued, known: Known) -> Told:
    return Told(None, "task_queued", known.task(event.task))


@tells("warning", "fault", e.TaskBlocked)
def _(event: e.TaskBlocked, known: Known) -> Told:
    missing = known.reason(event.task, event.missing)
    return Told(None, "task_blocked", f"{known.task(event.task)} waits: {missing}")


@tells("info", "task", e.PlanUnblocked)
def _(event: e.PlanUnblocked, known: Known) -> Told:
    return Told(None, "task_unblocked", f"{known.task(event.task)} goes on")


@tells("info", "task", e.TaskAssigned)
def _(event: e.TaskAssigned, known: Known) -> Told:
    by = "" if event.by is None else f", by {event.by}"
    told = f"{known.task(event.task)}, attempt {event.attempt}{by}"
    return Told(event.agent, "task_assigned", told)


@tells("debug", "task", e.TaskStarted)
def _(event: e.TaskStarted, known: Known) -> Told:
    return Told(known.holders.get(event.task), "task_started", known.task(event.task))


@tells("debug", "task", e.StepFinished)
def _(event: e.StepFinished, known: Known) -> Told:
    told = f"{known.task(event.task)}, {one_line(event.name, TEXT_CHARS_MAX)}"
    return Told(known.holders.get(event.task), "step_finished", told)


@tells("info", "task", e.TaskCompleted)
def _(event: e.TaskCompleted, known: Known) -> Told:
    took = f" in {event.duration_us / 1_000_000:.3f} s" if event.attempt else ""
    without = f", without {len(event.failed_parts)} of its parts" if event.failed_parts else ""
    told = f"{known.task(event.task)}{took}{without}"
    return Told(known.holders.get(event.task), "task_completed", told)


@tells("warning", "fault", e.AttemptFailed)
def _(event: e.AttemptFailed, known: Known) -> Told:
    why = known.reason(event.task, event.reason)
    told = f"{known.task(event.task)}, attempt {event.attempt}: {why}"
    waits = event.retry_at_ms is None or event.kind is FailureKind.IN_DOUBT
    then = "" if waits else "; it is tried again"
    if event.timeout_ms is not None:
        then = f"{then}, with {event.timeout_ms / 1_000:g} s"
    if event.retry_at_ms is not None and event.kind is FailureKind.THROTTLED:
        at = datetime.fromtimestamp(event.retry_at_ms / 1_000, UTC)
        then = f"{then} at {at:%Y-%m-%dT%H:%M:%SZ}"
    told = f"{told.removesuffix('.')}{then}" if then else told
    return Told(known.holders.get(event.task), event.kind, told)


@tells("error", "fault", e.TaskFailed)
def _(event: e.TaskFailed, known: Known) -> Told:
    return _over(event, known, "failed")


@tells("error", "fault", e.TaskDeadLettered)
def _(event: e.TaskDeadLettered, known: Known) -> Told:
    return _over(event, known, "was dead-lettered")


def _over(event: e.TaskFailed | e.TaskDeadLettered, known: Known, how: str) -> Told:
    told = f"{known.task(event.task)} {how}: {known.reason(event.task, event.reason)}"
    return Told(known.holders.get(event.task), event.kind or "task_failed", told)


@tells("debug", "task", e.TaskCancelling)
def _(event: e.TaskCancelling, known: Known) -> Told:
    return Told(known.holders.get(event.task), "task_cancelling", known.task(event.task))


@tells("info", "task", e.TaskCancelled)
def _(event: e.TaskCancelled, known: Known) -> Told:
    why = known.reason(event.task, event.reason)
    return Told(known.holders.get(event.task), "task_cancelled", f"{known.task(event.task)}: {why}")


@tells("warning", "fault", e.LateResultRefused)
def _(event: e.LateResultRefused, known: Known) -> Told:
    late = event.current == event.attempt
    now = "that one had been ended here" if late else f"it is at {event.current}"
    told = f"a result of attempt {event.attempt} came late: {now}"
    return Told(None, "late_result", f"{known.task(event.task)}: {told}")


# What crosses swarms ---------------------------------------------------------------------------


def told_of_fleet(event: Event) -> tuple[str, Told] | None:
    """The level and words for an event of the fleet's stream."""
    if isinstance(event, f.CallRecorded):
        what = f"{event.tool} by {event.by} over {event.face}"
        whom = event.subject or ""
        agent = whom if whom.startswith("agent_") else None
        if event.code is None:
            return "debug", Told(agent, "called", f"{what}: {whom or 'done'}")
        message = f"{what}: {one_line(event.message, REASON_CHARS_MAX)}{_times(event.count)}"
        return "warning", Told(agent, _word(event.code), message)
    if isinstance(event, f.AccessRecorded):
        level = "info" if event.code in ORDINARY_ACCESS else "warning"
        message = one_line(event.message, REASON_CHARS_MAX)
        told = f"{event.by} over {event.face}: {message}{_times(event.count)}"
        return level, Told(None, _word(event.code), told)
    if isinstance(event, f.SwarmEnded):
        why = one_line(event.reason, REASON_CHARS_MAX)
        return "info", Told(None, "swarm_ended", f"{event.swarm} by {event.by}: {why}")
    return None


def _word(code: str) -> str:
    return "refused" if code == "*" else code


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""
