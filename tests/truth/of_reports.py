"""Sources of what is told of memory, of what happened, and of the server."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.truth.checking import Among, At, Between, Source
from tests.truth.of_agents import (
    connections,
    status_in,
)
from tests.truth.of_swarms import (
    still,
)
from tests.truth.origins import (
    Table,
    const,
    given,
    iso,
    mean,
    ms,
    never,
    share,
    swarm_id,
)
from visionflow.domain import events as e
from visionflow.domain.swarms import Strategy, Topology
from visionflow.domain.tasks import Priority


def entry(at: At) -> Any:
    space = at.own.get("namespace", at.given.get("namespace", "default"))
    return at.world.memory.get((space, at.own["key"]))


def kept(name: str, told: Any = lambda value: value) -> Source:
    return lambda at: None if entry(at) is None else told(getattr(entry(at), name))


def value_of(at: At) -> Any:
    if f"{at.own['namespace']}/{at.own['key']}" in at.reply.get("leftOut", ()):
        return None
    return None if entry(at) is None else at.world.value(entry(at).value)


def large(at: At) -> Any:
    return Among(
        *(f"{space}/{key}" for (space, key), v in at.world.memory.items() if v.size_bytes > 60_000)
    )


def found(at: At) -> list[str]:
    query = at.given["query"].casefold().split()
    return [
        key
        for (space, key), each in sorted(at.world.memory.items())
        if all(part in f"{key} {each.text}".casefold() for part in query)
        and at.given.get("namespace") in (None, space)
    ]


STORED: Table = {
    "namespace": given("namespace", "default"),
    "key": given("key"),
    "sizeBytes": kept("size_bytes"),
    "storedAt": kept("stored_ms", iso),
    "expiresAt": kept("expires_ms", iso),
}
MEMORY_STORE: Table = dict(STORED)
MEMORY_RETRIEVE: Table = {
    **STORED,
    "found": lambda at: entry(at) is not None,
    "value": value_of,
    "storedBy": kept("by"),
}
MEMORY_SEARCH: Table = {
    "entries[].namespace": lambda at: Among(*(space for space, _ in at.world.memory)),
    "entries[].key": lambda at: Among(*found(at)),
    "entries[].value": value_of,
    "entries[].sizeBytes": kept("size_bytes"),
    "entries[].storedAt": kept("stored_ms", iso),
    "entries[].expiresAt": kept("expires_ms", iso),
    "leftOut[]": large,
    "nextCursor": lambda at: (
        f"{len(last['namespace'])}:{last['namespace']}{last['key']}"
        if len(at.reply["entries"]) == at.given.get("limit", 50)
        and (last := at.reply["entries"][-1])
        else None
    ),
}

# Observation ------------------------------------------------------------------------------------


def report(source: Any) -> Source:
    """Of a report over all of a swarm's life."""
    return lambda at: source(at.swarm, at)


def over(swarm: Any, *outcomes: str | None) -> list[Any]:
    return [each for each in swarm.attempts() if each.outcome in outcomes]


AWAY = ("killed", "lost", "agent_gone", "network_failure")


def on_purpose(attempt: Any) -> bool:
    """Whether supervision ended the process, or the agent, that it was with."""
    return attempt.excused and attempt.outcome in AWAY


def failed(swarm: Any) -> list[Any]:
    none = (None, "completed", "throttled", "recalled", "in_doubt", "reassigned")
    return [
        a
        for a in swarm.attempts()
        if a.outcome not in none and not a.cancelled and not on_purpose(a)
    ]


def doing(source: Any) -> Source:
    return lambda at: source(at.swarm, at.swarm.agents[at.own["id"]], at)


def busy(at: At) -> Any:
    """The union of its attempts, over how long it has been there."""
    agent = at.swarm.agents[at.own["id"]]
    until = ms(at.reply["timeframe"]["until"])
    spans = sorted(
        (each.assigned_ms, each.ended_ms or until) for each in at.swarm.attempts(at.own["id"])
    )
    total, reached = 0, 0
    for began, ended in spans:
        total += max(0, ended - max(began, reached))
        reached = max(reached, ended)
    return share(total, (agent.ended_ms or until) - agent.spawned_ms)


def mine(swarm: Any, name: str, outcomes: Any) -> list[Any]:
    return [each for each in outcomes if each.agent == name]


def by_type(at: At) -> list[float]:
    return sorted(
        each.duration_us
        for each in over(at.swarm, "completed")
        if at.swarm.tasks[each.task].spec.type == at.own["type"]
    )


def at_rank(values: list[float], part: float) -> float:
    """The value at this part of the way."""
    return values[max(0, -(-int(len(values) * part * 1_000) // 1_000) - 1)] / 1e6


def error_of(at: At) -> Any:
    return next(
        a for a in failed(at.swarm) if a.task == at.own["task"] and iso(a.ended_ms) == at.own["at"]
    )


def summary_text(at: At) -> Any:
    """Its numbers are those of the fields beside it."""
    if at.given.get("format") != "summary":
        return None
    tasks, text = at.reply["tasks"], at.reply["text"]
    says = (
        f"{tasks['submitted']} tasks submitted, {tasks['completed']} completed, "
        f"{tasks['failed']} failed, {tasks['deadLetter']} given up, {tasks['cancelled']} cancelled."
    )
    return text if says in text and at.reply["swarmId"] in text else says


def submitted(swarm: Any) -> int:
    return len(swarm.tasks)


REPORT: Table = {
    "swarmId": swarm_id,
    "format": given("format", "json"),
    "timeframe.since": report(lambda s, at: iso(s.events[0][2])),
    "timeframe.until": lambda at: Between(iso(at.before_ms), iso(at.after_ms)),
    "timeframe.seconds": lambda at: (ms(at.own["until"]) - ms(at.own["since"])) / 1_000,
    "tasks.submitted": report(lambda s, at: submitted(s)),
    "tasks.completed": report(lambda s, at: s.standing("completed")),
    "tasks.failed": report(lambda s, at: s.standing("failed")),
    "tasks.cancelled": report(lambda s, at: s.standing("cancelled")),
    "tasks.deadLetter": report(lambda s, at: s.standing("dead_letter")),
    "tasks.successRate": report(
        lambda s, at: share(
            s.standing("completed"),
            sum(s.standing(each) for each in ("completed", "failed", "dead_letter")),
        )
    ),
    "tasks.avgDuration": report(
        lambda s, at: mean([a.duration_us / 1e6 for a in over(s, "completed")])
    ),
    "tasks.perMinute": report(
        lambda s, at: at.facts["ever"](s, e.TaskCompleted) * 60 / at.reply["timeframe"]["seconds"]
    ),
    "tasks.attempts": report(lambda s, at: sum(1 for a in s.attempts() if a.outcome is not None)),
    "tasks.attemptsCancelled": report(
        lambda s, at: sum(
            1 for a in s.attempts() if (a.cancelled and a.outcome is not None) or on_purpose(a)
        )
    ),
    "tasks.attemptsThrottled": report(
        lambda s, at: sum(1 for a in over(s, "throttled") if not a.cancelled)
    ),
    "tasks.open.*": report(lambda s, at: s.standing(at.place[-1])),
    "errorMetrics.total": report(lambda s, at: len(failed(s))),
    "errorMetrics.rate": report(
        lambda s, at: share(len(failed(s)), len(failed(s)) + len(over(s, "completed")))
    ),
    "errorMetrics.byType[].type": report(lambda s, at: Among(*(a.outcome for a in failed(s)))),
    "errorMetrics.byType[].count": report(
        lambda s, at: sum(1 for a in failed(s) if a.outcome == at.own["type"])
    ),
    "errorMetrics.recent[].task": report(lambda s, at: Among(*(a.task for a in failed(s)))),
    "errorMetrics.recent[].taskType": lambda at: at.swarm.tasks[at.own["task"]].spec.type,
    "errorMetrics.recent[].agent": lambda at: error_of(at).agent,
    "errorMetrics.recent[].type": lambda at: error_of(at).outcome,
    "errorMetrics.recent[].reason": lambda at: error_of(at).reason,
    "errorMetrics.recent[].at": report(lambda s, at: Among(*(iso(a.ended_ms) for a in failed(s)))),
    "agents": lambda at: None,
    "agents[].id": lambda at: Among(*at.swarm.agents),
    "agents[].name": doing(lambda s, a, at: a.spec.name),
    "agents[].type": doing(lambda s, a, at: a.spec.type),
    "agents[].status": status_in("id"),
    "agents[].active_tasks": doing(lambda s, a, at: len(a.open)),
    "agents[].completed_tasks": doing(lambda s, a, at: a.completed),
    "agents[].failed_tasks": doing(lambda s, a, at: len(mine(s, at.own["id"], failed(s)))),
    "agents[].utilization": busy,
    "agents[].success_rate": doing(
        lambda s, a, at: share(a.completed, a.completed + len(mine(s, at.own["id"], failed(s))))
    ),
    "agents[].error_rate": doing(
        lambda s, a, at: share(len(bad := mine(s, at.own["id"], failed(s))), a.completed + len(bad))
    ),
    "agents[].avg_task_duration": doing(
        lambda s, a, at: mean(
            [t.duration_us / 1e6 for t in mine(s, at.own["id"], over(s, "completed"))]
        )
    ),
    "agents[].cpu_usage": never,
    "agents[].memory_usage": never,
    "taskTypes": lambda at: None,
    "taskTypes[].type": lambda at: Among(*(t.spec.type for t in at.swarm.tasks.values())),
    "taskTypes[].completed": lambda at: len(by_type(at)),
    "taskTypes[].mean": lambda at: sum(by_type(at)) // len(by_type(at)) / 1e6,
    "taskTypes[].median": lambda at: by_type(at)[(len(by_type(at)) + 1) // 2 - 1] / 1e6,
    "taskTypes[].p95": lambda at: by_type(at)[-(-len(by_type(at)) * 95 // 100) - 1] / 1e6,
    "taskTypes[].longest": lambda at: by_type(at)[-1] / 1e6,
    "text": summary_text,
}


def event_at(at: At) -> Any:
    return next(v for v in at.swarm.events if v[:2] == (at.own["seq"], at.own["index"]))


def event_fields(at: At) -> Any:
    """What the event holds, as far as the page tells it: each told value is in the event."""
    event = msgspec.json.decode(msgspec.json.encode(event_at(at)[3]))
    told = at.own["fields"]
    return told if contained(told, event, at) else event


def contained(told: Any, event: Any, at: At) -> bool:
    if told == event:
        return True
    if isinstance(event, dict) and isinstance(told, dict):
        return all(
            name in event and contained(each, event[name], at) for name, each in told.items()
        )
    if not isinstance(event, list):
        return False
    if isinstance(told, list) and len(told) == len(event):
        return all(contained(*pair, at) for pair in zip(told, event, strict=True))
    return told == payload(event, at)


def payload(event: list[Any], at: At) -> Any:
    """A value as the log has it: inline, as base64 here, or in a blob."""
    if event[0] is None:
        return {"blob": event[1]}
    raw = base64.b64decode(event[0])
    return {"bytes": len(raw)} if len(raw) > 4_096 else msgspec.msgpack.decode(raw)


EVENTS: Table = {
    "swarmId": swarm_id,
    "events[].seq": lambda at: Among(*(v[0] for v in at.swarm.events)),
    "events[].index": lambda at: Among(*(v[1] for v in at.swarm.events if v[0] == at.own["seq"])),
    "events[].at": lambda at: iso(event_at(at)[2]),
    "events[].type": lambda at: type(event_at(at)[3]).__struct_config__.tag,
    "events[].fields": event_fields,
    "head": lambda at: at.swarm.head,
    "nextCursor": lambda at: (
        "{seq}.{index}".format(**at.reply["events"][-1])
        if len(at.reply["events"]) == at.given.get("limit", 100) and at.facts["more"](at)
        else None
    ),
}


def usage(at: At) -> int:
    live = at.world.live
    return {
        "agents": lambda: still(
            [agent for each in live.values() for agent in each.agents.values()], "spawned_ms", at
        ),
        "swarms": lambda: len(live),
        "connections": lambda: connections(at),
    }[at.place[-1]]()


def templates(at: At) -> Any:
    shipped = Path(at.facts["shipped"]).read_text()
    kinds = {**yaml.safe_load(shipped)["agent_templates"], **at.facts["templates"]}
    return Among(*kinds)


SERVER_INFO: Table = {
    "name": const("visionflow"),
    "version": lambda at: at.facts["version"],
    "protocolVersions[]": lambda at: Among(*at.facts["protocols"]),
    "ready": lambda at: at.facts["ready"](),
    "startedAt": lambda at: Between(iso(at.facts["began_ms"]), iso(at.facts["up_ms"])),
    "uptimeSeconds": lambda at: Between(
        (at.before_ms - ms(at.reply["startedAt"])) / 1e3,
        (at.after_ms - ms(at.reply["startedAt"])) / 1e3,
    ),
    "endpoints.*": lambda at: at.facts["told"][at.place[-1]],
    "tools[]": lambda at: at.facts["tools"][at.place[-1]],
    "later.*": lambda at: at.facts["not_built"](at.place[-1]),
    "agentTypes[]": templates,
    "taskTypes.*[]": lambda at: Among(*at.facts["task_types"](at.place[-2])),
    "codingAgents[]": lambda at: at.facts["config"]["coding_agents"]["value"][at.place[-1]],
    "topologies[]": lambda at: [*Topology][at.place[-1]].value,
    "strategies[]": lambda at: [*Strategy][at.place[-1]].value,
    "priorities.*": lambda at: Priority[at.place[-1].upper()].value,
    "eventTypes[]": lambda at: Among(*at.facts["event_types"]),
    "usage.*": usage,
    "limits.*": lambda at: at.facts["limits"][at.place[-1]],
    "settings.*.value": lambda at: at.facts["config"][at.place[-2]]["value"],
    "settings.*.origin": lambda at: at.facts["config"][at.place[-2]]["origin"],
}
