"""Checkers of a log, outside the system: they read its bytes and share no code with the engine.

`LogCheck` folds records by tables of its own and notes whatever must not happen: an illegal
change of status, a second completion, a result of an attempt that is not the last one given out,
an agent too many, a clock that goes back. What the log says then stands in `tasks`, `agents` and
`workers` for questions such as "is this durable yet?". Events are read as plain maps, so that a
wrong class of ours cannot hide a wrong byte.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from visionflow.testing.ballots import VoteCheck
from visionflow.testing.ledger import EFFECT_KINDS, EffectCheck
from visionflow.testing.maillines import MAIL_KINDS, MailCheck
from visionflow.testing.meshlines import MeshCheck
from visionflow.testing.shapelines import ShapeCheck
from visionflow.testing.stagelines import KINDS as STAGE_KINDS
from visionflow.testing.stagelines import PipelineCheck
from visionflow.testing.tasklines import AgentLine, Fact, TaskLine
from visionflow.testing.teamlines import KINDS as TEAM_KINDS
from visionflow.testing.teamlines import TeamCheck, asked_of
from visionflow.testing.tracelines import TraceCheck
from visionflow.testing.upkeeplines import KINDS, UpkeepCheck
from visionflow.testing.waitlines import WaitCheck
from visionflow.testing.workerlines import WorkerLine, recovered, worker_event

ENDED = frozenset({"completed", "failed", "cancelled", "dead_letter"})
OPEN = frozenset({"assigned", "running"})
THROTTLES_MAX = 64
"""Waits of one task without a finished step in between."""
THROTTLE_MS_MAX = 3_600_000
COUNTED = frozenset({"error", "timeout", "permanent", "resource_exhaustion"})
"""Ends of attempts that are the task's own doing."""

_STOP = {"task_failed": "failed", "task_cancelled": "cancelled"}
_HELD = {"task_completed": "completed", "attempt_failed": "pending"}
_AGAIN = {"task_queued": "queued"}
TASK_TABLE: dict[str, dict[str, str]] = {
    "pending": {**_STOP, **_AGAIN, "task_dead_lettered": "dead_letter"},
    "queued": {**_STOP, "task_assigned": "assigned", "task_blocked": "blocked"},
    "assigned": {
        **_HELD,
        "task_started": "running",
        "step_finished": "assigned",
        "task_cancelling": "assigned",
        "attempt_recalling": "assigned",
    },
    "running": {
        **_HELD,
        "step_finished": "running",
        "task_cancelling": "running",
        "attempt_stalled": "running",
        "attempt_progressed": "running",
    },
    "blocked": {**_STOP, **_AGAIN, "plan_unblocked": "orchestrating"},
    "orchestrating": {**_STOP, "task_completed": "completed", "task_blocked": "blocked"},
    "failed": _AGAIN,
    "dead_letter": _AGAIN,
    "cancelled": _AGAIN,
    "completed": {},
}
TASK_KINDS = frozenset(kind for row in TASK_TABLE.values() for kind in row)
"""Events that are about one task and its status."""
AGENT_TABLE: dict[str, dict[str, str]] = {
    "created": {
        "agent_initialising": "initialising",
        "agent_updated": "created",
        "agent_terminating": "terminating",
    },
    "initialising": {
        "agent_updated": "initialising",
        "agent_recovering": "recovering",
        "agent_ready": "ready",
        "agent_errored": "error",
        "agent_terminating": "terminating",
    },
    "ready": {
        "busy": "processing",
        "agent_updated": "ready",
        "agent_rebuilt": "ready",
        "agent_moved": "recovering",
        "agent_recovering": "recovering",
        "agent_errored": "error",
        "agent_terminating": "terminating",
    },
    "processing": {
        "busy": "processing",
        "idle": "ready",
        "agent_updated": "processing",
        "agent_rebuilt": "processing",
        "agent_recovering": "recovering",
        "agent_draining": "processing",
        "agent_errored": "error",
        "agent_terminating": "terminating",
    },
    "error": {
        "agent_recovering": "recovering",
        "agent_failed": "failed",
        "agent_terminating": "terminating",
    },
    "recovering": {
        "agent_moved": "recovering",
        "agent_updated": "recovering",
        "agent_ready": "ready",
        "agent_failed": "failed",
        "agent_terminating": "terminating",
    },
    "failed": {"agent_recovering": "recovering", "agent_terminating": "terminating"},
    "terminating": {"agent_terminated": "terminated"},
}


class LogCheck:
    """Feed it each record in order; `faults` says what is wrong."""

    def __init__(self, blob_exists: Callable[[str], bool] | None = None) -> None:
        self.faults: list[str] = []
        self._blob_exists = blob_exists
        self.records = 0
        self.place = 0
        """Events so far."""
        self.at_ms = 0
        self._until_ms = 0
        self.spec: Fact = {}
        self.closed = False
        self.recoveries = 0
        self.tasks: dict[str, TaskLine] = {}
        self.agents: dict[str, AgentLine] = {}
        self.workers: dict[str, WorkerLine] = {}
        self.votes = VoteCheck()
        self.upkeep = UpkeepCheck()
        self.waits = WaitCheck()
        self.effects = EffectCheck()
        self.mail = MailCheck()
        self.mesh = MeshCheck()
        self.pipelines = PipelineCheck()
        self.trace = TraceCheck(self)
        self.teams = TeamCheck()
        self.shape = ShapeCheck()
        self.commands: dict[str, str] = {}
        """Ids of commands that the log answers, with the kind of event that does."""
        self.refused: dict[str, str] = {}
        """Ids of commands that were refused, which they need not be when they come again, with
        the last code."""
        self.transitions: Counter[tuple[str, str, str]] = Counter()
        """How often (task or agent, from, to) happened."""
        self.events: Counter[str] = Counter()
        self.late: list[tuple[str, int]] = []
        self.alive = 0
        """Tasks that have not ended."""

    def record(self, body: bytes, until_ms: int | None = None) -> None:
        """Fold one record. Its events were decided from the record's own time on, and until
        `until_ms` at the latest, where the caller knows that."""
        self.records += 1
        at_ms, events = msgspec.msgpack.decode(body)
        if at_ms < self.at_ms:
            self._wrong(f"record {self.records} goes back in time by {self.at_ms - at_ms} ms")
        self.at_ms = max(self.at_ms, at_ms)
        self._until_ms = max(self.at_ms, until_ms or 0)
        if not events:
            self._wrong(f"record {self.records} is empty")
        for event in events:
            self.place += 1
            kind: str = event["t"]
            self.events[kind] += 1
            command = event.get("command")
            if command is not None:
                if command in self.commands:
                    self._wrong(f"command {command} is answered twice, now by {kind}")
                self.commands[command] = kind
            asked = event.get("asked")
            if asked is not None:
                if asked in self.commands:
                    self._wrong(f"command {asked} is refused, and was answered before")
                self.refused[asked] = event["code"]
            times = (self.at_ms, self._until_ms)
            for fault in self.waits.event(kind, event, self.tasks, times):
                self._wrong(fault)
            self._event(kind, event)
        for fault in self.waits.settled(self.tasks):
            self._wrong(fault)

    def _wrong(self, text: str) -> None:
        self.faults.append(f"record {self.records}: {text}")

    def _event(self, kind: str, event: Fact) -> None:
        for fault in self.mesh.event(kind, event, self.tasks, self.agents):
            self._wrong(fault)
        for fault in self.trace.event(kind, event):
            self._wrong(fault)
        for fault in self.shape.event(kind, event, self.at_ms):
            self._wrong(fault)
        won = kind == "task_assigned" and self.mesh.was_won(event["task"], event["attempt"])
        if kind in TEAM_KINDS:
            # What was bid for when the swarm was a mesh may be won after it has become another.
            topology = "mesh" if won else self.trace.talk.topology
            for fault in self.teams.event(kind, event, self.agents, self.tasks, topology):
                self._wrong(fault)
        if kind in KINDS and not won:
            for fault in self.upkeep.event(kind, event, self.agents, self.at_ms):
                self._wrong(fault)
        if kind.startswith("agent_"):
            self._agent(kind, event)
        elif kind.startswith("worker_"):
            self._worker(kind, event)
        elif kind.startswith(("vote_", "ballot_")):
            for fault in self.votes.event(kind, event, self.agents):
                self._wrong(fault)
        elif kind in MAIL_KINDS:
            for fault in self.mail.event(kind, event, self.agents):
                self._wrong(fault)
        elif kind in EFFECT_KINDS:
            task = self.tasks.get(event.get("task", ""))
            current = None if task is None or task.status not in OPEN else task.attempt
            for fault in self.effects.event(kind, event, current):
                self._wrong(fault)
        elif kind in STAGE_KINDS:
            for fault in self.pipelines.event(kind, event, self.tasks):
                self._wrong(fault)
        elif kind in ("task_submitted", "plan_submitted"):
            self._submitted(kind, event)
        elif kind == "late_result_refused":
            self._late(event)
        elif kind == "swarm_created":
            self.spec = event["spec"]
        elif kind == "limits_changed":
            self.spec.setdefault("limits", {})["agents_max"] = event["agents_max"]
        elif kind == "swarm_closed":
            self.closed = True
        elif kind == "recovered":
            self.recoveries += 1
            for fault in recovered(self.workers, event.get("kept", ())):
                self._wrong(fault)
        elif kind in TASK_KINDS:
            self._task(kind, event)

    # Tasks -----------------------------------------------------------------------------------

    def _submitted(self, kind: str, event: Fact) -> None:
        spec: Fact = event["spec"]
        name: str = spec["id"]
        if name in self.tasks:
            self._wrong(f"task {name} is accepted twice")
        if self.closed:
            self._wrong(f"task {name} is accepted although the swarm is closed")
        if kind == "plan_submitted":
            status = "orchestrating"
        else:
            status = "pending" if event.get("waits", False) else "queued"
        task = self.tasks[name] = TaskLine(spec, status, self.place, self.at_ms)
        task.delegated_by = event.get("delegated_by")
        self.alive += 1
        self.transitions["task", "", status] += 1
        if kind == "plan_submitted":
            widths: dict[str, int] = event.get("widths", {})
            task.phases = [
                (title, list(ids), 1 if one else widths.get(title, 0))
                for title, ids, one in event["phases"]
            ]
            task.threshold_bp = event.get("failure_threshold_bp", 0)

    def _task(self, kind: str, event: Fact) -> None:
        name: str = event["task"]
        task = self.tasks.get(name)
        if task is None:
            self._wrong(f"{kind} of {name}, which was never accepted")
            return
        before = task.status
        after = TASK_TABLE[before].get(kind)
        if after is None:
            self._wrong(f"task {name} is {before}: {kind} cannot happen then")
            return
        task.status = after
        if after != before:
            self.transitions["task", before, after] += 1
        if "attempt" in event and kind != "task_assigned":
            current = task.attempt if before in OPEN else event["attempt"]
            if event["attempt"] != current:
                self._wrong(f"{kind} of {name} quotes attempt {event['attempt']}, not {current}")
        if before in ENDED and after not in ENDED:
            self.alive += 1
        elif after in ENDED and before not in ENDED:
            self.alive -= 1
            task.ended_ms = self.at_ms
            task.ends.append(after)
            task.reason = event.get("reason", "")
        self._change(kind, event, task, name, before)

    def _change(self, kind: str, event: Fact, task: TaskLine, name: str, before: str) -> None:
        match kind:
            case "task_assigned":
                self._assigned(event, task, name)
            case "task_completed":
                task.completions += 1
                if task.completions > 1:
                    self._wrong(f"task {name} completes a second time")
                task.result = event.get("result", [])
                task.completed_attempt = event["attempt"]
                self._stored(name, task.result)
                task.failed_parts = list(event.get("failed_parts", ()))
                self._release(task, name)
            case "attempt_failed":
                task.failures.append((event["attempt"], event["kind"]))
                if not event.get("excused", False):
                    task.round.append(event["kind"])
                    task.since_step[event["kind"]] += 1
                task.retry_at_ms = event.get("retry_at_ms")
                if event["kind"] == "throttled":
                    self._throttled(task, name)
                if event.get("reason", "").startswith("In a batch of "):
                    task.shared.add(event["attempt"])
                if event["kind"] == "recalled" and task.recalled != event["attempt"]:
                    self._wrong(f"attempt {event['attempt']} of {name} comes back unasked")
                if event["kind"] == "recalled" and before != "assigned":
                    self._wrong(f"attempt {event['attempt']} of {name} comes back, and it began")
                self._release(task, name)
            case "task_queued":
                if task.retry_at_ms is not None and self._until_ms < task.retry_at_ms:
                    early_ms = task.retry_at_ms - self._until_ms
                    self._wrong(f"task {name} is tried again {early_ms} ms early")
                task.retry_at_ms = None
                if before in ENDED:
                    task.cancelling = False
                    task.round.clear()
                    task.since_step.clear()
                    task.steps.clear()
            case "task_failed":
                self._failed(task)
            case "task_blocked" | "plan_unblocked":
                task.is_held = kind == "task_blocked" and bool(task.phases)
            case "step_finished":
                if event["key"] in task.steps:
                    self._wrong(f"step {event['key']} of {name} finishes a second time")
                task.recorded.add(event["key"])
                task.steps[event["key"]] = (self.place, event.get("value", []))
                self._stored(name, event.get("value", []))
                task.since_step.clear()
                task.stalled = 0
            case "task_cancelling":
                task.cancelling = True
            case "attempt_recalling":
                task.recalled = event["attempt"]
            case "attempt_stalled" | "attempt_progressed":
                if (task.stalled == event["attempt"]) == (kind == "attempt_stalled"):
                    self._wrong(f"{kind} of attempt {event['attempt']} of {name} is no news")
                task.stalled = event["attempt"] if kind == "attempt_stalled" else 0
            case _:
                pass

    def _throttled(self, task: TaskLine, name: str) -> None:
        count, until_ms = task.since_step["throttled"], task.retry_at_ms
        if count > THROTTLES_MAX:
            self._wrong(f"task {name} is asked to wait for the {count}th time without a step")
        if until_ms is None:
            return
        task.waits[task.attempt] = until_ms - self.at_ms
        if until_ms > self._until_ms + THROTTLE_MS_MAX:
            self._wrong(f"task {name} waits {until_ms - self.at_ms} ms, which is too long")

    def _failed(self, task: TaskLine) -> None:
        deadline_ms = task.spec.get("deadline_ms")
        needed = [self.tasks.get(other) for other in task.spec.get("depends_on", ())]
        task.excused = ""
        if any(o is not None and o.status in ENDED and o.status != "completed" for o in needed):
            task.excused = "dependency"
        elif deadline_ms is not None and (self._until_ms >= deadline_ms or task.round):
            task.excused = "deadline"

    def _stored(self, name: str, payload: list[Any]) -> None:
        """A value that is kept elsewhere must be there before the log speaks of it."""
        if len(payload) > 1 and payload[1] is not None and self._blob_exists is not None:
            if not self._blob_exists(payload[1]):
                self._wrong(f"{name} names blob {payload[1][:8]}, which is not stored")

    def _assigned(self, event: Fact, task: TaskLine, name: str) -> None:
        attempt: int = event["attempt"]
        if attempt != task.attempt + 1:
            self._wrong(f"attempt {attempt} of {name} follows attempt {task.attempt}")
        if not self._phase_is_open(task, name):
            self._wrong(f"{name} is given out before the phase before it has ended")
        task.attempt = attempt
        task.agent = event["agent"]
        task.assigned_at[attempt] = self.place
        agent = self.agents.get(event["agent"])
        if agent is None or agent.status not in ("ready", "processing"):
            status = "gone" if agent is None else agent.status
            self._wrong(f"{name} is given to {event['agent']}, which is {status}")
            return
        # What peers decided among themselves they decided before.
        won = self.mesh.was_won(name, attempt)
        if agent.draining and not won:
            self._wrong(f"{name} is given to {event['agent']}, which is draining")
        if self.workers[agent.worker].awaited:
            self._wrong(f"{name} is given to {event['agent']}, whose worker is not back yet")
        if self.workers[agent.worker].suspected and not won:
            self._wrong(f"{name} is given to {event['agent']}, whose worker is suspected")
        missing = asked_of(task.spec) - agent.offers
        if missing:
            self._wrong(f"{name} is given to {event['agent']}, which lacks {sorted(missing)}")
        if agent.version != agent.built and not won:
            self._wrong(f"{name} is given to {event['agent']}, which is not built anew yet")
        self._move(agent, "busy", event["agent"])
        agent.open[name] = attempt
        task.assigned_to[attempt] = (agent, len(agent.configs) - 1)

    def _phase_is_open(self, task: TaskLine, name: str) -> bool:
        root = self.tasks.get(task.spec.get("parent") or "")
        if root is not None and root.is_held:
            return False
        for title, names, turns in [] if root is None else root.phases:
            if title == task.spec.get("phase"):
                before = names[: names.index(name)] if turns else []
                going_on = [each for each in before if self.tasks[each].status not in ENDED]
                return not turns or len(going_on) < turns
            if any(self.tasks[other].status not in ENDED for other in names):
                return False
        return True

    def _release(self, task: TaskLine, name: str) -> None:
        agent = self.agents.get(task.agent or "")
        task.agent = None
        if agent is not None:
            agent.open.pop(name, None)
            if not agent.open and agent.status == "processing":
                self._move(agent, "idle", agent.spec["id"])

    def _late(self, event: Fact) -> None:
        task = self.tasks.get(event["task"])
        self.late.append((event["task"], event["attempt"]))
        if task is not None and task.status in OPEN and task.attempt == event["attempt"]:
            self._wrong(f"the result of the open attempt of {event['task']} is refused")

    # Agents and workers ----------------------------------------------------------------------

    def _move(self, agent: AgentLine, kind: str, name: str) -> None:
        after = AGENT_TABLE[agent.status].get(kind)
        if after is None:
            self._wrong(f"agent {name} is {agent.status}: {kind} cannot happen then")
            return
        if after != agent.status:
            self.transitions["agent", agent.status, after] += 1
        agent.status = after

    def _agent(self, kind: str, event: Fact) -> None:
        if kind == "agent_spawned":
            name: str = event["spec"]["id"]
            if name in self.agents:
                self._wrong(f"agent {name} is spawned twice")
            self.agents[name] = AgentLine(event["spec"], event["worker"])
            self.workers.setdefault(event["worker"], WorkerLine())
            self.transitions["agent", "", "created"] += 1
            most = self.spec.get("limits", {}).get("agents_max", 20)
            if len(self.agents) > most:
                self._wrong(f"there are {len(self.agents)} agents; the limit is {most}")
            return
        if kind == "agent_departed":
            return
        updated: Fact | None = event.get("spec")
        name = event["agent"] if updated is None else updated["id"]
        agent = self.agents.get(name)
        if agent is None:
            self._wrong(f"{kind} of {name}, which is not there")
            return
        self._move(agent, kind, name)
        agent.draining = agent.draining or kind == "agent_draining"
        if updated is not None:
            self._updated(agent, updated, event)
        elif kind == "agent_moved":
            agent.worker = event["worker"]
            self.workers.setdefault(agent.worker, WorkerLine())
        elif kind == "agent_ready":
            agent.built = agent.version
        elif kind == "agent_rebuilt":
            agent.built = event["revision"]
        if kind == "agent_terminated":
            del self.agents[event["agent"]]
            if agent.open:
                self._wrong(f"agent {event['agent']} ends and still holds {list(agent.open)}")

    def _updated(self, agent: AgentLine, spec: Fact, event: Fact) -> None:
        ceiling = (agent.spec.get("limits", {}), spec.get("limits", {}))
        if ceiling[0] != ceiling[1] and not event.get("moves", False):
            self._wrong(f"agent {spec['id']} has another memory ceiling and stays where it is")
        agent.spec, agent.version = spec, event["revision"]
        agent.configs.append(spec.get("config", []))

    def _worker(self, kind: str, event: Fact) -> None:
        line = self.workers.setdefault(event["worker"], WorkerLine())
        for fault in worker_event(line, kind, event):
            self._wrong(fault)
