"""Sources of what is told of swarms."""

import json
from pathlib import Path
from typing import Any

from tests.truth.checking import Among, At, Between, Source
from tests.truth.of_agents import SURPLUS, shown, staying
from tests.truth.origins import Table, given, iso, mean, share, swarm_id, words
from visionflow.domain import events as e
from visionflow.domain import shape_events as h
from visionflow.domain.tasks import Priority


def place_of(at: At) -> str:
    """Its own, else the server's first."""
    return at.swarm.spec.workspace or at.facts["workspace"]


def word(swarm: Any) -> str:
    return "active" if swarm.closed is None else "closed"


def topology(swarm: Any, over: bool) -> str:
    """In force; of one that is over, or adaptive, as it was made."""
    made = swarm.spec.topology
    if over or made == "adaptive":
        return made
    told = [each.after for _, _, _, each in swarm.events if isinstance(each, h.TopologySwitched)]
    return told[-1] if told else made


def limit(name: str) -> Source:
    """As the call that made the swarm said it, by the swarm's log."""
    return lambda at: getattr(at.swarm.spec.coding, name)


def asked(name: str) -> Source:
    """As this call says it."""
    return lambda at: at.given["limits"][name]


def overseen(name: str, usual: Any) -> Source:
    """As this call says it of its supervision, or as it is where it does not."""
    return lambda at: at.given.get("supervision", {}).get(name, usual)


def ends_by(at: At) -> Any:
    hours = float(at.given["limits"]["timeLimit"].removesuffix("h"))
    return Between(*(iso(round(each + hours * 3.6e6)) for each in (at.before_ms, at.after_ms)))


def cost(at: At) -> float:
    return at.swarm.spec.coding.cost_microdollars / 1e6


def goes(at: At) -> list[dict[str, Any]]:
    """What each start of a coding agent reported, from the ledger of the swarm."""
    folder = Path(at.facts["home"], "server", "usage", f"{at.swarm.spec.id}.swarm")
    lines = (folder / "usage.jsonl").read_text().splitlines() if folder.exists() else []
    return [json.loads(each)["usage"] for each in lines]


def used(*names: str) -> Source:
    """Their sum; nothing where none of them was ever reported."""

    def source(at: At) -> Any:
        told = [each[name] for each in goes(at) for name in names if each[name] is not None]
        return sum(told) if told or not goes(at) else None

    return source


def unsaid(name: str) -> Source:
    return lambda at: sum(each[name] is None for each in goes(at))


def dollars(at: At) -> float | None:
    micro = used("cost_microdollars")(at)
    return None if micro is None else micro / 1e6


SWARM_INIT: Table = {
    "swarmId": swarm_id,
    "name": given("name", ""),
    "topology": given("topology", "hierarchical"),
    "strategy": given("strategy", "centralized"),
    "status": lambda at: word(at.swarm),
    "maxAgents": lambda at: at.given.get("maxAgents", at.facts["max_agents"]),
    "workspace": lambda at: at.given.get("workspace", at.facts["workspace"]),
    "limits": lambda at: None,
    "limits.maxTokens": asked("maxTokens"),
    "limits.maxCost": asked("maxCost"),
    "limits.endsAt": ends_by,
    "limits.agentTimeout": asked("agentTimeout"),
    "limits.agentMemory": asked("agentMemory"),
    "supervision.strategy": overseen("strategy", "one_for_one"),
    "supervision.restarts": overseen("restarts", None),
    "supervision.period": overseen("period", 60),
    "autoscale": given("autoscale", False),
    "tcpEndpoint": lambda at: at.facts["tcp"],
    "warnings[]": words,
}


def oldest(at: At) -> Any:
    since = [t.changed_ms for t in at.swarm.tasks.values() if t.status.now == "queued"]
    if not since:
        return None
    return Between((at.before_ms - min(since)) / 1e3, (at.after_ms - min(since)) / 1e3)


def queue(*names: str) -> Table:
    return {f"taskQueue.{camel(n)}": lambda at, n=n: at.swarm.standing(n) for n in names}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.title() for each in rest)


def queued_of(at: At) -> int:
    named = {level.name.lower(): int(level) for level in Priority}
    level = named.get(at.place[-1])
    return sum(
        1
        for each in at.swarm.tasks.values()
        if each.status.now == "queued"
        and each.spec.priority == (level if level is not None else int(at.place[-1]))
    )


def completions(swarm: Any) -> list[float]:
    return [
        (each.ended_ms - each.submitted_ms) / 1e3
        for each in swarm.tasks.values()
        if each.status.now == "completed"
    ]


def ended(at: At) -> bool:
    return at.reply["swarmId"] in at.world.ended


def success(at: At) -> float | None:
    """Of a swarm that lives, of all ends there ever were; of one that is over, of how tasks are."""
    done, swarm = at.swarm.standing("completed"), at.swarm
    bad = (("failed", e.TaskFailed), ("dead_letter", e.TaskDeadLettered))
    count = sum(
        swarm.standing(word) if ended(at) else at.facts["ever"](swarm, kind) for word, kind in bad
    )
    return share(done, done + count)


SWARM_STATUS: Table = {
    "swarmId": swarm_id,
    "name": lambda at: at.swarm.spec.name,
    "goal": lambda at: at.swarm.spec.goal,
    "topology": lambda at: topology(at.swarm, ended(at)),
    "strategy": lambda at: at.swarm.spec.strategy,
    "status": lambda at: "ended" if ended(at) else word(at.swarm),
    "reason": lambda at: at.world.ended.get(at.reply["swarmId"], at.swarm.closed),
    "endedAt": lambda at: iso(at.world.ends[at.reply["swarmId"]][0]) if ended(at) else None,
    "endedBy": lambda at: at.world.ends[at.reply["swarmId"]][1] if ended(at) else None,
    # Of one that is over, what it was made with: only its own stream knows of changes.
    "maxAgents": lambda at: at.swarm.agents_max[0 if ended(at) else -1],
    "workspace": place_of,
    "limits": lambda at: None,
    "limits.maxTokens": limit("tokens"),
    "limits.maxCost": cost,
    "limits.endsAt": lambda at: iso(at.swarm.spec.coding.ends_at_ms),
    "limits.agentTimeout": lambda at: at.swarm.spec.coding.wall_ms / 1e3,
    "limits.agentMemory": limit("memory_bytes"),
    "usage": lambda at: None,
    "usage.tokens": used("input_tokens", "output_tokens"),
    "usage.cost": dollars,
    "usage.starts": lambda at: len(goes(at)),
    "usage.withoutTokens": unsaid("input_tokens"),
    "usage.withoutCost": unsaid("cost_microdollars"),
    **shown("agents[]"),
    **queue("pending", "queued", "assigned", "running", "blocked", "orchestrating"),
    **queue("completed", "failed", "cancelled", "dead_letter"),
    "taskQueue.oldestWaitSeconds": oldest,
    "taskQueue.byPriority.*": queued_of,
    "metrics.tasksCompleted": lambda at: at.swarm.standing("completed"),
    "metrics.avgCompletionTime": lambda at: mean(completions(at.swarm)),
    "metrics.successRate": success,
    "warnings[]": words,
}


def of_list(source: Any) -> Source:
    return lambda at: source(at.world.swarms[at.own["swarmId"]], at.own["swarmId"], at)


def still(things: Any, born_ms: str, at: At) -> Any:
    """How many of these were there while the call was answered."""
    there = [t for t in things if getattr(t, born_ms) <= at.after_ms]
    low = sum(1 for t in there if t.ended_ms is None or t.ended_ms > at.after_ms)
    return Between(low, sum(1 for t in there if t.ended_ms is None or t.ended_ms >= at.before_ms))


SWARM_LIST: Table = {
    "swarms[].swarmId": lambda at: Among(*at.world.reserved),
    "swarms[].name": of_list(lambda s, n, at: s.spec.name),
    "swarms[].topology": of_list(lambda s, n, at: topology(s, n in at.world.ended)),
    "swarms[].strategy": of_list(lambda s, n, at: s.spec.strategy),
    "swarms[].status": of_list(lambda s, n, at: "ended" if n in at.world.ended else word(s)),
    "swarms[].reason": of_list(lambda s, n, at: at.world.ended.get(n, s.closed)),
    "swarms[].agents": of_list(
        lambda s, n, at: 0 if n in at.world.ended else still(s.agents.values(), "spawned_ms", at)
    ),
    "swarms[].maxAgents": of_list(
        lambda s, n, at: (
            at.world.reserved[n].limits.agents_max if n in at.world.ended else s.agents_max[-1]
        )
    ),
    "swarms[].openTasks": of_list(
        lambda s, n, at: 0 if n in at.world.ended else still(s.tasks.values(), "submitted_ms", at)
    ),
    "total": lambda at: len(at.world.reserved),
    "nextCursor": lambda at: (
        at.reply["swarms"][-1]["swarmId"]
        if len(at.world.reserved) > at.given.get("limit", 100)
        else None
    ),
}
SWARM_SCALE: Table = {
    "swarmId": swarm_id,
    "before": lambda at: at.swarm.agents_max[-2],
    "maxAgents": lambda at: at.swarm.agents_max[-1],
    "agents": staying,
    **SURPLUS,
}


def ended_in(at: At, *kinds: type) -> int:
    """What the end of the swarm ended."""
    return sum(
        1
        for _, _, at_ms, event in at.swarm.events
        if isinstance(event, kinds) and at_ms >= at.before_ms
    )


SWARM_DESTROY: Table = {
    "swarmId": given("swarmId"),
    "status": lambda at: "ended" if at.given["swarmId"] in at.world.ended else "there",
    "reason": lambda at: at.world.ended[at.given["swarmId"]],
    "agentsEnded": lambda at: sum(
        1 for a in at.swarm.agents.values() if a.ended_ms is None or a.ended_ms >= at.before_ms
    ),
    "tasksCancelled": lambda at: ended_in(at, e.TaskCancelled),
}
