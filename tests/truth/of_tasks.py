"""Sources of what is told of tasks."""

from typing import Any

import msgspec

from tests.truth.checking import Among, At, Between, Source
from tests.truth.of_agents import born, connections, spec
from tests.truth.origins import Table, const, given, iso, swarm_id, waiting, words
from visionflow.domain import events as e


def task_of(at: At) -> Any:
    named = [each["taskId"] for each in at.chain if isinstance(each, dict) and "taskId" in each]
    return at.world.task(named[-1])[1]


def task_field(name: str) -> Source:
    return lambda at: getattr(task_of(at), name)


def task_spec(name: str) -> Source:
    return lambda at: getattr(task_of(at).spec, name)


def task_status(at: At) -> Any:
    return Among(*task_of(at).status.during(at.before_ms, at.after_ms))


def named_task(at: At) -> Any:
    return at.given["taskId"] if "taskId" in at.given else Among(*at.swarm.tasks)


def task_swarm(at: At) -> str:
    return at.world.task(at.reply["taskId"])[0]


def why(at: At) -> Any:
    """By the log; of one that is queued, that the swarm has nobody of its type; and of a plan, that
    one of its parts is."""
    task, stuck = task_of(at), waiting(at.swarm)
    lonely = "There is no agent of type {}; agent_spawn adds one."
    if task in stuck:
        return lonely.format(task.spec.agent_type)
    parts = [at.swarm.tasks[name] for _, names in task.phases for name in names]
    told = [
        f"{part.spec.description} waits: {lonely.format(part.spec.agent_type)}"
        for part in parts
        if part in stuck
    ]
    if told and task.status.now == "orchestrating":
        return told[0]
    return None if task.status.now == "queued" else task.reason


def waits_for(at: At) -> Any:
    """Parts of the same plan that have not ended and stand before it."""
    task = task_of(at)
    root = at.swarm.tasks[task.spec.parent]
    own = next(tasks for name, tasks in root.phases if name == task.spec.phase)
    return Among(*(n for n in own if at.swarm.tasks[n].ended_ms is None and n != task.spec.id),
                 *task.spec.depends_on)  # fmt: skip


def attempt(name: str, told: Any = None) -> Source:
    def source(at: At) -> Any:
        found = task_of(at).attempts[at.own["attempt"] - 1]
        value = getattr(found, name)
        return value if told is None else told(value)

    return source


def phase_counts(what: str) -> Source:
    def source(at: At) -> Any:
        names = dict(task_of(at).phases)[at.own["name"]]
        parts = [at.swarm.tasks[name] for name in names]
        if what == "tasks":
            return len(parts)
        if what == "open":
            return sum(1 for each in parts if each.ended_ms is None)
        return sum(1 for p in parts if p.ended_ms is not None and p.status.now != "completed")

    return source


def signal(name: str) -> Source:
    """What the agent said, which the task's own input tells; of a plan how much of it is over."""

    def source(at: At) -> Any:
        task = task_of(at)
        if task.phases:
            return at.facts["plan_progress"](at, task, name)
        said = at.world.value(task.spec.input)
        if name == "at":
            return Between(iso(task.attempts[-1].assigned_ms), iso(at.after_ms))
        return said["share" if name == "fraction" else "note"]

    return source


def retry_at(at: At) -> Any:
    """When a task that waits is tried again."""
    task = task_of(at)
    return iso(task.retry_ms) if task.status.now == "pending" else None


TASK_STATUS: Table = {
    "taskId": named_task,
    "swarmId": task_swarm,
    "status": task_status,
    "reason": why,
    "waitsFor[]": waits_for,
    "retryAt": retry_at,
    "cancelling": lambda at: task_of(at).cancelling is not None,
    "type": task_spec("type"),
    "description": task_spec("description"),
    "priority": task_spec("priority"),
    "requiredCapabilities[]": lambda at: task_of(at).spec.capabilities[at.place[-1]],
    "agentId": task_field("agent"),
    "pid": lambda at: (
        None
        if task_of(at).agent is None or task_of(at).ended_ms is not None
        else at.world.agent(task_of(at).agent)[1].pid.now
    ),
    "parent": task_spec("parent"),
    "phase": task_spec("phase"),
    "progress": lambda at: None,
    "progress.fraction": signal("fraction"),
    "progress.note": signal("note"),
    "progress.at": signal("at"),
    "phases[].name": lambda at: task_of(at).phases[at.place[-2]][0],
    "phases[].tasks": phase_counts("tasks"),
    "phases[].open": phase_counts("open"),
    "phases[].failed": phase_counts("failed"),
    "attempts[].attempt": lambda at: at.place[-2] + 1,
    "attempts[].agentId": attempt("agent"),
    "attempts[].score": attempt("score_bp", lambda bp: bp / 10_000),
    "attempts[].outcome": attempt("outcome"),
    "attempts[].reason": attempt("reason"),
    "attempts[].cancelled": attempt("cancelled"),
    "attempts[].assignedAt": attempt("assigned_ms", iso),
    "attempts[].startedAt": attempt("started_ms", iso),
    "attempts[].endedAt": attempt("ended_ms", iso),
    "attempts[].duration": lambda at: (
        attempt("duration_us", lambda us: us / 1e6)(at)
        if at.own["outcome"] == "completed"
        else between(attempt("started_ms")(at), attempt("ended_ms")(at))
    ),
    "createdAt": lambda at: iso(task_of(at).submitted_ms),
    "updatedAt": lambda at: iso(task_of(at).changed_ms),
    "endedAt": lambda at: iso(task_of(at).ended_ms),
    "deadline": lambda at: iso(task_of(at).spec.deadline_ms),
    "duration": lambda at: took(task_of(at)),
}


def between(began_ms: int | None, ended_ms: int | None) -> float | None:
    return None if began_ms is None or ended_ms is None else (ended_ms - began_ms) / 1e3


def took(task: Any) -> float | None:
    return None if task.duration_us is None else task.duration_us / 1e6


def result_of(at: At) -> Any:
    """The value in the log; of a plan by phases; of a run the summary that it wrote."""
    task = at.world.task(at.reply["taskId"])[1]
    run = at.facts["run"](task.spec.id)
    if "result" in at.reply.get("leftOut", ()):
        return None
    if run is not None and at.given.get("part") is None:
        return run.get("summary")
    if not task.phases:
        return None if task.result is None else at.world.value(task.result)
    found: dict[str, list[Any]] = {}
    for name, tasks in task.phases:
        for each in tasks:
            part = at.swarm.tasks[each]
            value = None if part.result is None else at.world.value(part.result)
            found.setdefault(name, []).append(value)
    return found


def doubt(at: At) -> Any:
    """Of a plan that failed, a part that did, by the log; of a run that is done, the headline that
    it wrote, or how complete the answer is that a part gave."""
    task = at.world.task(at.reply["taskId"])[1]
    parts = [at.swarm.tasks[name] for _, names in task.phases for name in names]
    if task.status.now == "failed":
        failed = [each for each in parts if each.status.now in ("failed", "dead_letter")]
        return Among(
            *(
                f"{each.spec.id} (phase {each.spec.phase}, type {each.spec.type}) is "
                f"{each.status.now}: {each.reason}"
                for each in failed
            )
        )
    run = at.facts["run"](task.spec.id)
    summary = {} if run is None else run.get("summary") or {}
    told = [" ".join(filter(None, (summary.get("headline"), summary.get("subtitle"))))]
    for part in parts:
        if part.spec.type == "research" and part.result is not None:
            share = at.world.value(part.result)["completeness"]
            answers = summary["research"]["answers"]
            lost = ", ".join(" ".join(a["terms"]) for a in answers if not a["hits"])
            told.append(f"The completeness of the answer is {share:.2}; no line has {lost}.")
    return Among(*told)


def told_or_words(at: At) -> Any:
    text, found = at.chain[-1][at.place[-1]], doubt(at)
    return found if found == text else words(at)


def text_piece(at: At) -> Any:
    """A piece of the JSON of the value."""
    task = at.world.task(at.reply["taskId"])[1]
    if "cursor" not in at.given:
        return None
    whole = msgspec.json.encode(at.world.value(task.result)).decode()
    start = int(at.given["cursor"])
    return whole[start : start + len(at.own["text"])] if at.own["text"] else "some of it"


def next_piece(at: At) -> Any:
    task = at.world.task(at.reply["taskId"])[1]
    if "result" not in at.reply["leftOut"]:
        return None
    end = int(at.given.get("cursor", 0)) + len(at.reply["text"] or "")
    whole = len(msgspec.json.encode(at.world.value(task.result)).decode())
    return str(end) if end < whole else None


TASK_RESULTS: Table = {
    "taskId": named_task,
    "swarmId": task_swarm,
    "status": task_status,
    "reason": why,
    "result": result_of,
    "text": text_piece,
    "leftOut[]": const("result"),
    "nextCursor": next_piece,
    "parts[].taskId": lambda at: Among(
        *(n for _, t in at.world.task(at.reply["taskId"])[1].phases for n in t)
    ),
    "parts[].phase": task_spec("phase"),
    "parts[].type": task_spec("type"),
    "parts[].status": task_status,
    "parts[].agentId": task_field("agent"),
    "parts[].reason": task_field("reason"),
    "parts[].duration": lambda at: took(task_of(at)),
    "partsTotal": lambda at: sum(len(tasks) for _, tasks in task_of(at).phases),
    "report": lambda at: None,
    "report.runId": lambda at: at.facts["run"](at.reply["taskId"])["run"],
    "report.folder": lambda at: at.facts["run"](at.reply["taskId"])["folder"],
    "report.status": lambda at: at.facts["run"](at.reply["taskId"])["summary"]["status"],
    "report.files[]": lambda at: Among(*at.facts["run"](at.reply["taskId"])["files"]),
    "agentId": task_field("agent"),
    "duration": lambda at: took(task_of(at)),
    "endedAt": lambda at: iso(task_of(at).ended_ms),
    "warnings[]": doubt,
}
TASK_LIST: Table = {
    "swarmId": swarm_id,
    "tasks[].taskId": lambda at: Among(*at.swarm.tasks),
    "tasks[].status": task_status,
    "tasks[].reason": why,
    "tasks[].type": task_spec("type"),
    "tasks[].description": lambda at: task_of(at).spec.description[:200],
    "tasks[].priority": task_spec("priority"),
    "tasks[].agentId": task_field("agent"),
    "tasks[].parent": task_spec("parent"),
    "tasks[].phase": task_spec("phase"),
    "tasks[].attempt": lambda at: len(task_of(at).attempts),
    "tasks[].retryAt": retry_at,
    "tasks[].createdAt": lambda at: iso(task_of(at).submitted_ms),
    "tasks[].endedAt": lambda at: iso(task_of(at).ended_ms),
    "nextCursor": lambda at: (
        f"{task_of_last(at).submitted_ms}-{task_of_last(at).spec.id}"
        if len(at.reply["tasks"]) == at.given.get("limit", 100)
        else None
    ),
}


def task_of_last(at: At) -> Any:
    return at.world.task(at.reply["tasks"][-1]["taskId"])[1]


CHANGED: Table = {
    "taskId": given("taskId"),
    "swarmId": task_swarm,
    "status": task_status,
    "cancelling": lambda at: Among(
        task_of(at).cancelling is not None,
        *([True] if any(a.cancelled for a in task_of(at).attempts) else []),
    ),
    "reason": lambda at: Among(
        *task_of(at).reasons.during(at.before_ms, at.after_ms),
        *([None] if at.own["cancelling"] or at.tool == "task_retry" else []),
    ),
}


def cleared(at: At) -> list[str]:
    """Tasks that this clear ended, by the reason in the log."""
    return [
        event.task
        for _, _, _, event in at.swarm.events
        if isinstance(event, e.TaskCancelled | e.TaskCancelling)
        and str(at.reply["clearId"]) in event.reason
    ]


def queued_again(at: At) -> list[str]:
    return [
        event.task
        for _, _, at_ms, event in at.swarm.events
        if isinstance(event, e.TaskQueued | e.TaskAssigned) and at_ms >= at.before_ms
    ]


def was(at: At) -> Any:
    """The status before it was cleared."""
    steps = at.swarm.tasks[at.own["taskId"]].status.steps
    return Among(*(name for _, name in steps))


def matching(at: At) -> list[str]:
    """What a dry run tells of: here always by a status."""
    wanted = at.given["filter"].removeprefix("status:")
    return [name for name, each in at.swarm.tasks.items() if each.status.now == wanted]


CLEAR: Table = {
    "swarmId": swarm_id,
    "clearId": lambda at: (
        None
        if at.given.get("dryRun")
        else at.given.get("undo", at.reply["clearId"] if cleared(at) else "one in the log")
    ),
    "dryRun": given("dryRun", False),
    "cleared": lambda at: (
        0
        if "undo" in at.given
        else len(matching(at))
        if at.given.get("dryRun")
        else len(set(cleared(at)))
    ),
    "tasks[].taskId": lambda at: Among(*(matching(at) if at.given.get("dryRun") else cleared(at))),
    "tasks[].status": was,
    "tasks[].undoable": lambda at: (
        at.swarm.tasks[at.own["taskId"]].spec.parent is None
        and not at.swarm.tasks[at.own["taskId"]].phases
    ),
    "more": const(False),
    "restored[]": lambda at: Among(*queued_again(at)),
    "notRestored[].taskId": lambda at: Among(*cleared(at)),
    "notRestored[].reason": lambda at: Among(
        *(v.message for _, _, _, v in at.swarm.events if isinstance(v, e.CommandRefused))
    ),
}


def estimate(at: At) -> Any:
    """By what like tasks took in this log; see docs/decisions."""
    return at.facts["estimate"](at)


def plan_of(at: At) -> Any:
    return at.world.task(at.reply["taskId"])[1]


def phase_tasks(at: At) -> tuple[str, ...]:
    phase = next(each for each in at.chain if isinstance(each, dict) and "dependencies" in each)
    return dict(plan_of(at).phases)[phase["name"]]


def left_out(at: At) -> bool:
    """A value of more than a megabyte is not in the answer, and a warning says so."""
    task = plan_of(at)
    size = 0 if task.result is None else len(msgspec.json.encode(at.world.value(task.result)))
    return size > 1_048_576 and any("by pieces" in each for each in at.reply["warnings"])


def reason_now(at: At) -> Any:
    """Why it is where it is, once it was waited for or is blocked."""
    return Among(None, plan_of(at).reason)


def agreement(word: str, usual: Any) -> Any:
    """As the call asked for a vote on the result; else as the vote on a change always is."""
    return lambda at: (at.given.get("consensusRequired") or {}).get(word, usual)


ORCHESTRATE: Table = {
    "taskId": lambda at: Among(*at.swarm.tasks),
    "swarmId": swarm_id,
    "status": task_status,
    "assignedAgents[].agentId": lambda at: Among(*at.swarm.agents),
    "assignedAgents[].role": spec("type"),
    "assignedAgents[].capabilities[]": lambda at: Among(
        *at.world.agent(at.reply["assignedAgents"][at.place[1]]["agentId"])[1].spec.capabilities
    ),
    "orchestrationPlan.phases[].name": lambda at: plan_of(at).phases[at.place[-2]][0],
    "orchestrationPlan.phases[].agents[]": lambda at: Among(*at.swarm.agents),
    "orchestrationPlan.phases[].tasks[]": lambda at: Among(
        *phase_tasks(at), *(at.swarm.tasks[n].spec.type for n in phase_tasks(at))
    ),
    "orchestrationPlan.phases[].dependencies[]": lambda at: Among(
        *(name for name, _ in plan_of(at).phases)
    ),
    "orchestrationPlan.phases[].estimatedDuration": estimate,
    "coordination": lambda at: None,
    "coordination.consensusThreshold": agreement("threshold", 0.5),
    "coordination.votingMechanism": agreement("votingMechanism", "majority"),
    "coordination.conflictResolution": agreement(
        "conflictResolution", "a tie decides nothing, and the change is not taken over"
    ),
    "coordination.members[]": lambda at: Among(
        *(a.spec.name for a in at.swarm.agents.values()), *at.swarm.agents
    ),
    "coordination.voteId": lambda at: Among(
        None, *(v.spec.id for _, _, _, v in at.swarm.events if isinstance(v, e.VoteOpened))
    ),
    "estimatedCompletion": estimate,
    "mcpConnections.active": connections,
    "mcpConnections.poolUtilization": lambda at: round(
        connections(at) / at.facts["connections_max"], 4
    ),
    "playbook": lambda at: at.facts["playbook"](at),
    "why": lambda at: at.facts["why"](at),
    "missing": lambda at: plan_of(at).reason if at.reply["status"] == "blocked" else None,
    "reason": lambda at: reason_now(at),
    "unmetCapabilities[]": lambda at: Among(*at.facts["unmet"](at)),
    "formedAgents[]": lambda at: Among(*(each.spec.id for each in born(at) if each.spec.formed)),
    "runId": lambda at: at.facts["run_id"](at),
    "swarmCreated": lambda at: at.facts["adopted"](at),
    "result": lambda at: result_of(at) if at.given.get("wait") and not left_out(at) else None,
    "warnings[]": told_or_words,
}
