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
from typing import Any

import msgspec

from visionflow.domain.errors import ConfigError, UsageError
from visionflow.domain.sizes import CPU_FORMS, MEMORY_FORMS, cpu_millis, memory_bytes
from visionflow.settings.lines import Located, parse_yaml, read_yaml

_TOP = ("agent_templates",)
_KEYS = ("class", "default_config", "resources")
_RESOURCES = ("memory", "cpu")
_CLASS_FORMS = (
    'Write "package.module.Class", "package.module:Class" or "path/to/file.py:Class" '
    "(relative to this file)."
)
_KINDS: dict[type, str] = {
    dict: "a map",
    list: "a list",
    str: "text",
    bool: "true or false",
    type(None): "nothing",
}


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


class AgentSettings(msgspec.Struct, frozen=True):
    """All templates, by name."""

    templates: dict[str, AgentTemplate]
    file: str | None = None
    """Where they were read; `None`: only the built-in ones."""

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
    own = _templates(read_yaml(where), where.parent, built_in)
    return AgentSettings({**built_in, **own}, str(where))


@cache
def _built_in() -> dict[str, AgentTemplate]:
    source = files("visionflow.settings").joinpath("templates.yaml")
    located = parse_yaml(source.read_text(encoding="utf-8"), "built-in templates")
    made = _templates(located, Path("/"), None)
    return {
        name: msgspec.structs.replace(template, source="built in")
        for name, template in made.items()
    }


def _templates(
    file: Located, folder: Path, built_in: dict[str, AgentTemplate] | None
) -> dict[str, AgentTemplate]:
    _expect(file, dict, "The file", "agent_templates: {NAME: {class: ...}}")
    for key in file.items:
        if key not in _TOP:
            raise file.unknown_key(key, _TOP, "this file")
    listed = file.items.get("agent_templates")
    if listed is None:
        raise file.fault("The key 'agent_templates' is missing.")
    _expect(listed, dict, "agent_templates", "a map of names to templates")
    return {
        name: _template(name, item, folder, built_in, listed.keys[name])
        for name, item in listed.items.items()
    }


def _template(
    name: str,
    item: Located,
    folder: Path,
    built_in: dict[str, AgentTemplate] | None,
    line: int,
) -> AgentTemplate:
    _expect(item, dict, f"The template {name!r}", f"keys {', '.join(_KEYS)}", line)
    for key in item.items:
        if key not in _KEYS:
            raise item.unknown_key(key, _KEYS, f"the template {name!r}")
    usual = None if built_in is None else built_in.get(name)
    written = item.items.get("class")
    if written is None and usual is None:
        raise item.fault(f"The template {name!r} has no class.", line=line, hint=_CLASS_FORMS)
    config = item.items.get("default_config")
    if config is not None and config.value is not None:
        _expect(config, dict, "default_config", "a map of settings")
    memory, cpu = _resources(item.items.get("resources"))
    edited = built_in is not None and (usual is None or usual.memory_bytes != memory)
    return AgentTemplate(
        name=name,
        class_path=_class_path(written, folder) if written else usual.class_path if usual else "",
        config={} if config is None or config.value is None else config.value,
        memory_bytes=memory,
        cpu_millis=cpu,
        ceiling_bytes=memory if edited else None,
        source=f"{item.file}:{written.line if written else line}",
    )


def _resources(item: Located | None) -> tuple[int | None, int | None]:
    if item is None or item.value is None:
        return None, None
    _expect(item, dict, "resources", f"keys {', '.join(_RESOURCES)}")
    for key in item.items:
        if key not in _RESOURCES:
            raise item.unknown_key(key, _RESOURCES, "resources")
    memory, cpu = item.items.get("memory"), item.items.get("cpu")
    return (
        None if memory is None else _amount(memory, "memory", memory_bytes(memory.value)),
        None if cpu is None else _amount(cpu, "cpu", cpu_millis(cpu.value)),
    )


def _amount(item: Located, what: str, found: int | None) -> int:
    if found is None:
        forms = MEMORY_FORMS if what == "memory" else CPU_FORMS
        raise item.fault(f"{item.value!r} is no amount of {what}.", hint=forms)
    return found


def _class_path(item: Located, folder: Path) -> str:
    """One form for the three that may be written."""
    written = item.value
    if not isinstance(written, str) or not written.strip():
        raise item.fault(f"class is {_kind(written)}, and must be text.", hint=_CLASS_FORMS)
    written = written.strip()
    place, colon, name = written.rpartition(":")
    if not colon:
        place, _, name = written.rpartition(".")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise item.fault(f"{written!r} is not the path of a class.", hint=_CLASS_FORMS)
    if place.endswith(".py") or os.sep in place:
        file = os.path.normpath(folder / os.path.expanduser(place))
        if not os.path.isfile(file):
            raise item.fault(f"There is no Python file {file}, which {written!r} names.")
        return f"{file}:{name}"
    if not all(part.isidentifier() for part in place.split(".")):
        raise item.fault(f"{place!r} is not the name of a module.", hint=_CLASS_FORMS)
    return f"{place}:{name}"


def _expect(item: Located, kind: type, what: str, form: str, line: int | None = None) -> None:
    if not isinstance(item.value, kind):
        told = f"{what} is {_kind(item.value)}, and must be {_kind(kind())}."
        raise item.fault(told, line=line, hint=f"Write {form}.")


def _kind(value: object) -> str:
    return _KINDS.get(value.__class__, f"{value!r}")


def fault_of(template: AgentTemplate, error: ConfigError) -> ConfigError:
    """What went wrong when a template's class was imported, with the template's place."""
    return ConfigError(
        f"{template.source}: The class of the template {template.name!r} cannot be used. "
        f"Tried {template.class_path}: {error.message}",
        hint=error.hint,
    )
