"""How the numbers of agents follow the load, as `config/agents.yaml` says it.

autoscale: true
autoscaling: {cool_down: 60, queue_wait: 2, utilisation: 0.9}
min_agents_per_type: {coder: 3}
max_agents_per_type: {coder: 10}
resource_limits:
  coder: {memory: "4Gi", cpu: "2.0"}
"""

from collections.abc import Mapping

import msgspec

from visionflow.engine.scaling import Bounds, Rules
from visionflow.settings.lines import Located
from visionflow.settings.shapes import (
    basis_points,
    duration_ms,
    expect,
    known_keys,
    processors,
    size,
    whole,
)

AGENTS_MAX = 100_000
KEYS = (
    "autoscale",
    "autoscaling",
    "min_agents_per_type",
    "max_agents_per_type",
    "resource_limits",
)
"""What of a file is about this, at its top."""
_MIN, _MAX = "min_agents_per_type", "max_agents_per_type"
_RULES = ("cool_down", "queue_wait", "utilisation")
_LIMITS = ("memory", "cpu")
USUAL_BOUNDS: dict[str, Bounds] = {
    "coordinator": Bounds(1, 2),
    "researcher": Bounds(2, 5),
    "architect": Bounds(1, 2),
    "coder": Bounds(3, 10),
    "tester": Bounds(2, 5),
    "reviewer": Bounds(1, 3),
}
"""The guide's. Of a type that stands nowhere the autoscaler makes none."""


class Ceiling(msgspec.Struct, frozen=True):
    """What an agent of a type may use, at most."""

    memory_bytes: int | None = None
    cpu_millis: int | None = None


class ScalingSettings(msgspec.Struct, frozen=True):
    """What a file says of the numbers of agents, and of what each of a type may use."""

    autoscale: bool = False
    rules: Rules = Rules()
    bounds: Mapping[str, Bounds] = msgspec.field(default_factory=lambda: dict(USUAL_BOUNDS))
    ceilings: Mapping[str, Ceiling] = {}


def scaling_of(file: Located, types: Mapping[str, object]) -> ScalingSettings:
    """What a file says; `types`: the names of templates that there are.

    Raises:
        ConfigError: something has a fault; the message names file, line and what is allowed.
    """
    items = file.items
    inner = items.get("autoscaling")
    if inner is not None:
        known_keys(inner, (*_RULES, _MIN, _MAX), "autoscaling")
    autoscale = items.get("autoscale")
    if autoscale is not None:
        expect(autoscale, bool, "autoscale", "true or false")
    return ScalingSettings(
        autoscale=autoscale is not None and autoscale.value is True,
        rules=_rules(inner),
        bounds=_bounds(file, inner, types),
        ceilings=_ceilings(items.get("resource_limits"), types),
    )


def _rules(inner: Located | None) -> Rules:
    items, usual = {} if inner is None else inner.items, Rules()
    cool, wait, share = (items.get(key) for key in _RULES)
    return Rules(
        utilisation_bp=(
            usual.utilisation_bp if share is None else basis_points(share, "utilisation", 0.01, 1)
        ),
        queue_wait_ms=(
            usual.queue_wait_ms if wait is None else duration_ms(wait, "queue_wait", least_ms=0)
        ),
        cool_down_ms=usual.cool_down_ms if cool is None else duration_ms(cool, "cool_down"),
    )


def _bounds(file: Located, inner: Located | None, types: Mapping[str, object]) -> dict[str, Bounds]:
    least, most = (_counts(file, inner, key, types) for key in (_MIN, _MAX))
    found = dict(USUAL_BOUNDS)
    for kind in (*least, *most):
        usual = found.get(kind, Bounds())
        low, high = least.get(kind), most.get(kind)
        bounds = Bounds(
            usual.least if low is None else low.value, usual.most if high is None else high.value
        )
        if bounds.most is None or bounds.least > bounds.most:
            said = low or high
            assert said is not None
            most_told = "no maximum" if bounds.most is None else f"a maximum of {bounds.most}"
            raise said.fault(
                f"{kind} has a minimum of {bounds.least} and {most_told}.",
                hint=f"Give it a number of at least its minimum in {_MAX}.",
            )
        found[kind] = bounds
    return found


def _counts(
    file: Located, inner: Located | None, key: str, types: Mapping[str, object]
) -> dict[str, Located]:
    """A map of types to numbers, which may stand at the top or under `autoscaling`."""
    places = [each.items[key] for each in (file, inner) if each is not None and key in each.items]
    if len(places) > 1:
        raise places[1].fault(f"{key} stands twice, first in line {places[0].line}.")
    found: dict[str, Located] = {}
    for place in places:
        _of_types(place, key, types)
        for kind, item in place.items.items():
            number = whole(item, f"{key}.{kind}", 0)
            if number > AGENTS_MAX:
                raise item.fault(f"{key}.{kind} is {number}; it is at most {AGENTS_MAX}.")
            found[kind] = item
    return found


def _ceilings(item: Located | None, types: Mapping[str, object]) -> dict[str, Ceiling]:
    found: dict[str, Ceiling] = {}
    if item is None:
        return found
    _of_types(item, "resource_limits", types)
    for kind, each in item.items.items():
        known_keys(each, _LIMITS, f"resource_limits.{kind}")
        memory, cpu = each.items.get("memory"), each.items.get("cpu")
        found[kind] = Ceiling(
            None if memory is None else size(memory), None if cpu is None else processors(cpu)
        )
    return found


def _of_types(item: Located, key: str, types: Mapping[str, object]) -> None:
    expect(item, dict, key, "a map of agent types")
    for kind in item.items:
        if kind not in types:
            raise item.unknown_key(kind, tuple(sorted(types)), f"{key}, whose keys are templates")
