"""What a log may say of outside effects: part of the checkers, and as they, apart from the engine.

Nothing is settled that was not reserved, at most one task holds a key, an effect that is in doubt
is never begun again by itself, and one that happened is not begun again at all.
"""

from collections.abc import Iterator
from typing import Any

Fact = dict[str, Any]
EFFECT_KINDS = frozenset(
    {
        "effect_reserved",
        "effect_settled",
        "effect_failed",
        "effect_doubted",
        "effect_resolved",
    }
)
_REPEATABLE = ("idempotent", "transactional")
_AGAIN = ("probeable", *_REPEATABLE)


class EffectLine:
    """What the log says of one effect."""

    def __init__(self) -> None:
        self.status = ""
        self.kind = ""
        self.holder: tuple[str, int] = ("", 0)
        self.holders: set[tuple[str, int]] = set()
        """(task, attempt) that were ever allowed to carry it out."""
        self.resolution = ""
        self.begun = 0
        """How often it was reserved as if for the first time."""
        self.was_doubted = False
        self.settled: list[Any] = []
        """The result that it was settled or resolved with, last."""


class EffectCheck:
    """Feed it each event about effects, in order."""

    def __init__(self) -> None:
        self.effects: dict[str, EffectLine] = {}
        self.in_doubt: dict[str, None] = {}
        """Keys of those in doubt now, oldest first."""
        self.doubted: list[str] = []
        """Keys that came to be in doubt, in order; whoever reads it may clear it."""

    def event(self, kind: str, event: Fact, open_attempt: int | None) -> Iterator[str]:
        """What is wrong with this event; `open_attempt` is the one of its task, if any."""
        key: str = event["key"]
        line = self.effects.get(key)
        self.in_doubt.pop(key, None)
        if kind == "effect_reserved":
            line = line or EffectLine()
            self.effects[key] = line
            if event["attempt"] != open_attempt:
                yield f"effect {key} is reserved for attempt {event['attempt']}, not {open_attempt}"
            yield from _reserved(line, key, event)
        elif line is None:
            yield f"{kind} of {key}, which was never reserved"
        elif kind == "effect_settled":
            yield from _settled(line, key, event)
        elif kind == "effect_failed":
            if line.status not in ("reserved", "in_doubt"):
                yield f"effect {key} is {line.status} and fails"
            if (event["task"], event["attempt"]) != line.holder:
                yield f"effect {key} fails in {event['attempt']}, which does not hold it"
            line.status = "failed"
        elif kind == "effect_doubted":
            if line.status != "reserved":
                yield f"effect {key} is {line.status} and in doubt"
            line.status, line.was_doubted = "in_doubt", True
            self.doubted.append(key)
            self.in_doubt[key] = None
        else:
            if line.status != "in_doubt" and line.resolution in ("", "done"):
                yield f"effect {key} is {line.status} and resolved"
            line.status, line.resolution = "resolved", event["resolution"]
            line.settled = event.get("result", [])


def _reserved(line: EffectLine, key: str, event: Fact) -> Iterator[str]:
    fresh, kind = event.get("fresh", True), event["kind"]
    holder = (event["task"], event["attempt"])
    free = line.status in ("", "failed") or line.resolution == "not_done"
    if not free and line.status != "reserved":
        yield f"effect {key} is {line.status} {line.resolution} and reserved again"
    if line.status == "reserved":
        if line.holder[0] != holder[0]:
            yield f"effect {key} is held by {line.holder[0]} and given to {holder[0]}"
        if holder[1] <= line.holder[1]:
            yield f"effect {key} goes back from attempt {line.holder[1]} to {holder[1]}"
        if fresh:
            yield f"effect {key} was begun by attempt {line.holder[1]} and begins anew"
        if kind not in _AGAIN or (kind in _REPEATABLE and line.kind not in _REPEATABLE):
            yield f"effect {key} was begun as {line.kind} and is repeated as {kind}"
    elif not fresh:
        yield f"effect {key} is taken over from nobody"
    line.status, line.kind, line.resolution, line.holder = "reserved", kind, "", holder
    line.holders.add(holder)
    line.begun += fresh


def _settled(line: EffectLine, key: str, event: Fact) -> Iterator[str]:
    if line.status == "settled" or line.resolution == "done":
        yield f"effect {key} happens a second time"
    if (event["task"], event["attempt"]) not in line.holders:
        yield f"effect {key} is settled by attempt {event['attempt']}, which never held it"
    line.status, line.resolution = "settled", ""
    line.settled = event.get("result", [])
