"""What sources are made of: the log's times, the call's own words, and what a reply is about."""

from datetime import UTC, datetime
from typing import Any

from tests.truth.checking import Among, At, Source

Table = dict[str, Source]


def iso(at_ms: int | None) -> str | None:
    """A time as replies have it."""
    if at_ms is None:
        return None
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}Z"


def ms(text: str) -> int:
    """And back."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def given(name: str, default: Any = None) -> Source:
    """As the call said."""
    return lambda at: at.given.get(name, default)


def const(value: Any) -> Source:
    return lambda at: value


def never(at: At) -> None:
    """Nothing measures or makes it yet."""
    del at


def flat(value: Any) -> list[str]:
    """All words and numbers in a value."""
    if isinstance(value, dict):
        return [word for name, each in value.items() for word in (name, *flat(each))]
    if isinstance(value, list):
        return [word for each in value for word in flat(each)]
    return [str(value)]


def words(at: At) -> Any:
    """A warning: text of ours, about something that the call names, or that the swarm is like."""
    text, swarm = at.chain[-1][at.place[-1]], at.swarm
    about = [*flat(dict(at.given)), swarm.spec.topology, swarm.spec.strategy, swarm.spec.id]
    about += [f"type {task.spec.agent_type};" for task in waiting(swarm)]
    about += ["task_results"] if "result" in at.reply else []
    if text.split()[1:4] == ["queued", "tasks", "wait:"]:
        about = [str(len(waiting(swarm)))]
    if text.split()[1:3] == ["waits", "until"]:
        task = swarm.tasks[text.split()[0]]
        return f"{task.spec.id} waits until {iso(task.retry_ms)}: {task.reason}"
    return text if any(word and word in text for word in about) else f"about one of {about}"


def waiting(swarm: Any) -> list[Any]:
    """Queued tasks that nobody there can do."""
    kinds = {each.spec.type for each in swarm.living.values()}
    return [
        task
        for task in swarm.tasks.values()
        if task.status.now == "queued" and task.spec.agent_type not in (None, *kinds)
    ]


def swarm_id(at: At) -> Any:
    """One that was promised; the one that was asked for, where one was."""
    named = at.given.get("swarmId")
    return named if named in at.world.reserved else Among(*at.world.reserved)
