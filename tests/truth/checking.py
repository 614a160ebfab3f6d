"""The checker: each leaf of a reply against its source, and which sources a schema needs."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.truth.logged_world import World


class Among:
    """One of these; what is so moves while a call is answered."""

    def __init__(self, *of: Any) -> None:
        self.of = of

    def __eq__(self, other: object) -> bool:
        return any(agrees(other, each) for each in self.of)

    def __repr__(self) -> str:
        return f"one of {self.of}"


class Between:
    """A number or a time from here to there."""

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    def __eq__(self, other: object) -> bool:
        return other is not None and self.low <= other <= self.high

    def __repr__(self) -> str:
        return f"{self.low} to {self.high}"


@dataclass
class At:
    """Where in which reply to which call a leaf stands, and what the world is like."""

    world: World
    tool: str
    given: Mapping[str, Any]
    reply: Mapping[str, Any]
    before_ms: int
    """When the call was made."""
    after_ms: int
    """When its answer was there."""
    facts: Mapping[str, Any]
    """Of the server's process: what it said when it started, its flags, what the OS says."""
    chain: list[Any] = field(default_factory=list)
    """What the leaf is in, from the reply inwards."""
    place: list[Any] = field(default_factory=list)
    """Its names and places in lists."""

    @property
    def own(self) -> Any:
        """The object that it is a field of."""
        return self.chain[-1]

    @property
    def swarm(self) -> Any:
        """The swarm that the innermost object, else the reply, is about."""
        named = [
            each["swarmId"] for each in self.chain if isinstance(each, dict) and each.get("swarmId")
        ]
        return self.world.swarms[named[-1]]


Source = Callable[[At], Any]


def agrees(value: object, source: object) -> bool:
    """Whether a value is what its source says."""
    if isinstance(value, float) and isinstance(source, int | float):
        return math.isclose(value, source, rel_tol=1e-9, abs_tol=1e-9)
    return source == value


def invented(value: object) -> object:
    """Another value, which no source may agree with."""
    if isinstance(value, bool) or value is None:
        return "a word"
    return value + 1_000_003 if isinstance(value, int | float) else f"~{value}"


def leaves(
    value: Any, pattern: str, table: Mapping[str, Source]
) -> Iterator[tuple[str, list[Any], list[Any], Any]]:
    """Each leaf: its pattern, what it is in, its names, and itself. What has a source only as a
    whole is not looked into."""

    def walk(value: Any, pattern: str, chain: list[Any], place: list[Any]) -> Iterator[Any]:
        inner = any(each.startswith((f"{pattern}.", f"{pattern}[]")) for each in table)
        if (pattern in table and not inner) or not isinstance(value, dict | list):
            yield pattern, chain, place, value
        elif isinstance(value, list):
            for number, each in enumerate(value):
                yield from walk(each, f"{pattern}[]", [*chain, value], [*place, number])
        else:
            for name, each in value.items():
                inner = f"{pattern}.{name}" if pattern else name
                if inner not in table and not any(p.startswith(inner) for p in table):
                    inner = f"{pattern}.*"
                yield from walk(each, inner, [*chain, value], [*place, name])

    yield from walk(value, pattern, [], [])


class Checker:
    """Checks replies, and remembers which values each field had."""

    def __init__(self, table: Mapping[str, Mapping[str, Source]]) -> None:
        self.table = table
        self.values: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.faults: list[str] = []

    def check(self, at: At) -> None:
        """Every leaf of a reply."""
        sources = self.table[at.tool]
        for pattern, chain, place, value in leaves(at.reply, "", sources):
            where = f"{at.tool} {pattern} of {dict(at.given)}"
            source = sources.get(pattern)
            if source is None:
                self.faults.append(f"{where} has no source: {value!r:.100}")
                continue
            here = At(at.world, at.tool, at.given, at.reply, at.before_ms, at.after_ms, at.facts,
                      chain, place)  # fmt: skip
            try:
                wanted = source(here)
            except Exception as error:
                wanted = f"a source that fails: {error!r}"
            if not agrees(value, wanted):
                self.faults.append(f"{where} is {value!r:.200}; by its source {wanted!r:.200}")
            elif agrees(other := invented(value), wanted):
                self.faults.append(f"{where} might as well be {other!r:.100}: {wanted!r:.100}")
            seen = self.values[at.tool, pattern]
            if value not in seen and value != []:
                seen.append(value)


def fields(schema: Mapping[str, Any]) -> Iterator[str]:
    """The leaves that a published schema has."""
    parts = schema.get("$defs", {})

    def walk(each: Mapping[str, Any], path: str) -> Iterator[str]:
        if "$ref" in each:
            yield from walk(parts[each["$ref"].rpartition("/")[2]], path)
        elif "anyOf" in each:
            for one in each["anyOf"]:
                if one != {"type": "null"}:
                    yield from walk(one, path)
        elif "properties" in each:
            for name, one in each["properties"].items():
                yield from walk(one, f"{path}.{name}" if path else name)
        elif "items" in each:
            yield from walk(each["items"], f"{path}[]")
        elif isinstance(each.get("additionalProperties"), Mapping):
            yield from walk(each["additionalProperties"], f"{path}.*")
        else:
            yield path

    yield from walk(schema, "")
