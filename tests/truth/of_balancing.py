"""Sources of what `load_balance` tells: who was asked back, what came of it, and who holds what."""

from typing import Any

from tests.truth.checking import Among, At
from tests.truth.origins import Table, given, swarm_id
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s


def asked(at: At) -> list[str]:
    """Tasks that were asked back while the call was answered."""
    return [
        event.task
        for _, _, at_ms, event in at.swarm.events
        if isinstance(event, s.AttemptRecalling) and at.before_ms <= at_ms <= at.after_ms
    ]


def after(at: At, task: str) -> list[Any]:
    """What is told of a task from its recall on."""
    found: list[Any] = []
    for _, _, at_ms, event in at.swarm.events:
        if isinstance(event, s.AttemptRecalling) and at_ms >= at.before_ms:
            if event.task == task:
                found = [event]
        elif found and getattr(event, "task", None) == task:
            found.append(event)
    return found


def holder(at: At) -> str:
    """Who was given the attempt that was asked back."""
    told = after(at, at.own["taskId"])
    return next(
        event.agent
        for _, _, _, event in at.swarm.events
        if isinstance(event, e.TaskAssigned)
        and (event.task, event.attempt) == (told[0].task, told[0].attempt)
    )


def outcome(at: At) -> Any:
    """All that it may have been by then; the next event decides."""
    found = {"asked"} if not at.given.get("wait") else set[str]()
    previous = ""
    for event in after(at, at.own["taskId"])[1:]:
        if isinstance(event, e.AttemptFailed):
            previous = "queued" if event.kind == "recalled" else "ended"
        elif isinstance(event, e.TaskAssigned) and previous == "queued":
            previous = "returned" if event.agent == holder(at) else "moved"
            return Among(*found, previous)
        elif isinstance(event, e.TaskStarted):
            previous = "began"
        elif isinstance(event, e.TaskCompleted):
            previous = "ended"
        if previous:
            found.add(previous)
    return Among(*found)


def taker(at: At) -> Any:
    if at.own["outcome"] not in ("moved", "returned"):
        return None
    told = after(at, at.own["taskId"])
    return next(event.agent for event in told if isinstance(event, e.TaskAssigned))


def held(at: At) -> int:
    return len(at.swarm.agents[at.own["agentId"]].open)


def held_before(at: At) -> int:
    """What it held when the first was asked back, or else when the answer was there."""
    holders: dict[str, str] = {}
    for _, _, at_ms, event in at.swarm.events:
        asked_now = isinstance(event, s.AttemptRecalling) and at_ms >= at.before_ms
        if at_ms > at.after_ms or (asked_now and event.task in _told(at)):
            break
        if isinstance(event, e.TaskAssigned):
            holders[event.task] = event.agent
        elif isinstance(event, e.AttemptFailed | e.TaskCompleted):
            holders.pop(event.task, None)
    return list(holders.values()).count(at.own["agentId"])


def _told(at: At) -> list[str]:
    return [each["taskId"] for each in at.reply["tasks"]]


def moved(at: At) -> Any:
    """Those whose outcome says so; null while one has not answered."""
    outcomes = [each["outcome"] for each in at.reply["tasks"]]
    return None if "asked" in outcomes else outcomes.count("moved")


def staying(at: At) -> Any:
    """As many as are out with an agent and were not asked back, by what the log says of each."""
    out = {task for agent in at.swarm.living.values() for task in agent.open}
    began = {task for task in out if at.swarm.tasks[task].status.now == "running"}
    if at.own["reason"] == "it has begun":
        return len(began)
    return Among(*range(1, len(out - began) + 1))


BALANCE: Table = {
    "swarmId": swarm_id,
    "strategy": given("strategy", "even_distribution"),
    "asked": lambda at: len(asked(at)),
    "moved": moved,
    "tasks[].taskId": lambda at: Among(*asked(at)),
    "tasks[].fromAgent": holder,
    "tasks[].toAgent": taker,
    "tasks[].outcome": outcome,
    "stayed[].reason": lambda at: Among(
        "it has begun",
        "it has ended",
        "it is meant for this agent alone",
        "it was asked back before",
        "it is being cancelled",
        "nobody who could do it has room and holds less",
        "no better specialist has room for it",
    ),
    "stayed[].count": staying,
    "queued": lambda at: at.swarm.standing("queued"),
    "agents[].agentId": lambda at: Among(*at.swarm.agents),
    "agents[].before": held_before,
    "agents[].now": held,
}
