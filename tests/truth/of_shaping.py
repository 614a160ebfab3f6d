"""Sources of what `topology_optimize` and `coordination_sync` tell: sums over the log under each
topology, the graph of what is left, and digests of what agents were last said to be."""

import re
from collections import Counter, defaultdict
from hashlib import sha256
from typing import Any

import msgspec

from tests.truth.checking import Among, At, Between
from tests.truth.logged_world import ENDS, Task
from tests.truth.origins import Table, given, never, swarm_id
from visionflow.domain import events as e
from visionflow.domain import mail_events as me
from visionflow.domain import shape_events as h
from visionflow.domain import supervision_events as s

NAMES = ("hierarchical", "star", "mesh", "ring", "sequential")
NO_FAILURE = ("recalled", "throttled", "in_doubt", "reassigned")
MESH_OVERHEAD_MS = 4.0
"""Of a mesh under which too little was measured: what an auction takes."""


# What was measured -------------------------------------------------------------------------------


def first(at: At) -> str:
    chosen = str(at.swarm.spec.topology)
    return "hierarchical" if chosen == "adaptive" else chosen


def switches(at: At) -> list[Any]:
    return [each for _, _, _, each in at.swarm.events if isinstance(each, h.TopologySwitched)]


def in_force(at: At) -> str:
    return next((str(each.after) for each in reversed(switches(at))), first(at))


def on_trial(at: At) -> bool:
    told = (h.TopologySwitched, h.TopologyKept)
    last = [each for _, _, _, each in at.swarm.events if isinstance(each, told)][-1:]
    return bool(last) and isinstance(last[0], h.TopologySwitched) and not last[0].rolled_back


def sums(at: At, until_ms: int) -> Counter[str]:
    """What the log says of the time under the topology that this is about."""
    return every_sum(at, until_ms)[at.own["topology"]]


def every_sum(at: At, until_ms: int) -> dict[str, Counter[str]]:
    """What it says of the time under each."""
    now = first(at)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    since_ms: dict[str, int] = {}
    held: set[str] = set()
    for _, _, at_ms, event in at.swarm.events:
        here = found[now]
        if isinstance(event, e.TaskSubmitted | e.PlanSubmitted):
            since_ms[event.spec.id] = at_ms
        elif isinstance(event, e.TaskAssigned):
            here["attempts"] += 1
            here["busy"] -= at_ms if not held else 0
            held.add(event.task)
        elif isinstance(event, e.AttemptFailed | e.TaskCompleted):
            if isinstance(event, e.TaskCompleted):
                here["completed"] += 1
                here["took"] += at_ms - since_ms[event.task]
                here["done"] += event.task in held
                here["ended"] += event.task in held
            else:
                here["failed"] += event.kind not in NO_FAILURE
                here["ended"] += event.kind not in NO_FAILURE
            if event.task in held:
                held.remove(event.task)
                here["busy"] += at_ms if not held else 0
        elif isinstance(event, me.MailSent):
            reached = any(each in at.swarm.agents for each in event.to)
            here["messages"] += reached and not event.letter.external
        elif isinstance(event, h.TopologySwitched):
            now = str(event.after)
            if held:
                here["busy"] += at_ms
                found[now]["busy"] -= at_ms
    if held:
        found[now]["busy"] += until_ms
    return found


def measured(name: str) -> Any:
    return lambda at: sums(at, at.after_ms)[name]


def per_second(at: At) -> Any:
    early, late = sums(at, at.before_ms), sums(at, at.after_ms)
    if late["busy"] <= 0:
        return None
    least = late["done"] * 1_000 / late["busy"]
    return Between(least, late["done"] * 1_000 / early["busy"] if early["busy"] > 0 else least)


def rate(part: str, whole: str, scale: int = 1) -> Any:
    def source(at: At) -> Any:
        found = sums(at, at.after_ms)
        return found[part] / found[whole] / scale if found[whole] else None

    return source


# What is left ------------------------------------------------------------------------------------


def left(at: At) -> dict[str, Task]:
    return {
        name: task
        for name, task in at.swarm.tasks.items()
        if not task.phases and task.status.now not in ENDS
    }


def waits_for(at: At) -> dict[str, list[str]]:
    """Of each task that is left, those that come before it."""
    tasks = left(at)
    before = {name: [d for d in task.spec.depends_on if d in tasks] for name, task in tasks.items()}
    plans = [each for _, _, _, each in at.swarm.events if isinstance(each, e.PlanSubmitted)]
    for plan in plans:
        previous: list[str] = []
        for _, names, one_by_one in plan.phases:
            own = [name for name in names if name in tasks]
            for place, name in enumerate(own):
                before[name] += previous
                before[name] += [own[place - 1]] if one_by_one and place else []
            previous = own or previous
    return before


def depths(at: At) -> Counter[int]:
    before = waits_for(at)

    def depth(name: str) -> int:
        return 1 + max((depth(each) for each in before[name]), default=0)

    return Counter(depth(name) for name in before)


def single(at: At) -> int:
    able = [a for a in at.swarm.living.values() if not a.draining and a.status.now != "failed"]

    def alone(task: Task) -> bool:
        kinds = {f"type:{task.spec.agent_type}"} if task.spec.agent_type else set()
        wanted = {*task.spec.capabilities, *kinds}
        offered = [{*a.spec.capabilities, f"type:{a.spec.type}"} for a in able]
        return sum(wanted <= each for each in offered) == 1

    return sum(
        task.spec.agent is not None or task.agent is not None or alone(task)
        for task in left(at).values()
    )


def longest_s(at: At) -> float | None:
    """What all that is left takes at most, by the longest of all that was done."""
    took = [each.duration_us for each in at.swarm.tasks.values() if each.duration_us is not None]
    return max(took) * len(left(at)) / 1e6 if took and left(at) else None


def work(at: At) -> Any:
    most = longest_s(at)
    return None if most is None else Between(0.0, most)


def critical(at: At) -> Any:
    return None if longest_s(at) is None else Between(0.0, at.own["workSeconds"])


def makespan(at: At) -> Any:
    most = longest_s(at)
    if most is None:
        return None
    # Nine attempts in ten that fail are the most that is reckoned with.
    return Between(0.0, 10 * most + len(left(at)) * at.own["overheadMs"] / 1e3)


def overhead(at: At) -> Any:
    if longest_s(at) is None:
        return None
    if measured_delay(at):
        return Between(talk_ms(at), talk_ms(at) + 1_000.0)
    return (MESH_OVERHEAD_MS if at.own["topology"] == "mesh" else 0.0) + talk_ms(at)


def measured_delay(at: At) -> bool:
    """Whether enough was measured under it, or under one that gives tasks out in the same way."""
    alike = ("hierarchical", "star", "sequential")
    own = at.own["topology"]
    of = every_sum(at, at.after_ms)
    return any(of[name]["done"] >= 10 for name in (alike if own in alike else (own,)))


def talk_ms(at: At) -> float:
    """Half a millisecond for each message of a task and hop, in whole microseconds; hops in
    tenths."""
    found = every_sum(at, at.after_ms).values()
    messages, done = (sum(each[name] for each in found) for name in ("messages", "done"))
    agents = at.swarm.living.values()
    count, kinds = len(agents), len({agent.spec.type for agent in agents})
    both_ways = 20 * (count - 1) // count
    tenths = {
        "mesh": 10,
        "ring": 5 * count,
        "star": both_ways,
        "hierarchical": both_ways,
        "sequential": max(10, 10 * kinds // 3),
    }[at.own["topology"]]
    return messages * 500 * tenths // (10 * done) / 1_000


def best(at: At) -> dict[str, float]:
    told = at.reply["topologies"]
    return {e["topology"]: e["makespanSeconds"] for e in told if e["makespanSeconds"] is not None}


def proposed(at: At) -> Any:
    took = best(at)
    return Among(*[name for name in took if took[name] == min(took.values())]) if took else None


def gain(at: At) -> Any:
    """Over the one in force when the prediction was made."""
    took = best(at)
    if not took:
        return None
    switched = at.given.get("apply")
    before = str(switches(at)[-1].before) if switched else in_force(at)
    own = took[before]
    share = (own - min(took.values())) / own if own else 0.0
    return Between(share - 0.0002, share + 0.0002)


def reason(at: At) -> Any:
    took = best(at)
    if not took:
        return None
    parts = [str(round(took[at.reply["proposed"]] * 1_000)), str(len(left(at)))]
    told = at.reply["reason"]
    return told if all(part in told for part in parts) else f"with {parts}"


OPTIMIZE: Table = {
    "swarmId": swarm_id,
    "topology": in_force,
    "proposed": proposed,
    "gain": gain,
    "applied": given("apply", False),
    "reason": reason,
    "onTrial": on_trial,
    "switches": lambda at: len(switches(at)),
    "plan.tasks": lambda at: len(left(at)),
    "plan.depth": lambda at: max(depths(at), default=0),
    "plan.width": lambda at: max(depths(at).values(), default=0),
    "plan.dependencies": lambda at: sum(map(len, waits_for(at).values())),
    "plan.single": single,
    "plan.workSeconds": work,
    "plan.criticalSeconds": critical,
    "topologies[].topology": lambda at: Among(*NAMES),
    "topologies[].makespanSeconds": makespan,
    "topologies[].overheadMs": overhead,
    "topologies[].tasksMeasured": measured("done"),
    "topologies[].tasksPerSecond": per_second,
    "topologies[].completionSeconds": rate("took", "completed", 1_000),
    "topologies[].errorRate": rate("failed", "ended"),
    "topologies[].messages": measured("messages"),
    "topologies[].barredUntil": never,
}


# What members hold -------------------------------------------------------------------------------


def digest(value: object) -> str:
    return sha256(msgspec.msgpack.encode(value)).hexdigest()[:32]


def should_be(at: At) -> str:
    """An agent as it was last said to be, in that version."""
    name = at.own["agentId"]
    spec, version = at.swarm.agents[name].spec, 0
    for _, _, _, event in at.swarm.events:
        if isinstance(event, e.AgentUpdated) and event.spec.id == name:
            version = event.revision
        assert not (isinstance(event, s.CeilingRaised) and event.agent == name)
    return digest((name, version, digest(spec), True))


def up(at: At) -> Among:
    living = at.swarm.living.items()
    return Among(*[name for name, a in living if a.status.now in ("ready", "processing")])


def gossip(at: At) -> Any:
    told = at.own["gossip"]
    if told is None or in_force(at) != "mesh":
        return None
    return told if re.fullmatch("[0-9]+[.][0-9]+[.][0-9a-f]{16,64}", told) else "a digest"


def agree(at: At) -> Any:
    return Among(True, False, None) if in_force(at) == "mesh" else None


SYNC: Table = {
    "swarmId": swarm_id,
    "equal": lambda at: not at.reply["resent"] and not at.reply["silent"],
    "members[].agentId": up,
    "members[].expected": should_be,
    "members[].before": should_be,
    "members[].after": should_be,
    "members[].gossip": gossip,
    "resent[].agentId": never,
    "resent[].difference": never,
    "resent[].action": never,
    "silent[]": never,
    "peersAgree": agree,
}
