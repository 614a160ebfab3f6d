"""How agents are recovered and recycled, as `config/agents.yaml` says it.

recovery_strategies:
  patient: {timeout_factor: 2, timeout_max: "1h", memory_max: "8Gi", restarts: 5}
agent_templates:
  tester: {class: ..., recovery: patient, recycling: {memory: 0.9, tasks: 100, age: "12h"}}
"""

from difflib import get_close_matches
from pathlib import Path

from visionflow.domain.limits import RECOVERY_FACTOR_MAX, RECYCLING_AGE_MS_MIN
from visionflow.domain.supervision import RecoverySpec, RecyclingSpec
from visionflow.settings.lines import Located
from visionflow.settings.shapes import (
    FUNCTION_FORMS,
    basis_points,
    duration_ms,
    expect,
    import_path,
    known_keys,
    size,
    whole,
)

DEFAULT = "default"
_STRATEGY = (
    "timeout_factor",
    "timeout_max",
    "memory_factor",
    "memory_max",
    "restarts",
    "backoff",
    "mend_config",
    "call",
)
_RECYCLING = ("memory", "tasks", "age")

Strategies = dict[str, RecoverySpec]


def strategies_of(item: Located | None, folder: Path) -> Strategies:
    """The strategies of a file by name, with the usual one; `folder`: of the file.

    Raises:
        ConfigError: one has a fault; the message names file, line and what is allowed.
    """
    found: Strategies = {DEFAULT: RecoverySpec()}
    if item is None or item.value is None:
        return found
    expect(item, dict, "recovery_strategies", "a map of names to strategies")
    for name, each in item.items.items():
        found[name] = _strategy(name, each, folder)
    return found


def _strategy(name: str, item: Located, folder: Path) -> RecoverySpec:
    what, items, usual = f"the strategy {name!r}", item.items, RecoverySpec()
    known_keys(item, _STRATEGY, what)
    mend = items.get("mend_config")
    if mend is not None:
        expect(mend, bool, "mend_config", "true or false")
    call = items.get("call")

    def factor(key: str, default: int) -> int:
        found = items.get(key)
        return default if found is None else basis_points(found, key, 1, RECOVERY_FACTOR_MAX)

    def optional_ms(key: str) -> int | None:
        found = items.get(key)
        return None if found is None or found.value is None else duration_ms(found, key)

    restarts, backoff, memory = items.get("restarts"), items.get("backoff"), items.get("memory_max")
    return RecoverySpec(
        name=name,
        timeout_factor_bp=factor("timeout_factor", usual.timeout_factor_bp),
        timeout_max_ms=optional_ms("timeout_max"),
        memory_factor_bp=factor("memory_factor", usual.memory_factor_bp),
        memory_max_bytes=None if memory is None or memory.value is None else size(memory),
        restarts_max=usual.restarts_max if restarts is None else whole(restarts, "restarts", 0),
        backoff_ms=usual.backoff_ms if backoff is None else duration_ms(backoff, "backoff", 0),
        mends_config=mend is not None and mend.value is True,
        call=None
        if call is None or call.value is None
        else import_path(call, folder, "function", FUNCTION_FORMS, dotted=False),
    )


def strategy_named(item: Located | None, strategies: Strategies) -> RecoverySpec:
    """The strategy that a template names.

    Raises:
        ConfigError: there is none of that name.
    """
    if item is None or item.value is None:
        return strategies[DEFAULT]
    expect(item, str, "recovery", "the name of a strategy")
    wanted = str(item.value)
    found = strategies.get(wanted)
    if found is None:
        near = get_close_matches(wanted[:100], strategies, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise item.fault(
            f"There is no recovery strategy {wanted!r}.{meant}",
            hint=f"Strategies: {', '.join(sorted(strategies))}; add one under recovery_strategies.",
        )
    return found


def recycling_of(item: Located | None) -> RecyclingSpec:
    """When a template's agents are replaced.

    Raises:
        ConfigError: a key or value is not allowed.
    """
    if item is None or item.value is None:
        return RecyclingSpec()
    known_keys(item, _RECYCLING, "recycling")
    memory, tasks, age = (item.items.get(key) for key in _RECYCLING)
    share: int | None = RecyclingSpec().memory_bp
    if memory is not None:
        # `null`: never by its memory.
        share = None if memory.value is None else basis_points(memory, "memory", 0.1, 1)
    return RecyclingSpec(
        memory_bp=share,
        tasks_max=None if tasks is None or tasks.value is None else whole(tasks, "tasks", 1),
        age_ms=None
        if age is None or age.value is None
        else duration_ms(age, "age", RECYCLING_AGE_MS_MIN),
    )
