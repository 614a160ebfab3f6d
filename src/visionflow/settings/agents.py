"""`config/agents.yaml`: templates by which agents are spawned.

Without a file the built-in templates hold, which are those of the guide. A file's templates stand
beside the built-in ones and replace those of the same name. Whether a class can be imported shows
when it is used: this only brings its path into one form.
"""

import os
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from visionflow.domain.errors import ConfigError, UsageError
from visionflow.domain.supervision import USUAL_UPKEEP, Upkeep
from visionflow.settings import scaling
from visionflow.settings.lines import Located, parse_yaml, read_yaml
from visionflow.settings.recovery import (
    Strategies,
    recycling_of,
    strategies_of,
    strategy_named,
)
from visionflow.settings.scaling import ScalingSettings
from visionflow.settings.shapes import (
    CLASS_FORMS,
    expect,
    import_path,
    known_keys,
    processors,
    size,
)

_TOP = ("agent_templates", "recovery_strategies", *scaling.KEYS)
_KEYS = ("class", "default_config", "resources", "recovery", "recycling")
_RESOURCES = ("memory", "cpu")


class AgentTemplate(msgspec.Struct, frozen=True):
    """How agents of one name are made."""

    name: str
    class_path: str
    """`module:Class` or `/absolute/file.py:Class`."""
    config: dict[str, Any] = {}
    memory_bytes: int | None = None
    """What the template asks for."""
    cpu_millis: int | None = None
    """Asked for in thousandths of a processor. Nothing enforces it."""
    ceiling_bytes: int | None = None
    """The ceiling an agent of it is held to, in a process of its own; `None`: it shares one, since
    the template says nothing or only what the built-in one of its name says."""
    source: str = "built in"
    """File and line of its class, for messages."""
    upkeep: Upkeep = USUAL_UPKEEP


class AgentSettings(msgspec.Struct, frozen=True):
    """All templates, by name."""

    templates: dict[str, AgentTemplate]
    file: str | None = None
    """Where they were read; `None`: only the built-in ones."""
    scaling: ScalingSettings = ScalingSettings()

    def template(self, name: str) -> AgentTemplate:
        """The template of this name.

        Raises:
            UsageError: there is none.
        """
        found = self.templates.get(name)
        if found is None:
            near = get_close_matches(name[:100], self.templates, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"There is no agent template {name!r}.{meant}",
                hint=f"Templates: {', '.join(sorted(self.templates))}.",
            )
        return found


def load_agents(path: Path | None) -> AgentSettings:
    """The templates of this file beside the built-in ones; `None`: the built-in ones alone.

    Raises:
        ConfigError: the file has a fault; the message names file, line and what is allowed.
    """
    built_in = _built_in()
    if path is None:
        return AgentSettings(built_in)
    where = Path(os.path.abspath(path))
    read = read_yaml(where)
    templates = {**built_in, **_templates(read, where.parent, built_in)}
    found = scaling.scaling_of(read, templates)
    for name, ceiling in found.ceilings.items():
        templates[name] = _held(templates[name], ceiling)
    return AgentSettings(templates, str(where), found)


def _held(template: AgentTemplate, ceiling: scaling.Ceiling) -> AgentTemplate:
    """A template whose agents are held to what `resource_limits` says of their type."""
    cpu_millis = ceiling.cpu_millis or template.cpu_millis
    if ceiling.memory_bytes is None:
        return msgspec.structs.replace(template, cpu_millis=cpu_millis)
    return msgspec.structs.replace(
        template,
        memory_bytes=ceiling.memory_bytes,
        ceiling_bytes=ceiling.memory_bytes,
        cpu_millis=cpu_millis,
    )


@cache
def _built_in() -> dict[str, AgentTemplate]:
    source = files("visionflow.settings").joinpath("templates.yaml")
    located = parse_yaml(source.read_text(encoding="utf-8"), "built-in templates")
    made = _templates(located, Path("/"), None)
    return {
        name: msgspec.structs.replace(template, source="built in")
        for name, template in made.items()
    }


class _Reading(NamedTuple):
    """What holds for every template of a file."""

    folder: Path
    built_in: dict[str, AgentTemplate] | None
    strategies: Strategies


def _templates(
    file: Located, folder: Path, built_in: dict[str, AgentTemplate] | None
) -> dict[str, AgentTemplate]:
    expect(file, dict, "The file", "agent_templates: {NAME: {class: ...}}")
    for key in file.items:
        if key not in _TOP:
            raise file.unknown_key(key, _TOP, "this file")
    listed = file.items.get("agent_templates")
    if listed is None:
        if any(key in file.items for key in scaling.KEYS):
            return {}
        raise file.fault("The key 'agent_templates' is missing.")
    expect(listed, dict, "agent_templates", "a map of names to templates")
    strategies = strategies_of(file.items.get("recovery_strategies"), folder)
    reading = _Reading(folder, built_in, strategies)
    return {
        name: _template(name, item, reading, listed.keys[name])
        for name, item in listed.items.items()
    }


def _template(name: str, item: Located, reading: _Reading, line: int) -> AgentTemplate:
    expect(item, dict, f"The template {name!r}", f"keys {', '.join(_KEYS)}", line)
    known_keys(item, _KEYS, f"the template {name!r}")
    built_in = reading.built_in
    usual = None if built_in is None else built_in.get(name)
    written = item.items.get("class")
    if written is None and usual is None:
        raise item.fault(f"The template {name!r} has no class.", line=line, hint=CLASS_FORMS)
    config = item.items.get("default_config")
    if config is not None and config.value is not None:
        expect(config, dict, "default_config", "a map of settings")
    memory, cpu = _resources(item.items.get("resources"))
    edited = built_in is not None and (usual is None or usual.memory_bytes != memory)
    path = usual.class_path if usual is not None else ""
    if written is not None:
        path = import_path(written, reading.folder, "class", CLASS_FORMS, dotted=True)
    return AgentTemplate(
        name=name,
        class_path=path,
        config={} if config is None or config.value is None else config.value,
        memory_bytes=memory,
        cpu_millis=cpu,
        ceiling_bytes=memory if edited else None,
        source=f"{item.file}:{written.line if written else line}",
        upkeep=Upkeep(
            strategy_named(item.items.get("recovery"), reading.strategies),
            recycling_of(item.items.get("recycling")),
        ),
    )


def _resources(item: Located | None) -> tuple[int | None, int | None]:
    if item is None or item.value is None:
        return None, None
    known_keys(item, _RESOURCES, "resources")
    memory, cpu = item.items.get("memory"), item.items.get("cpu")
    return (
        None if memory is None else size(memory),
        None if cpu is None else processors(cpu),
    )


def fault_of(template: AgentTemplate, error: ConfigError) -> ConfigError:
    """What went wrong when a template's class was imported, with the template's place."""
    return ConfigError(
        f"{template.source}: The class of the template {template.name!r} cannot be used. "
        f"Tried {template.class_path}: {error.message}",
        hint=error.hint,
    )
