"""The measures that roles take of their work, read from the results of their tasks.

docs/measures.md defines each by its formula; here is where each stands. A measure that could not
be taken is `None`, which is not 0 and meets no demand.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from visionflow.agents.evidence import Architecture, Change, Research
from visionflow.agents.findings import ToolRun
from visionflow.agents.roles.reviewing import checked, recommended
from visionflow.agents.roles.tester import measures
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.review import merge_runs

Value = float | bool | None


def _completeness(result: Mapping[str, Any]) -> Value:
    return msgspec.convert(result["research"], Research).completeness


def _scalability(result: Mapping[str, Any]) -> Value:
    return msgspec.convert(result["architecture"], Architecture).scalability_score


def _quality(result: Mapping[str, Any]) -> Value:
    return msgspec.convert(result["change"], Change).code_quality


def _approval(result: Mapping[str, Any]) -> Value:
    runs = merge_runs(msgspec.convert(result["tools"], list[ToolRun]))
    advice = recommended([checked(runs)]) if runs else "undecided"
    return None if advice == "undecided" else advice == "approve"


def _coverage(result: Mapping[str, Any]) -> Value:
    return measures(msgspec.convert(result["tests"], TestRun))["coverage"]


def _pass_rate(result: Mapping[str, Any]) -> Value:
    return measures(msgspec.convert(result["tests"], TestRun))["pass_rate"]


_READ: dict[str, tuple[str, Callable[[Mapping[str, Any]], Value]]] = {
    "approval_required": ("tools", _approval),
    "code_quality": ("change", _quality),
    "completeness": ("research", _completeness),
    "coverage": ("tests", _coverage),
    "pass_rate": ("tests", _pass_rate),
    "scalability_score": ("architecture", _scalability),
}
"""Of each measure the key of a result that it is taken of, and how."""
MEASURES = tuple(_READ)
"""The names of all measures, sorted."""


def measures_of(result: object) -> dict[str, Value]:
    """The measures that the result of a role's task holds, by name; none for other values.

    Raises:
        msgspec.ValidationError: it has such a key and is no result of a role.
    """
    if not isinstance(result, Mapping):
        return {}
    found = cast("Mapping[str, Any]", result)
    return {name: read(found) for name, (key, read) in _READ.items() if key in found}


def meets(value: Value, demand: float | bool) -> bool:
    """Whether a measure meets a demand: it is at least as large, or, of an approval, the same.

    What was not measured meets nothing, except that no approval is demanded.
    """
    if isinstance(demand, bool):
        return not demand or value is True
    return value is not None and not isinstance(value, bool) and value >= demand
