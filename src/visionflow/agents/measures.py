"""The measures that roles take of their work, read from the results of their tasks.

docs/measures.md defines each by its formula; here is where each stands. A measure that could not
be taken is `None`, which is not 0 and meets no demand.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from visionflow.agents.evidence import Architecture, Change, Research
from visionflow.agents.findings import ToolRun
from visionflow.agents.roles.reviewing import checked, recommended
from visionflow.agents.roles.tester import measures
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.review import merge_runs
from visionflow.domain.limits import WORD_CHARS_MAX
from visionflow.domain.pipelines import MEASURES_MAX, Value, meets

__all__ = ["MEASURED_BY", "MEASURES", "Value", "all_measures_of", "measures_of", "meets"]
OWN = "measures"
"""The key of a result under which an agent of any class says what it measured, by name."""


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
MEASURED_BY = {
    "approval_required": "reviewer",
    "code_quality": "coder",
    "completeness": "researcher",
    "coverage": "tester",
    "pass_rate": "tester",
    "scalability_score": "architect",
}
"""The role that takes each measure."""


def measures_of(result: object) -> dict[str, Value]:
    """The measures that the result of a role's task holds, by name; none for other values.

    Raises:
        msgspec.ValidationError: it has such a key and is no result of a role.
    """
    if not isinstance(result, Mapping):
        return {}
    found = cast("Mapping[str, Any]", result)
    return {name: read(found) for name, (key, read) in _READ.items() if key in found}


def all_measures_of(result: object) -> dict[str, Value]:
    """Those of `measures_of`, and what an agent of another class says under `measures`. What is
    neither a number nor true nor false was not measured."""
    found: dict[str, Value] = {}
    if isinstance(result, Mapping):
        said = cast("Mapping[str, object]", result).get(OWN)
        if isinstance(said, Mapping):
            own = cast("Mapping[object, object]", said)
            found = {str(name): _value(each) for name, each in own.items() if _is_name(name)}
    try:
        found |= measures_of(cast(object, result))
    except msgspec.ValidationError:
        pass  # A key of its own that only is called like a role's.
    return {name: found[name] for name in sorted(found)[:MEASURES_MAX]}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= WORD_CHARS_MAX


def _value(said: object) -> Value:
    if isinstance(said, bool):
        return said
    return float(said) if isinstance(said, int | float) and math.isfinite(said) else None
