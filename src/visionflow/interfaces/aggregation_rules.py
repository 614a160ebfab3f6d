"""How people write the rule by which results of parallel work are made one, and what parts said."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

import msgspec

from visionflow.agents.findings import ToolRun
from visionflow.agents.roles.reviewing import checked, recommended
from visionflow.agents.tools.review import merge_runs
from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import NOTHING, Payload, TaskStatus
from visionflow.domain.wording import shown
from visionflow.engine.aggregation import Equality, Method, Rule, Said, check
from visionflow.ports.blobs import Blobs
from visionflow.ports.views import TaskRow
from visionflow.runtime.intake import pack, unpack

ALL = "all"
"""The results of all parts, as they are."""
AGGREGATION = "aggregation"
"""The key of a plan's config that holds its rule, and of its result."""
METHODS = tuple(each.value for each in Method)
SHOWN_MAX = 5
_KEYS = ("method", "equality", "key", "weights", "score")
WAYS = (
    f"There are {ALL}, {', '.join(METHODS)}; or a map: method, equality (exact, normalised, "
    "key), key, weights (by part or agent), score."
)


def read_rule(given: object) -> Rule | None:
    """A rule as people write it: the name of a method, or a map; `None` for `all`.

    Raises:
        UsageError: it is none; the message says what there is.
    """
    said = {"method": given} if isinstance(given, str) else given
    if not isinstance(said, Mapping):
        raise UsageError(f"{shown(given)} is no way to aggregate.", hint=WAYS)
    words = {str(k): v for k, v in cast("Mapping[object, Any]", said).items()}
    unknown = next((key for key in words if key not in _KEYS), None)
    if unknown is not None:
        raise UsageError(
            f"{unknown[:100]!r} says nothing of how results are aggregated.",
            hint=f"There are {', '.join(_KEYS)}.",
        )
    method = words.get("method")
    if method == ALL and set(words) == {"method"}:
        return None
    if method not in METHODS:
        near = get_close_matches(str(method)[:100], METHODS, 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"{shown(method)} is no way to aggregate.{meant}", hint=WAYS)
    if "key" in words:
        words.setdefault("equality", Equality.KEY.value)
    try:
        rule = msgspec.convert(words, Rule)
    except msgspec.ValidationError as error:
        raise UsageError(f"The aggregation cannot be understood: {error}.", hint=WAYS) from None
    check(rule)
    return rule


def by_ids(rule: Rule, agent_id: Callable[[str], str]) -> Rule:
    """The same, its weights by the ids of agents. `agent_id`: of a name; any other word as it is.

    Raises:
        UsageError: two weights are of one agent.
    """
    weights: dict[str, float] = {}
    for word, weight in rule.weights.items():
        known = agent_id(word)
        if known in weights:
            raise UsageError(f"The weights have agent {known} twice, also as {shown(word)}.")
        weights[known] = weight
    return msgspec.structs.replace(rule, weights=weights)


def unweighed(names: Sequence[str]) -> list[str]:
    """The warning for weights that weighed nothing."""
    if not names:
        return []
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    told = ", ".join(shown(name) for name in names[:SHOWN_MAX])
    why = "no part, and no agent of one, has that id or name, so it counted for nothing"
    return [f"The weights name {told}{more}: {why}."]


def said_by(row: TaskRow, blobs: Blobs) -> Said:
    """What a part said, by its row in the log. Blocks on the disk for a large result."""
    completed = row.status == TaskStatus.COMPLETED
    return Said(
        row.id,
        unpack(Payload(row.result, row.result_blob), blobs) if completed else None,
        completed,
        row.agent,
        row.ended_ms or 0,
        None if completed else row.reason or str(row.status),
    )


def recommendations(rows: Sequence[TaskRow], blobs: Blobs) -> list[Said]:
    """Of the parts of a playbook, what each review recommends: approve, request_changes, reject,
    or undecided where a tool did not come to its end. Blocks on the disk."""
    found: list[Said] = []
    for row in rows:
        if row.type != "review_code":
            continue
        said = said_by(row, blobs)
        if said.completed:
            runs = merge_runs(msgspec.convert(said.value["tools"], list[ToolRun]))
            advice = recommended([checked(runs)]) if runs else "undecided"
            said = msgspec.structs.replace(said, value=advice)
        found.append(said)
    return found


def config_of(rule: Rule | None, blobs: Blobs) -> Payload:
    """The config of a plan whose results are made into one by a rule."""
    if rule is None:
        return NOTHING
    return pack({AGGREGATION: msgspec.to_builtins(rule)}, "the aggregation", blobs)


def rule_in(config: object) -> Rule | None:
    """The rule that stands in a plan's config."""
    if not isinstance(config, Mapping) or AGGREGATION not in config:
        return None
    return msgspec.convert(cast("Mapping[str, Any]", config)[AGGREGATION], Rule)
