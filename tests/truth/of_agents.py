"""Sources of what is told of agents."""

from pathlib import Path
from typing import Any

import psutil

from tests.truth.checking import Among, At, Source
from tests.truth.origins import Table, given, iso, never, share, swarm_id, words
from visionflow.domain import events as e


def agent_of(field: str = "agentId") -> Any:
    return lambda at: at.world.agent(at.own[field])[1]


def agent_id(field: str = "agentId") -> Source:
    """One that was spawned in this swarm; the one that was named, where one was."""

    def source(at: At) -> Any:
        named = at.given.get("agentId")
        if named is not None and at.own is at.reply:
            return at.world.agent(named)[1].spec.id
        return Among(*at.swarm.agents)

    del field
    return source


def status_in(field: str = "agentId", spawning: bool = False) -> Source:
    """What it was at some time while the call was answered."""

    def source(at: At) -> Any:
        found = agent_of(field)(at).status.during(at.before_ms, at.after_ms)
        if spawning and found & {"created", "initialising"}:
            found.add("spawning")
        return Among(*found)

    return source


def pid_in(field: str = "agentId", spawning: bool = False) -> Source:
    """The worker process that hosted it, by the log; it is a child of the server, by the OS."""

    def source(at: At) -> Any:
        found = agent_of(field)(at).pid.during(at.before_ms, at.after_ms)
        children = {each.pid for each in psutil.Process(at.facts["pid"]).children(recursive=True)}
        told = at.own["pid"]
        if told is not None and told not in children and psutil.pid_exists(told):
            return f"a child of the server: {children}"
        spawned = agent_of(field)(at).status.during(at.before_ms, at.after_ms)
        early = {None} if spawning and spawned & {"created", "initialising"} else set()
        gone = {None} if "terminated" in spawned else set()
        return Among(*found, *early, *gone)

    return source


def spec(name: str, field: str = "agentId") -> Source:
    return lambda at: getattr(agent_of(field)(at).spec, name)


def current(field: str = "id") -> Source:
    return lambda at: next(iter(agent_of(field)(at).open), None)


def shown(prefix: str) -> Table:
    """An agent in a list."""
    return {
        f"{prefix}.id": lambda at: Among(*at.swarm.agents),
        f"{prefix}.type": spec("type", "id"),
        f"{prefix}.name": spec("name", "id"),
        f"{prefix}.status": status_in("id"),
        f"{prefix}.currentTask": current(),
        f"{prefix}.pid": pid_in("id"),
    }


def memory_of(at: At) -> str | None:
    """The ceiling in the spec, as the call wrote it."""
    size = agent_of()(at).spec.limits.memory_bytes
    return None if size is None else f"{size >> 20}Mi"


def held(prefix: str = "resources.") -> Table:
    """What an agent is held to: by the log there is a ceiling, and a process of its own."""

    def alone(at: At) -> Any:
        agent = at.world.agent(at.reply["agentId"])[1]
        if agent.spec.limits.memory_bytes is None or agent.ended_ms is not None:
            return None
        others = [a for a in at.swarm.living.values() if a.worker == agent.worker]
        return "its own process, which watches its resident memory" if len(others) == 1 else None

    def memory(at: At) -> Any:
        size = at.world.agent(at.reply["agentId"])[1].spec.limits.memory_bytes
        return None if alone(at) is None or size is None else f"{size >> 20}Mi"

    return {
        f"{prefix}allocated": lambda at: alone(at) is not None,
        f"{prefix}cpu": never,
        f"{prefix}memory": memory,
        f"{prefix}gpuDevice": never,
        f"{prefix}enforcedBy": alone,
    }


def ready_time(at: At) -> Any:
    """By what agents like it took before; null when it is up, or there was none."""
    agent = agent_of()(at)
    if at.reply["status"] != "spawning":
        return None
    took = at.swarm.births(
        agent.spec.type, agent.spec.limits.memory_bytes is not None, agent.spec.id
    )
    middle = at.world.middle(took)
    return None if middle is None else iso(agent.spawned_ms + middle)


def spawn_time(at: At) -> Any:
    agent = agent_of("agentId")(At(**{**vars(at), "chain": [at.reply]}))
    if at.reply["status"] == "spawning":
        return Among(None, agent.ready_ms and agent.ready_ms - agent.spawned_ms)
    return agent.ready_ms - agent.spawned_ms


def resident(at: At) -> Any:
    """Of a process of its own: about what the OS says now."""
    pid = at.reply["pid"]
    agent = at.world.agent(at.reply["agentId"])[1]
    if pid is None or agent.spec.limits.memory_bytes is None:
        return None
    told = float(at.own["memoryAllocated"].removesuffix(" MB"))
    now = psutil.Process(pid).memory_info().rss / 1e6
    return at.own["memoryAllocated"] if now / 1.5 < told < now * 1.5 else f"{now:.1f} MB"


def connections(at: At) -> int:
    """Connections to the server's ports, by the OS."""
    return at.facts["connections"]()


AGENT_SPAWN: Table = {
    "agentId": lambda at: Among(*at.swarm.agents),
    "swarmId": swarm_id,
    "name": spec("name"),
    "type": spec("type"),
    "status": status_in(spawning=True),
    "pid": pid_in(spawning=True),
    "capabilities[]": lambda at: agent_of()(
        At(**{**vars(at), "chain": [at.reply]})
    ).spec.capabilities[at.place[-1]],
    "estimatedReadyTime": ready_time,
    "tcpEndpoint": lambda at: at.facts["tcp"],
    **held(),
    "connectionPool.poolId": lambda at: at.facts["pool"](at.reply["connectionPool"]["poolId"]),
    "connectionPool.connections": connections,
    "connectionPool.healthCheck": lambda at: "passing" if at.facts["ready"]() else "starting",
    "initialisationMetrics.spawnTime": spawn_time,
    "initialisationMetrics.modelLoadTime": never,
    "initialisationMetrics.memoryAllocated": resident,
    "swarmCreated": lambda at: at.facts["adopted"](at),
    "warnings[]": words,
}
PARALLEL: Table = {
    "swarmId": swarm_id,
    "swarmCreated": lambda at: at.facts["adopted"](at),
    "requested": lambda at: sum(each.get("count", 1) for each in at.given["agents"]),
    "spawned": lambda at: sum(1 for each in born(at) if each.reason is None),
    "agents[].agentId": lambda at: Among(*(each.spec.id for each in born(at))),
    "agents[].name": spec("name"),
    "agents[].type": spec("type"),
    "agents[].status": status_in(spawning=True),
    "agents[].pid": pid_in(spawning=True),
    "agents[].warnings[]": words,
    "refused[].type": lambda at: Among(*(each["type"] for each in at.given["agents"])),
    "refused[].name": lambda at: Among(
        *(each.get("name") for each in at.given["agents"]),
        *(f"{each.get('name')}-{n}" for each in at.given["agents"] for n in range(1, 9)),
    ),
    "refused[].agentId": lambda at: Among(
        None, *(n for n, each in at.swarm.agents.items() if each.status.now == "failed")
    ),
    "refused[].code": lambda at: "limit_reached" if at.own["agentId"] is None else "agent_failed",
    "refused[].message": lambda at: (
        limit_words(at, at.own["message"])
        if at.own["agentId"] is None
        else at.own["message"]
        if f"did not get ready: {agent_of()(at).reason}" in at.own["message"]
        else agent_of()(at).reason
    ),
}


def limit_words(at: At, text: str) -> str:
    """Tells the limit that is reached, of the swarm or of the server."""
    limits = (at.swarm.agents_max[-1], at.facts["max_agents"])
    own, server = (f"its limit is {limits[0]}.", f"at most {limits[1]};")
    return text if own in text or server in text else f"a limit: {limits}"


def born(at: At) -> list[Any]:
    """Agents that were spawned while the call was answered."""
    return [
        each for each in at.swarm.agents.values() if at.before_ms <= each.spawned_ms <= at.after_ms
    ]


AGENT_LIST: Table = {
    "swarmId": lambda at: None if at.given.get("swarmId") == "all" else swarm_id(at),
    **shown("agents[]"),
    "agents[].swarmId": lambda at: at.world.agent(at.own["id"])[0],
    "total": lambda at: len(listed(at)),
    "nextCursor": lambda at: (
        at.reply["agents"][-1]["id"] if len(listed(at)) > at.given.get("limit", 100) else None
    ),
}


def listed(at: At) -> list[str]:
    """Agents that a list is of."""
    every = at.given.get("swarmId") == "all"
    places = at.world.live.values() if every else [at.world.swarms[at.reply["swarmId"]]]
    left = at.given.get("status") == "terminated"
    return [
        name
        for place in places
        for name, each in place.agents.items()
        if (each.ended_ms is not None) == left
        and at.given.get("agentType") in (None, each.spec.type)
    ]


AGENT_STATUS: Table = {
    "agentId": agent_id(),
    "swarmId": lambda at: at.world.agent(at.reply["agentId"])[0],
    "name": spec("name"),
    "type": spec("type"),
    "status": status_in(),
    "draining": lambda at: agent_of()(at).draining,
    "reason": lambda at: (
        agent_of()(at).reason
        if agent_of()(at).status.now in ("error", "recovering", "failed")
        else None
    ),
    "pid": pid_in(),
    "capabilities[]": AGENT_SPAWN["capabilities[]"],
    "config": lambda at: unless_gone(at, lambda a: at.world.value(a.spec.config) or {}),
    "currentTask": lambda at: next(iter(agent_of()(at).open), None),
    "tasks[]": lambda at: at.world.agent(at.reply["agentId"])[1].open[at.place[-1]],
    "tasksMax": lambda at: unless_gone(at, lambda a: a.spec.tasks_max),
    "tasksCompleted": lambda at: unless_gone(at, lambda a: a.completed),
    "tasksFailed": lambda at: unless_gone(at, lambda a: a.failed),
    "successRate": lambda at: unless_gone(at, lambda a: share(a.completed, a.completed + a.failed)),
    "avgTaskDuration": lambda at: unless_gone(
        at, lambda a: a.mean_us / 1e6 if a.completed else None
    ),
    **held(),
}


def unless_gone(at: At, source: Any) -> Any:
    """What is not kept of an agent that has left is null."""
    agent = at.world.agent(at.reply["agentId"])[1]
    return None if agent.ended_ms is not None else source(agent)


def lines(at: At) -> Any:
    """In the file of log lines, where it is for people."""
    text = at.own[at.place[-1]]
    file = Path(at.facts["home"], "server", "visionflow.log").read_text()
    return text if text in file.splitlines() and at.reply["agentId"] in text else "a line of it"


AGENT_LOGS: Table = {
    "agentId": agent_id(),
    "swarmId": lambda at: at.world.agent(at.reply["agentId"])[0],
    "lines[]": lines,
}
AGENT_UPDATE: Table = {
    "agentId": agent_id(),
    "swarmId": lambda at: at.world.agent(at.reply["agentId"])[0],
    "status": status_in(),
    "config": lambda at: at.world.value(agent_of()(at).spec.config) or {},
    "tasksMax": spec("tasks_max"),
    "memoryLimit": memory_of,
    "enforcedBy": lambda at: held("")["enforcedBy"](at),
    "openTasks": lambda at: len(agent_of()(at).open),
    "warnings[]": words,
}


def ended_by_call(at: At) -> list[str]:
    return [
        event.agent
        for _, _, at_ms, event in at.swarm.events
        if isinstance(event, e.AgentDraining | e.AgentTerminating)
        and at.before_ms <= at_ms <= at.after_ms
    ]


def how_it_ends(at: At) -> str:
    """By whether it held a task."""
    return "draining" if at.swarm.agents[at.own["agentId"]].open else "terminated"


SURPLUS: Table = {
    "ended[].agentId": lambda at: Among(*ended_by_call(at)),
    "ended[].action": how_it_ends,
    "ended[].openTasks": lambda at: len(at.swarm.agents[at.own["agentId"]].open),
}


def staying(at: At, kind: str | None = None) -> int:
    return sum(
        1
        for each in at.swarm.agents.values()
        if each.ended_ms is None
        and not each.draining
        and each.status.now not in ("terminating", "failed")
        and kind in (None, each.spec.type)
    )


AGENT_SCALE: Table = {
    "swarmId": swarm_id,
    "swarmCreated": lambda at: at.facts["adopted"](at),
    "agentType": given("agentType"),
    "target": given("count"),
    "before": lambda at: (
        staying(at, at.given["agentType"]) - len(born(at)) + len(ended_by_call(at))
    ),
    "now": lambda at: staying(at, at.given["agentType"]),
    "draining": lambda at: sum(
        each.draining and each.ended_ms is None and each.spec.type == at.given["agentType"]
        for each in at.swarm.agents.values()
    ),
    "spawned[]": lambda at: Among(*(each.spec.id for each in born(at))),
    **SURPLUS,
    "refused": lambda at: max(0, at.given["count"] - at.reply["before"] - len(born(at))),
    "reason": lambda at: limit_words(at, at.own["reason"]) if at.own["refused"] else None,
    "warnings[]": words,
}
AGENT_TERMINATE: Table = {
    "agentId": agent_id(),
    "swarmId": lambda at: at.world.agent(at.reply["agentId"])[0],
    "name": spec("name"),
    "status": lambda at: (
        "draining"
        if agent_of()(at).draining
        else Among(*agent_of()(at).status.during(at.before_ms, at.after_ms))
    ),
    "openTasks": lambda at: at.facts["held"][at.reply["agentId"]],
}
