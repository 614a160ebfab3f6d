"""What several results of parallel work come to: a vote, a merge, the best, the first.

Pure. A tie, results that have nothing in common, or none that can be compared are outcomes of
their own, and nobody guesses. What each part said is kept, those in the minority too.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, cast

import msgspec

from visionflow.domain.errors import UsageError

WEIGHT_MAX = 1e12


class Method(StrEnum):
    """How results are made into one."""

    MAJORITY_VOTE = "majority_vote"
    """What more than half of those say that have a result."""
    WEIGHTED = "weighted"
    """What more than half of the weight of those says."""
    MERGE = "merge"
    """Maps by key and lists without what is in them already; where two differ is named."""
    BEST = "best"
    """The one with the highest score."""
    FIRST_SUCCESS = "first_success"
    """The one that was there first."""


class Equality(StrEnum):
    """When two results say the same."""

    EXACT = "exact"
    """They are the same value: 1 is neither 1.0 nor true."""
    NORMALISED = "normalised"
    """They are but for upper case, white space, and whether a whole number is written 1 or 1.0."""
    KEY = "key"
    """They have exactly the same at a key, such as `verdict` or `answer.name`."""


class Outcome(StrEnum):
    """What came of it."""

    AGREED = "agreed"
    MERGED = "merged"
    CONFLICTING = "conflicting"
    """Merged but for what is named in `conflicts`."""
    CHOSEN = "chosen"
    """The best, or the first."""
    TIE = "tie"
    """Two or more have as much for them."""
    NO_MAJORITY = "no_majority"
    """One has the most and no more than half."""
    NOTHING_IN_COMMON = "nothing_in_common"
    """Each says something else."""
    NO_SCORE = "no_score"
    """None has a number where the score should be."""
    NO_RESULT = "no_result"
    """None has a result, or what it is compared by."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to aggregate."""

    method: Method
    equality: Equality = Equality.EXACT
    key: str = ""
    """Of the equality by key: where, with dots."""
    weights: dict[str, float] = {}
    """By part, or by the agent that did it; 1 where nobody says."""
    score: str = ""
    """Of the best: where its number stands, with dots."""


class Said(msgspec.Struct, frozen=True):
    """What one part said."""

    part: str
    value: Any = None
    completed: bool = True
    agent: str | None = None
    ended_ms: int = 0
    reason: str | None = None
    """Why it has no result."""


class Group(msgspec.Struct, frozen=True):
    """Parts that say the same."""

    value: Any
    """Of the first of them; by key, what stands there."""
    parts: tuple[str, ...]
    weight: float


class Conflict(msgspec.Struct, frozen=True):
    """A place at which results differ."""

    path: str
    """With dots; empty: the whole."""
    said: tuple[Group, ...]


class Aggregate(msgspec.Struct, frozen=True):
    """What the results come to, and how."""

    outcome: Outcome
    method: Method
    equality: Equality | None
    value: Any = None
    """`None` where nothing was decided."""
    groups: tuple[Group, ...] = ()
    """Those that say the same, the heaviest first."""
    dissent: tuple[str, ...] = ()
    """Parts that say something else than the value."""
    conflicts: tuple[Conflict, ...] = ()
    scores: dict[str, float | None] = {}
    """Of the best: by part, `None` for one without."""
    silent: tuple[str, ...] = ()
    """Parts that completed and have nothing at the key."""
    failed: dict[str, str | None] = {}
    """Parts without a result, and why."""
    said: dict[str, Any] = {}
    """What each part said."""
    unused: tuple[str, ...] = ()
    """Names in the weights that are of no part here, and of no agent that did one."""


def check(rule: Rule) -> None:
    """See that a rule says all that it needs, and nothing that has no meaning.

    Raises:
        UsageError: it does not; the message names the word.
    """
    votes = rule.method in (Method.MAJORITY_VOTE, Method.WEIGHTED)
    if rule.equality is not Equality.EXACT and not votes:
        raise UsageError(f"equality has no meaning for {rule.method}: it compares nothing.")
    if (rule.equality is Equality.KEY) is not bool(rule.key):
        raise UsageError("equality by key and key belong together: say which key is compared.")
    if (rule.method is Method.BEST) is not bool(rule.score):
        raise UsageError("best and score belong together: say where the number stands.")
    if (rule.method is Method.WEIGHTED) is not bool(rule.weights):
        raise UsageError("weighted and weights belong together: say what whom weighs.")
    for name, weight in rule.weights.items():
        if not 0 <= weight <= WEIGHT_MAX:
            raise UsageError(
                f"The weight of {name[:100]!r} is {weight}; it is 0 or more, and at most "
                f"{WEIGHT_MAX:g}."
            )
    if rule.weights and not any(rule.weights.values()):
        raise UsageError("All weights are 0, so nobody could say anything.")


def aggregate(rule: Rule, parts: Sequence[Said]) -> Aggregate:
    """What these parts come to. Their order decides only which of equal values is shown.

    Raises:
        UsageError: the rule is none; see `check`.
    """
    check(rule)
    completed = [each for each in parts if each.completed]
    names = {name for each in parts for name in (each.part, each.agent)}
    made = Aggregate(
        Outcome.NO_RESULT,
        rule.method,
        rule.equality if rule.method in (Method.MAJORITY_VOTE, Method.WEIGHTED) else None,
        failed={each.part: each.reason for each in parts if not each.completed},
        said={each.part: each.value for each in completed},
        unused=tuple(name for name in rule.weights if name not in names),
    )
    if not completed:
        return made
    if rule.method is Method.MERGE:
        return _merged(made, completed)
    if rule.method is Method.BEST:
        return _best(made, rule, completed)
    if rule.method is Method.FIRST_SUCCESS:
        first = min(completed, key=lambda each: each.ended_ms)
        others = tuple(each.part for each in completed if not same(each.value, first.value))
        return msgspec.structs.replace(
            made, outcome=Outcome.CHOSEN, value=first.value, dissent=others
        )
    return _voted(made, rule, completed)


# Votes -----------------------------------------------------------------------------------------


def _voted(made: Aggregate, rule: Rule, parts: Sequence[Said]) -> Aggregate:
    found: dict[bytes, list[tuple[Said, Any]]] = {}
    silent: list[str] = []
    for each in parts:
        compared = each.value
        if rule.equality is Equality.KEY:
            there, compared = _at(each.value, rule.key)
            if not there:
                silent.append(each.part)
                continue
        elif rule.equality is Equality.NORMALISED:
            compared = normalised(each.value)
        found.setdefault(_bytes(compared), []).append((each, compared))
    groups = sorted(
        (_group(rule, members) for members in found.values()),
        key=lambda group: -group.weight,
    )
    made = msgspec.structs.replace(made, groups=tuple(groups), silent=tuple(silent))
    # Who has nothing at the key has a result all the same: silence makes no majority of a few.
    total = math.fsum(_weight(rule, each) for each in parts)
    if not groups or total == 0:
        return made
    first = groups[0]
    if 2 * first.weight > total:
        winner = next(each for each in parts if each.part == first.parts[0])
        others = tuple(part for group in groups[1:] for part in group.parts)
        return msgspec.structs.replace(
            made, outcome=Outcome.AGREED, value=winner.value, dissent=others
        )
    if len(groups) > 1 and len(groups) == sum(len(group.parts) for group in groups):
        outcome = Outcome.NOTHING_IN_COMMON
    elif len(groups) > 1 and groups[1].weight == first.weight:
        outcome = Outcome.TIE
    else:
        outcome = Outcome.NO_MAJORITY
    return msgspec.structs.replace(made, outcome=outcome)


def _group(rule: Rule, members: Sequence[tuple[Said, Any]]) -> Group:
    said, compared = members[0]
    value = compared if rule.equality is Equality.KEY else said.value
    weights = [_weight(rule, each) for each, _ in members]
    return Group(value, tuple(each.part for each, _ in members), math.fsum(weights))


def _weight(rule: Rule, said: Said) -> float:
    if rule.method is not Method.WEIGHTED:
        return 1.0
    of_agent = rule.weights.get(said.agent or "", 1.0)
    return rule.weights.get(said.part, of_agent)


# Best ------------------------------------------------------------------------------------------


def _best(made: Aggregate, rule: Rule, parts: Sequence[Said]) -> Aggregate:
    scores: dict[str, float | None] = {}
    for each in parts:
        there, found = _at(each.value, rule.score)
        number = there and isinstance(found, int | float) and not isinstance(found, bool)
        scores[each.part] = float(found) if number and math.isfinite(found) else None
    made = msgspec.structs.replace(made, scores=scores)
    known = [score for score in scores.values() if score is not None]
    if not known:
        return msgspec.structs.replace(made, outcome=Outcome.NO_SCORE)
    tops = [each for each in parts if scores[each.part] == max(known)]
    if any(not same(each.value, tops[0].value) for each in tops[1:]):
        return msgspec.structs.replace(made, outcome=Outcome.TIE)
    others = tuple(each.part for each in parts if each not in tops)
    return msgspec.structs.replace(
        made, outcome=Outcome.CHOSEN, value=tops[0].value, dissent=others
    )


# Merging ---------------------------------------------------------------------------------------


class _Nothing:
    """What is left out of a merge."""


_NOTHING = _Nothing()


def _merged(made: Aggregate, parts: Sequence[Said]) -> Aggregate:
    conflicts: list[Conflict] = []
    value = _merge("", [(each.part, each.value) for each in parts], conflicts)
    outcome = Outcome.CONFLICTING if conflicts else Outcome.MERGED
    if value is _NOTHING:
        outcome = Outcome.NOTHING_IN_COMMON
    dissent = dict.fromkeys(p for each in conflicts for group in each.said for p in group.parts)
    return msgspec.structs.replace(
        made,
        outcome=outcome,
        value=None if value is _NOTHING else value,
        conflicts=tuple(conflicts),
        dissent=tuple(dissent),
    )


def _merge(path: str, said: list[tuple[str, Any]], conflicts: list[Conflict]) -> Any:
    values = [value for _, value in said]
    if all(isinstance(value, Mapping) for value in values):
        found: dict[str, Any] = {}
        keys = dict.fromkeys(key for value in values for key in value)
        for key in keys:
            below = [(part, value[key]) for part, value in said if key in value]
            merged = _merge(f"{path}.{key}" if path else str(key), below, conflicts)
            if merged is not _NOTHING:
                found[key] = merged
        return found
    if all(isinstance(value, list) for value in values):
        items: dict[bytes, Any] = {}
        for value in values:
            for item in cast("list[Any]", value):
                items.setdefault(_bytes(item), item)
        return list(items.values())
    groups: dict[bytes, list[tuple[str, Any]]] = {}
    for part, value in said:
        groups.setdefault(_bytes(value), []).append((part, value))
    if len(groups) == 1:
        return values[0]
    told = tuple(
        Group(members[0][1], tuple(part for part, _ in members), float(len(members)))
        for members in groups.values()
    )
    conflicts.append(Conflict(path, told))
    return _NOTHING


# Comparing -------------------------------------------------------------------------------------


def same(one: object, other: object) -> bool:
    """Whether two values are exactly the same."""
    return _bytes(one) == _bytes(other)


def normalised(value: Any) -> Any:
    """A value without upper case, needless white space, and `.0`."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, Mapping):
        found = cast("Mapping[Any, Any]", value)
        return {normalised(key): normalised(each) for key, each in found.items()}
    if isinstance(value, list | tuple):
        return [normalised(each) for each in cast("Sequence[Any]", value)]
    return value


def _bytes(value: object) -> bytes:
    """Bytes that are the same for the same value, whatever the order of a map's keys."""
    return msgspec.msgpack.encode(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = cast("Mapping[Any, Any]", value)
        pairs = [(msgspec.msgpack.encode(_sorted(k)), _sorted(v)) for k, v in found.items()]
        return {"map": sorted(pairs, key=lambda pair: pair[0])}
    if isinstance(value, list | tuple):
        return [_sorted(each) for each in cast("Sequence[Any]", value)]
    return value


def _at(value: Any, path: str) -> tuple[bool, Any]:
    """Whether there is something at a path, and what."""
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = cast("Mapping[str, Any]", value)[key]
    return True, value
