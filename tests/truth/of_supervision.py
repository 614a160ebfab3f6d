"""Sources of what the tools of supervision tell: events of the log, signals of workers, the OS."""

from collections.abc import Callable
from typing import Any

import psutil

from tests.truth.checking import Among, At, Between, Source
from tests.truth.of_agents import agent_id, agent_of, pid_in, spec, status_in
from tests.truth.origins import Table, iso, share, swarm_id
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s

MINUTE_MS = 60_000


def events(at: At, *kinds: type) -> list[tuple[int, Any]]:
    """Of the swarm, with their times."""
    return [(at_ms, each) for _, _, at_ms, each in at.swarm.events if isinstance(each, kinds)]


def latest(at: At, kinds: tuple[type, ...], about: Callable[[Any], bool]) -> Any:
    """The last event of these kinds that is about it."""
    found = [each for _, each in events(at, *kinds) if about(each)]
    return found[-1] if found else None


# What is so now ----------------------------------------------------------------------------------


def degraded(at: At) -> str | None:
    if at.reply["swarmId"] in at.world.ended:
        return None
    told = (s.SwarmDegraded, e.AgentFailed, e.AgentRecovering, e.AgentTerminating)
    why: dict[str, str] = {}
    missing: dict[str, None] = {}
    for _, each in events(at, *told):
        if isinstance(each, e.AgentFailed):
            why[each.agent] = each.reason
        elif isinstance(each, s.SwarmDegraded):
            missing |= dict.fromkeys(each.agents)
        else:
            missing.pop(each.agent, None)
    if not missing:
        return None
    by: dict[str, list[str]] = {}
    for name in list(missing)[:5]:
        by.setdefault(why[name], []).append(name)
    named = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by.items())
    rest = f"; and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"Not started again: {named}{rest}. agent_restart or agent_terminate each of them."


def suspected(at: At) -> list[str]:
    """Workers whose last word is a suspicion; one whose process has gone is none."""
    told = (s.WorkerSuspected, s.WorkerTrusted, e.WorkerLost, e.WorkerStopped)
    last = {each.worker: each for _, each in events(at, *told)}
    return [name for name, each in last.items() if isinstance(each, s.WorkerSuspected)]


def any_of(every: Callable[[At], list[str]]) -> Source:
    """One of these; the list has as many."""

    def source(at: At) -> Any:
        names = every(at)
        return Among(*names) if len(at.own) == len(names) else f"a list of {names}"

    return source


def circuits(at: At) -> dict[str, str]:
    """By circuit, where it stands; the agents' own go with them."""
    words = {s.CircuitOpened: "open", s.CircuitHalfOpened: "half_open", s.CircuitClosed: "closed"}
    found = {each.circuit: words[type(each)] for _, each in events(at, *words)}
    gone = {f"agent:{name}" for name, each in at.swarm.agents.items() if each.ended_ms is not None}
    return {name: word for name, word in found.items() if name not in gone}


def open_circuits(at: At) -> list[str]:
    return [name for name, word in circuits(at).items() if word == "open"]


def stalled(at: At) -> list[str]:
    """Tasks whose open attempt was said to make no progress, and not to go on."""
    found: dict[str, int] = {}
    told = (s.AttemptStalled, s.AttemptProgressed, e.StepFinished, e.AttemptFailed, e.TaskCompleted)
    for _, each in events(at, *told):
        if isinstance(each, s.AttemptStalled):
            found[each.task] = each.attempt
        else:
            found.pop(each.task, None)
    return list(found)


STANDING: Table = {
    "degraded": degraded,
    "suspected[]": any_of(suspected),
    "openCircuits[]": any_of(open_circuits),
    "stalledTasks[]": any_of(stalled),
}
"""Of swarm_status."""


def debug_until(field: str = "agentId") -> Source:
    """By the last event about it, while that is to come."""

    def source(at: At) -> Any:
        agent = agent_of(field)(at)
        last = latest(at, (s.DebugEnabled,), lambda each: each.agent == agent.spec.id)
        over = last is None or last.until_ms <= at.before_ms or agent.ended_ms is not None
        return None if over else iso(last.until_ms)

    return source


def circuit(at: At) -> str:
    return circuits(at).get(f"agent:{agent_of()(at).spec.id}", "closed")


OF_AGENT: Table = {"circuit": circuit, "debugUntil": debug_until()}
"""Of agent_status."""


# Health ------------------------------------------------------------------------------------------


def process(at: At) -> psutil.Process | None:
    pid = at.own["pid"]
    return None if pid is None else psutil.Process(pid)


def process_state(at: At) -> str | None:
    found = process(at)
    if found is None:
        return None
    return "stopped" if found.status() == psutil.STATUS_STOPPED else "running"


def probe(at: At) -> bool:
    """One that runs answers all three; one that was stopped can only be heard of lately."""
    owner = at.chain[-2]
    runs = owner["process"] == "running"
    return at.own["heartbeat"] if not runs and at.place[-1] == "heartbeat" else runs


def incarnation(at: At) -> int | None:
    """The last process that the log has of its worker, while there is one."""
    if at.own["pid"] is None:
        return None
    worker = agent_of()(at).worker
    return latest(at, (e.WorkerStarted,), lambda each: each.worker == worker).incarnation


def deaths(at: At) -> int:
    """Of its worker within the last minute, of those that the log judges."""
    worker = agent_of()(at).worker
    return sum(
        each.worker == worker and at_ms > at.before_ms - MINUTE_MS
        for at_ms, each in events(at, e.WorkerLost)
    )


def since(at: At) -> Any:
    """Since its task's status last changed."""
    task = at.own["currentTask"]
    if task is None:
        return None
    changed_ms = at.swarm.tasks[task].changed_ms
    return Between((at.before_ms - changed_ms) / 1e3, (at.after_ms - changed_ms) / 1e3)


def resident(at: At) -> Any:
    """About what the OS says now, for a heartbeat may be seconds old."""
    found, told = process(at), at.own["memoryBytes"]
    if found is None or told is None:
        return None
    now = found.memory_info().rss
    return told if now / 2 < told < now * 2 else f"{now} bytes"


def heard(at: At) -> Any:
    """A heartbeat comes every five seconds; one that was stopped is silent longer."""
    told = at.own["lastHeartbeatAge"]
    return None if told is None else Between(0.0, 15.0)


def reason(at: At) -> Any:
    """It names what the log or the other fields say."""
    text, owner = at.own[at.place[-1]], at.chain[-2]
    agent = at.world.agent(owner["agentId"])[1]
    unanswered = [name for name, done in owner["probes"].items() if not done]
    known = (
        f"it is {owner['status']}: {agent.reason}",
        f"it is {owner['status']}",
        f"its worker did not answer: {', '.join(unanswered)}",
        "it has left" if agent.ended_ms is not None else "",
        f"{agent.failed} of its {agent.failed + agent.completed} attempts failed or were rejected",
        *(f"{task} makes no progress" for task in owner["stalledTasks"]),
    )
    if text in known or (text.startswith("its worker may be gone: ") and suspected(at)):
        return text
    if text.startswith("its circuit is open: ") and owner["circuit"] == "open":
        return text
    return f"one of {known}"


def rate(at: At) -> float | None:
    agent = agent_of()(at)
    if agent.ended_ms is not None:
        return None
    return share(agent.failed, agent.failed + agent.completed)


def page_of(at: At) -> list[str]:
    if at.given.get("agentId") is not None:
        return [at.world.agent(at.given["agentId"])[1].spec.id]
    return sorted(at.swarm.living)


def next_cursor(at: At) -> str | None:
    limit = at.given.get("limit", 100)
    return page_of(at)[limit - 1] if len(page_of(at)) > limit else None


AGENT_HEALTH: Table = {
    "swarmId": lambda at: Among(*at.world.reserved),
    "healthy": lambda at: (
        at.reply["degraded"] is None and all(not each["reasons"] for each in at.reply["agents"])
    ),
    "degraded": degraded,
    "agents[].agentId": agent_id(),
    "agents[].name": spec("name"),
    "agents[].type": spec("type"),
    "agents[].status": status_in(),
    "agents[].healthy": lambda at: not at.own["reasons"],
    "agents[].reasons[]": reason,
    "agents[].worker": lambda at: (
        None if agent_of()(at).ended_ms is not None else agent_of()(at).worker
    ),
    "agents[].pid": pid_in(),
    "agents[].process": process_state,
    "agents[].incarnation": incarnation,
    "agents[].lastHeartbeatAge": heard,
    "agents[].probes.*": probe,
    "agents[].restarts": deaths,
    "agents[].circuit": circuit,
    "agents[].circuitUntil": lambda at: (
        iso(
            latest(
                at, (s.CircuitOpened,), lambda c: c.circuit == f"agent:{at.own['agentId']}"
            ).until_ms
        )
        if circuit(at) == "open"
        else None
    ),
    "agents[].currentTask": lambda at: next(iter(agent_of()(at).open), None),
    "agents[].currentTaskSeconds": since,
    "agents[].stalledTasks[]": any_of(stalled),
    "agents[].memoryBytes": resident,
    "agents[].memoryLimitBytes": lambda at: (
        None if agent_of()(at).ended_ms is not None else agent_of()(at).spec.limits.memory_bytes
    ),
    "agents[].errorRate": rate,
    "agents[].debugUntil": debug_until(),
    "total": lambda at: len(page_of(at)),
    "nextCursor": next_cursor,
}

# What is done ------------------------------------------------------------------------------------


def is_restarting(at: At) -> bool:
    """By the log it was to be built anew, and has not been ready in what it is to be since."""
    agent = agent_of()(at)
    if agent.status.now not in ("ready", "processing"):
        return agent.status.now not in ("failed", "terminating", "terminated")
    name, worker = agent.spec.id, agent.worker
    kinds = (e.AgentUpdated, e.AgentRebuilt, e.AgentReady, s.WorkerRestarting, s.WorkerRecycling)
    last = latest(
        at,
        kinds,
        lambda each: (
            getattr(each, "agent", getattr(getattr(each, "spec", None), "id", None)) == name
            or getattr(each, "worker", None) == worker
        ),
    )
    return isinstance(last, e.AgentUpdated | s.WorkerRestarting | s.WorkerRecycling)


AGENT_RESTART: Table = {
    "agentId": agent_id(),
    "swarmId": lambda at: at.world.agent(at.reply["agentId"])[0],
    "name": spec("name"),
    "status": status_in(),
    "restarting": is_restarting,
    "openTasks": lambda at: at.facts["held"].get(at.reply["agentId"], 0),
    "pid": pid_in(),
    "incarnation": incarnation,
    "reason": lambda at: agent_of()(at).reason if agent_of()(at).status.now == "failed" else None,
}


def meanwhile(at: At, *kinds: type) -> list[Any]:
    """Events that the log has from while the call was answered."""
    return [each for at_ms, each in events(at, *kinds) if at.before_ms <= at_ms <= at.after_ms]


SWARM_RESET: Table = {
    "swarmId": swarm_id,
    "status": lambda at: "active" if at.swarm.closed is None else "closed",
    "tasksCancelled": lambda at: len(meanwhile(at, e.TaskCancelled)),
    "agentsEnded": lambda at: len(meanwhile(at, e.AgentTerminated)),
    "processesEnded": lambda at: len(meanwhile(at, e.WorkerStopped, e.WorkerLost)),
    "circuitsClosed": lambda at: len(meanwhile(at, s.CircuitClosed)),
    "tasksLeft": lambda at: sum(t.ended_ms is None for t in at.swarm.tasks.values()),
    "agentsLeft": lambda at: len(at.swarm.living),
    "processesLeft": lambda at: len(at.swarm.pids),
}


def ran(at: At, row: Any) -> bool:
    """Whether its worker's process was the same all the time, and ran."""
    replaced = [each.worker for each in meanwhile(at, e.WorkerStarted, e.WorkerLost)]
    return row["worker"] not in replaced


def reached_before(at: At) -> bool:
    agent = agent_of()(at)
    return ran(at, at.own) and "failed" not in agent.status.during(at.before_ms, at.before_ms)


def reached_after(at: At) -> bool:
    return agent_of()(at).status.now in ("ready", "processing")


def action(at: At) -> str:
    name = at.own["agentId"]
    if any(each.agent == name for each in meanwhile(at, e.AgentRecovering)):
        lost = [each.worker for each in meanwhile(at, e.WorkerLost)]
        return "replaced" if at.own["worker"] in lost else "restarted"
    return "none"


def of_all(field: str) -> Source:
    return lambda at: sum(each[field] for each in at.reply["agents"])


SWARM_RECONNECT: Table = {
    "swarmId": swarm_id,
    "reachableBefore": of_all("reachableBefore"),
    "reachableAfter": of_all("reachableAfter"),
    "agents[].agentId": agent_id(),
    "agents[].worker": lambda at: agent_of()(at).worker,
    "agents[].reachableBefore": reached_before,
    "agents[].reachableAfter": reached_after,
    "agents[].action": action,
    "agents[].status": status_in(),
}


# A look ------------------------------------------------------------------------------------------


def asked_for(metric: str, source: Source) -> Source:
    """Null where the metric was not wanted."""
    return lambda at: source(at) if metric in at.given.get("metrics", metric) else None


def with_process(at: At) -> int:
    return len(at.swarm.pids)


def took(at: At) -> list[float]:
    """From each assignment of the last minute to its start."""
    given_ms: dict[str, int] = {}
    found: list[float] = []
    for at_ms, each in events(at, e.TaskAssigned, e.TaskStarted):
        if isinstance(each, e.TaskAssigned):
            given_ms[each.task] = at_ms
        elif at_ms > at.before_ms - MINUTE_MS:
            found.append((at_ms - given_ms[each.task]) / 1e3)
    return found


def quantile(at: At) -> Any:
    """One of what was measured; null where nothing was."""
    told = took(at)
    return Among(*told) if told and at.own["samples"] else None


def lately(at: At) -> Any:
    """Tasks that completed in the minute before the call, give or take how long that took."""
    ends = [at_ms for at_ms, _ in events(at, e.TaskCompleted)]
    low = sum(each > at.after_ms - MINUTE_MS for each in ends)
    return Between(low, sum(each > at.before_ms - MINUTE_MS for each in ends))


def length(at: At) -> Any:
    began_ms = at.swarm.events[0][2]
    return Between(*(min(60.0, (each - began_ms) / 1e3) for each in (at.before_ms, at.after_ms)))


SWARM_MONITOR: Table = {
    "swarmId": swarm_id,
    "at": lambda at: Between(iso(at.before_ms), iso(at.after_ms)),
    "status": lambda at: "active" if at.swarm.closed is None else "closed",
    "degraded": degraded,
    "agents": lambda at: len(at.swarm.living),
    "agentsReady": lambda at: sum(
        each.status.now in ("ready", "processing") for each in at.swarm.living.values()
    ),
    "agentsFailed": lambda at: sum(
        each.status.now == "failed" for each in at.swarm.living.values()
    ),
    "openTasks": lambda at: sum(each.ended_ms is None for each in at.swarm.tasks.values()),
    "interval": lambda at: float(at.given.get("interval", 5000)) / 1e3,
    "connectivity": lambda at: None,
    "connectivity.workers": with_process,
    "connectivity.answered": with_process,
    "connectivity.share": lambda at: 1.0 if at.swarm.pids else None,
    "connectivity.suspected[]": any_of(suspected),
    "latency": lambda at: None,
    "latency.samples": lambda at: Between(0, len(took(at))),
    "latency.p50": quantile,
    "latency.p99": quantile,
    "throughput": lambda at: None,
    "throughput.completed": lately,
    "throughput.seconds": length,
    "throughput.perMinute": lambda at: (
        at.own["completed"] * 60 / at.own["seconds"] if at.own["seconds"] else None
    ),
}


def debugged(at: At) -> Any:
    named = at.given.get("agentId")
    if named is not None:
        return at.world.agent(named)[1].spec.id
    return any_of(lambda at: list(at.swarm.living))(at)


def ends_at(at: At) -> Any:
    """So long after the call."""
    text = str(at.given.get("duration", "600"))
    length_ms = int(text.removesuffix("h")) * (3_600_000 if text.endswith("h") else 1_000)
    if not length_ms:
        return None
    return Between(*(iso(each + length_ms) for each in (at.before_ms, at.after_ms)))


DEBUG_ENABLE: Table = {
    "swarmId": lambda at: Among(*at.world.reserved),
    "agents[]": debugged,
    "until": ends_at,
}
