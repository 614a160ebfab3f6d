"""Stages of a pipeline as people write them: read, and refused where they could never pass.

The guide's keys are `stage`, `agent_type`, `task_type`, `config`, `validation`, `transform`; ours
beside them `description`, `on_failure`, `capabilities` and `timeout`. On the wire the same in
camelCase. What nobody measures, does or is called is an error that names what there is.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, cast

import msgspec

from visionflow.agents.measures import MEASURED_BY, MEASURES
from visionflow.domain.errors import UsageError
from visionflow.domain.pipelines import STOPS, FailurePolicy, OnFailure, StageSpec, demands_in
from visionflow.domain.wording import shown
from visionflow.engine.decide.tasks import MS_MAX
from visionflow.runtime.piping import FEEDBACK

Transform = Callable[[Any], Any]
_KEYS = (
    "stage", "agent_type", "task_type", "description", "config", "validation", "transform",
    "on_failure", "capabilities", "timeout",
)  # fmt: skip
_OTHER = {
    "name": "stage", "agentType": "agent_type", "taskType": "task_type", "onFailure": "on_failure",
    "requiredCapabilities": "capabilities", "required_capabilities": "capabilities",
}  # fmt: skip
_POLICY_HINT = (
    'Write "stop", "retry", {"retry": 2}, or {"loop": "implementation", "times": 2}: back to an '
    "earlier stage, so often at most."
)
STAGE_ROLES: dict[str, str] = {
    "research": "researcher", "plan": "coordinator", "architect": "architect",
    "architecture": "architect", "code": "coder", "implementation": "coder",
    "review": "reviewer", "test": "tester", "testing": "tester", "analysis": "analyst",
}  # fmt: skip
"""Words for stages, and the role of each. Any other word is a type of agents."""


class Stage(msgspec.Struct, frozen=True):
    """A stage, and what of it is no part of the log."""

    spec: StageSpec
    """Without its config."""
    config: dict[str, Any] = {}
    transform: Transform | None = None


class Doer(msgspec.Struct, frozen=True):
    """What is known of the agents of a type."""

    tasks: tuple[str, ...] | None = None
    """Types of tasks that they do; `None`: that is their own business."""
    measures: tuple[str, ...] = ()
    """What they measure."""
    offers: tuple[tuple[str, ...], ...] = ()
    """Capabilities of each that lives, or would be spawned; empty: that is not known."""


class Doers(msgspec.Struct, frozen=True):
    """Who could do a stage, as far as is known."""

    types: dict[str, Doer]
    roles: dict[str, str]
    """By type of task the role that does it."""

    def of_any_capability(self) -> "Doers":
        """The same, where somebody else sees who can do a stage."""
        anyone = {k: msgspec.structs.replace(d, offers=()) for k, d in self.types.items()}
        return Doers(anyone, self.roles)

    def of(self, stage: StageSpec) -> Doer | None:
        """Who does a stage; `None`: whoever takes its task."""
        kind = stage.agent_type
        return None if kind is None else self.types.get(kind, Doer())


def read_stages(given: Sequence[object], *, transforms: bool = True) -> tuple[Stage, ...]:
    """Stages as they were written: maps, or words.

    Raises:
        UsageError: one of them cannot be read; the message names it, and what is allowed.
    """
    return tuple(_read(number, each, transforms) for number, each in enumerate(given, 1))


def _read(number: int, given: object, transforms: bool) -> Stage:
    if isinstance(given, str):
        given = {"stage": given}
    if not isinstance(given, Mapping):
        raise UsageError(f"Stage {number} is {shown(given)}, neither a map nor a word.")
    said = {_OTHER.get(str(k), str(k)): v for k, v in cast("Mapping[object, Any]", given).items()}
    allowed = [key for key in _KEYS if transforms or key != "transform"]
    unknown = [key for key in said if key not in allowed]
    if unknown:
        raise UsageError(
            f"Stage {number} has no {unknown[0][:100]!r}.", hint=f"Its keys: {', '.join(allowed)}."
        )
    name = _text(number, said, "stage")
    if not name:
        raise UsageError(f"Stage {number} has no name.", hint="Write what it is called as `stage`.")
    role = STAGE_ROLES.get(name)
    transform = said.get("transform")
    if transform is not None and not callable(transform):
        raise UsageError(f"The transform of stage {name} is {shown(transform)}, no function.")
    if iscoroutinefunction(transform):
        raise UsageError(f"The transform of stage {name} is async; it is a plain function (def).")
    timeout = said.get("timeout")
    if timeout is not None and not (_is_number(timeout) and 0.001 <= timeout <= MS_MAX / 1_000):
        raise UsageError(
            f"The timeout of stage {name} is {shown(timeout)}; it is in seconds, 0.001 to "
            f"{MS_MAX // 1_000}."
        )
    kind = _text(number, said, "agent_type")
    task = _text(number, said, "task_type")
    spec = StageSpec(
        name=name,
        task_type=task or _usual(kind or role or name),
        agent_type=kind or (None if task else role) or (None if task else name),
        description=_text(number, said, "description"),
        validation=demands_in(_map(name, "validation", said.get("validation")), f"Stage {name}"),
        on_failure=_policy(name, said.get("on_failure")),
        capabilities=_words(name, said.get("capabilities")),
        timeout_ms=None if timeout is None else round(timeout * 1_000),
    )
    return Stage(spec, _map(name, "config", said.get("config")), transform)


def _usual(role: str | None) -> str:
    """What a role does where nobody says."""
    return {
        "researcher": "research", "coordinator": "survey", "architect": "analyse_architecture",
        "coder": "fix", "reviewer": "review_code", "tester": "run_tests", "analyst": "analyse",
    }.get(role or "", "task")  # fmt: skip


def _text(number: int, said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"Stage {number}: {key} is {shown(value)}, not a text.")
    return value


def _map(name: str, key: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"The {key} of stage {name} is {shown(value)}, not a map.")
    found = {str(k): v for k, v in cast("Mapping[object, Any]", value).items()}
    if key == "config" and FEEDBACK in found:
        raise UsageError(f"{FEEDBACK!r} in the config of stage {name} is what we tell it.")
    return found


def _words(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple):
        raise UsageError(f"The capabilities of stage {name} are {shown(value)}, not a list.")
    found = [str(each).strip() for each in cast("Sequence[object]", words)]
    return tuple(sorted({each for each in found if each}))


def _policy(name: str, value: object) -> FailurePolicy:
    if value is None or value == OnFailure.STOP.value:
        return STOPS
    if value == OnFailure.RETRY.value:
        return FailurePolicy(OnFailure.RETRY, times=1)
    if isinstance(value, Mapping):
        said = dict(cast("Mapping[str, Any]", value))
        if set(said) == {"retry"} and _is_whole(said["retry"]):
            return FailurePolicy(OnFailure.RETRY, times=said["retry"])
        if "loop" in said and set(said) <= {"loop", "times"} and isinstance(said["loop"], str):
            times = said.get("times", 1)
            if _is_whole(times):
                return FailurePolicy(OnFailure.LOOP, said["loop"], times)
    told = shown(cast(object, value))
    raise UsageError(f"The on_failure of stage {name} is {told}.", hint=_POLICY_HINT)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == value and abs(value) != float("inf")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def for_doers(stages: Sequence[Stage], doers: Doers) -> tuple[Stage, ...]:
    """The stages, each for agents that can do it, measure what is demanded, and can be there.

    Raises:
        UsageError: there cannot; the message names the stage and what there is.
    """
    found: list[Stage] = []
    for stage in stages:
        spec = stage.spec
        # Agents of other roles would take it and fail: nothing in its task tells them.
        kind = spec.agent_type or doers.roles.get(spec.task_type)
        spec = msgspec.structs.replace(spec, agent_type=kind)
        if kind is not None and kind not in doers.types:
            raise UsageError(
                f"Stage {spec.name}: there is no type of agents {kind[:100]!r}.",
                hint=f"Types: {', '.join(sorted(doers.types))}.",
            )
        doer = doers.of(spec)
        if doer is not None and doer.tasks is not None and spec.task_type not in doer.tasks:
            raise UsageError(
                f"Stage {spec.name}: agents of type {kind} do no tasks of type "
                f"{spec.task_type[:100]!r}.",
                hint=f"They do {', '.join(doer.tasks)}.",
            )
        if doer is not None:
            _check_capabilities(spec, doer)
        _check_measures(spec, doer, doers)
        found.append(msgspec.structs.replace(stage, spec=spec))
    return tuple(found)


def _check_capabilities(spec: StageSpec, doer: Doer) -> None:
    wanted = set(spec.capabilities)
    if not doer.offers or any(wanted.issubset(each) for each in doer.offers):
        return
    best = max(doer.offers, key=lambda each: len(wanted.intersection(each)))
    missing = ", ".join(sorted(wanted.difference(best)))
    raise UsageError(
        f"Stage {spec.name} asks for {missing[:200]}, which no agent of type {spec.agent_type} "
        "has.",
        hint=f"One has {', '.join(best)}."
        if best
        else "Declare it in `capabilities` of its class.",
    )


def _check_measures(spec: StageSpec, doer: Doer | None, doers: Doers) -> None:
    every = {*MEASURES, *(name for each in doers.types.values() for name in each.measures)}
    known = every if doer is None else set(doer.measures)
    for name in spec.validation:
        if name in known:
            continue
        there = f"All measures: {', '.join(sorted(every))}."
        own = f"It measures {', '.join(sorted(known))}." if known else "It measures nothing."
        what = f"Stage {spec.name} demands {name[:100]!r}"
        if name not in every:
            raise UsageError(f"{what}, which nothing measures.", hint=there)
        raise UsageError(
            f"{what}, which {spec.agent_type} does not measure.", hint=f"{own} {there}"
        )


def role_measures(role: str) -> tuple[str, ...]:
    """What a role measures."""
    return tuple(name for name, each in MEASURED_BY.items() if each == role)
