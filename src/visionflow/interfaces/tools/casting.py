"""From what a client asks for to an agent that can be spawned: its class, settings and ceiling.

Each wish is in effect, or left out and told in a warning; what makes no sense is refused before
anything happens. Spawning it is `spawning`'s.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.roles.settings import fault_in, settings_of, warnings_of
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import UsageError
from visionflow.domain.limits import CAPABILITIES_MAX, WORD_CHARS_MAX
from visionflow.domain.sizes import memory_text
from visionflow.domain.supervision import Upkeep
from visionflow.domain.wording import shown
from visionflow.interfaces.seats import HIERARCHY, Seat, seat_in
from visionflow.interfaces.server import Server
from visionflow.interfaces.templates import class_of, tasks_at_once
from visionflow.interfaces.tools.arguments import Arguments, parse
from visionflow.interfaces.tools.coders import CAPABILITY, COMMAND_AGENT, besides, coding_template
from visionflow.interfaces.tools.forms import FORMS, about, form
from visionflow.settings.agents import AgentTemplate
from visionflow.worker.limits import machine_bytes, resident_bytes

MEMORY_BYTES_MIN = 64 * 1024 * 1024
"""A worker's process alone takes about half of this."""
TASKS_AT_ONCE = "max_concurrent_tasks"
NEEDS_MODEL = "no model is connected to this server, so the agent works with tools alone"
WITHOUT_EFFECT: Mapping[str, str] = {
    "model": NEEDS_MODEL,
    "maxTokens": NEEDS_MODEL,
    "max_tokens": NEEDS_MODEL,
    "temperature": NEEDS_MODEL,
    "retryAttempts": "how often a task is tried is the task's (execution.retryPolicy)",
    "retry_attempts": "how often a task is tried is the task's (execution.retryPolicy)",
}
"""Keys of the guide's configurations that the roles' tools cannot honour, and why."""


class Resources(Arguments, frozen=True, kw_only=True):
    """What an agent may use, at most."""

    cpu_limit: Annotated[int | None, form("cpu", 'Such as "2000m" or "1.5".')] = None
    memory_limit: Annotated[int | None, form("size", 'Such as "4Gi".')] = None
    gpu_access: Annotated[bool | None, about("Whether it needs a GPU.")] = None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as a client asks for it."""

    type: str
    name: str | None = None
    capabilities: tuple[str, ...] = ()
    config: Mapping[str, Any] = {}
    resources: Resources = Resources()


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it will be spawned."""

    type: str
    name: str | None
    class_path: str
    capabilities: tuple[str, ...]
    config: dict[str, Any]
    tasks_max: int
    memory_bytes: int | None
    upkeep: Upkeep
    warnings: tuple[str, ...]
    scaled: bool = False
    """It is made so that there are enough of its type, and may go when there are too many."""
    seat: Seat | None = None
    """Where it sits in a hierarchy."""


def resources_in(given: Mapping[str, Any] | None, texts: bool = False) -> Resources:
    """The argument `resources`, read.

    Raises:
        UsageError: a key or value is not allowed.
    """
    return parse(Resources, given or {}, texts=texts)


async def cast(server: Server, wish: Wish) -> Cast:
    """The agent that comes of a wish.

    Raises:
        UsageError: there is no such type, or a setting or a limit cannot be.
        ConfigError: the template's class cannot be imported; the message names file and line.
    """
    template = server.templates.template(wish.type)
    template = coding_template(template, wish.config, server.settings)
    # Importing what somebody else wrote may take its time.
    made = await asyncio.to_thread(class_of, template)
    if wish.name is not None and not 0 < len(wish.name) <= WORD_CHARS_MAX:
        raise UsageError(f"name has 1 to {WORD_CHARS_MAX} characters.")
    given, asked = _without_capabilities(wish)
    seat = seat_in(given)
    given.pop(HIERARCHY, None)
    warnings: list[str] = []
    own = template.source != "built in"
    capabilities = _backed(tuple(made.capabilities), asked, own, wish.type, warnings)
    if template.class_path == COMMAND_AGENT:
        capabilities = tuple(sorted({*capabilities, CAPABILITY}))
    config = _settings(template, made, given, own, warnings)
    return Cast(
        type=wish.type,
        name=wish.name,
        class_path=template.class_path,
        capabilities=capabilities,
        config=config,
        tasks_max=tasks_at_once(config),
        memory_bytes=_ceiling(template, wish.resources, warnings),
        upkeep=template.upkeep,
        warnings=tuple(warnings),
        seat=seat,
    )


async def recast(
    server: Server, spec: AgentSpec, kept: Mapping[str, Any], given: Mapping[str, Any]
) -> Cast:
    """An agent with other settings: `given` goes over those that it has, key by key.

    Raises:
        UsageError: a setting cannot be, or capabilities are among them.
    """
    if "capabilities" in given:
        raise UsageError(
            "An agent's capabilities stay as they are.", hint="Spawn another with those words."
        )
    if HIERARCHY in given:
        raise UsageError("An agent gets its seat when it is spawned.", hint="Spawn another.")
    template = server.templates.templates.get(spec.type)
    if spec.class_path == COMMAND_AGENT:
        known = template is not None and template.class_path == COMMAND_AGENT
        kept_as = AgentTemplate(spec.type, COMMAND_AGENT, dict(kept), source="its owner's")
        coding_template(kept_as, given, server.settings)
        kept = besides(kept, given)
        template = template if known else kept_as
    if template is None or template.class_path != spec.class_path:
        config, warnings = {**kept, **given}, []
    else:
        made = await asyncio.to_thread(class_of, template)
        warnings = list[str]()
        base = msgspec.structs.replace(template, config=dict(kept))
        config = _settings(base, made, given, template.source != "built in", warnings)
    return Cast(
        type=spec.type,
        name=spec.name,
        class_path=spec.class_path,
        capabilities=spec.capabilities,
        config=config,
        tasks_max=tasks_at_once(config) if TASKS_AT_ONCE in config else spec.tasks_max,
        memory_bytes=spec.limits.memory_bytes,
        upkeep=Upkeep(spec.recovery, spec.recycling),
        warnings=tuple(warnings),
    )


def _without_capabilities(wish: Wish) -> tuple[dict[str, Any], tuple[str, ...]]:
    given, asked = dict(wish.config), wish.capabilities
    if "capabilities" in given:
        value = given.pop("capabilities")
        try:
            words = FORMS["words"].read(value)
        except ValueError as error:
            raise UsageError(f"config.capabilities is {shown(value)}; it is {error}.") from error
        asked = (*asked, *msgspec.convert(words, tuple[str, ...]))
    asked = tuple(dict.fromkeys(asked))
    if len(asked) > CAPABILITIES_MAX or any(not 0 < len(w) <= WORD_CHARS_MAX for w in asked):
        raise UsageError(
            f"capabilities are at most {CAPABILITIES_MAX} words of 1 to {WORD_CHARS_MAX} "
            "characters."
        )
    return given, asked


def _backed(
    backed: tuple[str, ...], asked: tuple[str, ...], own: bool, kind: str, warnings: list[str]
) -> tuple[str, ...]:
    """What it offers: of what was asked for that which its class backs, else all of that. A class
    of one's own that says nothing backs what is asked."""
    if not asked or (own and not backed):
        return tuple(sorted(asked or backed))
    kept = tuple(word for word in asked if word in backed)
    left = [word for word in asked if word not in backed]
    if left:
        warnings.append(
            f"{kind}: nothing here backs {', '.join(left)}, left out of its capabilities"
            + ("" if kept else f"; it offers {', '.join(backed)}")
        )
    return tuple(sorted(kept or backed))


def _settings(
    template: AgentTemplate,
    made: type[BaseAgent],
    given: Mapping[str, Any],
    own: bool,
    warnings: list[str],
) -> dict[str, Any]:
    kind = settings_of(made)
    known = set[str]() if kind is None else set(kind.__struct_fields__)
    read = {key: _value(key, value, key in known) for key, value in given.items()}
    config = {**template.config, **read}
    fault = None if kind is None else fault_in(config, kind)
    if fault is not None:
        raise UsageError(
            f"A setting of the {template.name} cannot be used: {fault}.",
            hint=f"Its settings are {', '.join(sorted(known))}.",
        )
    if kind is not None:
        unused = {**WITHOUT_EFFECT, **kind.UNUSED} if not own else kind.UNUSED
        warnings.extend(warnings_of(template.name, given, known | {TASKS_AT_ONCE}, unused))
    return config


def _value(key: str, value: Any, known: bool) -> Any:
    """A duration that was written as a text such as "5s", in its setting's unit; and an integer
    that was written with a point."""
    if isinstance(value, float) and value.is_integer() and (known or key == TASKS_AT_ONCE):
        return int(value)
    if not known or not isinstance(value, str):
        return value
    try:
        if key == "timeout":
            return float(str(FORMS["seconds"].read(value))) / 1_000
        if key.endswith("interval"):
            return FORMS["milliseconds"].read(value)
    except ValueError as error:
        raise UsageError(f"config.{key} is {shown(value)}; it is {error}.") from error
    return value


def _ceiling(template: AgentTemplate, wish: Resources, warnings: list[str]) -> int | None:
    kind = template.name
    if wish.cpu_limit is not None:
        warnings.append(f"{kind}: cpuLimit has no effect: nothing here holds an agent to a share")
    if wish.gpu_access:
        warnings.append(f"{kind}: gpuAccess has no effect: this server hands out no GPU")
    ceiling = template.ceiling_bytes if wish.memory_limit is None else wish.memory_limit
    if ceiling is None:
        return None
    return checked_ceiling(ceiling, kind, warnings)


def checked_ceiling(ceiling: int, kind: str, warnings: list[str]) -> int:
    """A memory ceiling that an agent can live with.

    Raises:
        UsageError: it is below what any process needs.
    """
    if ceiling < MEMORY_BYTES_MIN:
        raise UsageError(
            f"memoryLimit is {ceiling} bytes; no agent can work within less than 64Mi."
        )
    most = machine_bytes()
    if most is not None and ceiling > most:
        warnings.append(f"{kind}: memoryLimit is {memory_text(ceiling)} and holds nothing: this "
                        f"machine has {most / 2**30:.1f} Gi")  # fmt: skip
    elif held_by(ceiling) is None:
        warnings.append(f"{kind}: this system does not tell a process's memory, so only a control "
                        "group, where there is one, holds memoryLimit")  # fmt: skip
    return ceiling


def held_by(ceiling: int) -> str | None:
    """What holds such a memory ceiling on this machine; `None` where nothing surely does."""
    most = machine_bytes()
    if most is not None and ceiling > most:
        return None
    try:
        resident_bytes()
    except OSError:
        return None
    return "its own process, which watches its resident memory"
