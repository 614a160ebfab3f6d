"""How a lead cuts work up and joins what comes back, and how a manager reviews it.

`BaseAgent` has `Leading`, so every agent can lead; a class may do each of the three its own way.
What they do by themselves needs no model: parts that were given, shares of a list, a merge, and a
review that counts what is missing or below what was demanded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from visionflow.agents.task import Task
from visionflow.domain.errors import UsageError
from visionflow.domain.pipelines import Value, demands_in, meets
from visionflow.domain.teams import Seated
from visionflow.domain.wording import shown


class PartResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of a part."""

    part: int
    """Its place, from 0."""
    task: str
    completed: bool
    result: Any = None
    reason: str = ""
    """Why it came to nothing."""
    input: Any = None
    """Of one that came to nothing: what it was given."""


class TeamResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a task that a team was given."""

    team: str
    """Empty: nobody in a team was able to do it, and the manager led it itself."""
    lead: str
    parts: list[PartResult]
    result: Any = None
    measures: dict[str, Value] = {}
    """What the result says was measured, where a measure is demanded."""


def check_config(config: Mapping[str, Any]) -> None:
    """See that what a task's config says to whoever leads can be understood.

    Raises:
        UsageError: it cannot; the message says what is allowed.
    """
    demanded, parts = config.get("validation"), config.get("parts")
    if isinstance(demanded, Mapping):
        demands_in(cast("Mapping[str, object]", demanded), "The task")
    elif demanded is not None:
        raise UsageError(
            f"The validation of the task is {shown(demanded)}, not a map.",
            hint='Write what is demanded of each measure, such as {"coverage": 0.8}.',
        )
    if isinstance(parts, list | tuple) and not parts:
        raise UsageError(
            "parts in the config of the task is an empty list, so nothing could be handed out.",
            hint="Name the input of each part, or leave parts out: what is its input is then "
            "shared out.",
        )


class Leading:
    """Methods of an agent by which it leads. Each may be `async`; a plain one runs in a thread."""

    async def distribute_work(self, task: Task, members: Sequence[Seated]) -> list[Any]:
        """The inputs of the parts that a task is cut into, in order. `members`: who of the team has
        all that it asks for, least busy first.

        The list under `parts` in its config; else a list that it has as input is shared out among
        the members, in order; else it stays whole.
        """
        parts = task.config.get("parts")
        if isinstance(parts, list) and parts:
            return cast("list[Any]", parts)
        given = cast("object", task.input)
        if isinstance(given, list):
            return shares(cast("list[Any]", given), len(members))
        return [given]

    async def aggregate_results(self, results: list[Any]) -> Any:
        """One result of those of the parts that completed, in their order."""
        return merged(results)

    async def review_result(self, result: TeamResult, task: Task) -> list[str]:
        """What stands against a team's result, a sentence each; nothing: it is accepted. The lead
        gets it back with these once.

        Parts without a result, no result at all, and measures under `validation` in the task's
        config that are not met or were not taken.
        """
        return objections(result, task)


def shares(items: list[Any], members: int) -> list[Any]:
    """A list as so many lists one after the other, of lengths that differ by one at most; one that
    is empty stays as it is."""
    count = max(1, min(members, len(items)))
    size, more = divmod(len(items), count)
    found: list[Any] = []
    start = 0
    for place in range(count):
        end = start + size + (place < more)
        found.append(items[start:end])
        start = end
    return found


def merged(results: Sequence[Any]) -> Any:
    """Results as one: lists one after the other, maps key by key, and a single one as it is. Where
    they are neither, or two maps differ in what they say under a key, all of it as a list."""
    there = [result for result in results if result is not None]
    if len(there) < 2:
        return there[0] if there else None
    if all(isinstance(result, list) for result in there):
        return [item for result in there for item in result]
    if not all(isinstance(result, Mapping) for result in there):
        return there
    found: dict[Any, list[Any]] = {}
    for result in cast("list[Mapping[Any, Any]]", there):
        for key, value in result.items():
            said = found.setdefault(key, [])
            if value not in said:
                said.append(value)
    return {key: merged(said) if _joins(said) else _only(said) for key, said in found.items()}


def _joins(said: list[Any]) -> bool:
    return all(isinstance(value, list) for value in said) or all(
        isinstance(value, Mapping) for value in said
    )


def _only(said: list[Any]) -> Any:
    return said[0] if len(said) == 1 else said


def objections(result: TeamResult, task: Task) -> list[str]:
    """What can be held against a result without reading it."""
    found: list[str] = []
    for part in result.parts:
        if not part.completed:
            found.append(f"Part {part.part} came to nothing: {part.reason}")
        elif part.result is None:
            found.append(f"Part {part.part} has no result.")
    if result.result is None and not found:
        found.append("There is no result.")
    demanded = task.config.get("validation")
    if isinstance(demanded, Mapping):
        found.extend(_unmet(result.measures, cast("Mapping[str, Any]", demanded)))
    return found


def _unmet(measured: Mapping[str, Value], demanded: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, wanted in demanded.items():
        value = measured.get(name)
        if value is None:
            found.append(f"{name} was not measured; {wanted} is demanded.")
        elif not meets(value, wanted):
            found.append(f"{name} is {value}; {wanted} is demanded.")
    return found
