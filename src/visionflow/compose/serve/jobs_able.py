"""What is known of the agents that could do a stage: types of tasks, and what they measure."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec.structs import replace

from visionflow.agents.base import BaseAgent
from visionflow.agents.loading import load_agent_class
from visionflow.compose.serve.jobs_doers import role_types, types_of
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import ConfigError
from visionflow.interfaces.classes import AgentClass
from visionflow.interfaces.stages import Doer, Doers, role_measures
from visionflow.interfaces.templates import class_of
from visionflow.settings.agents import AgentSettings


def doers_of(
    templates: AgentSettings, classes: Mapping[str, AgentClass], living: Sequence[AgentSpec]
) -> Doers:
    """What is known of all types of agents that there are or can be. Imports their classes."""
    found: dict[str, Doer] = {}
    offers: dict[str, list[tuple[str, ...]]] = {}
    for name, template in templates.templates.items():
        try:
            made = class_of(template)
        except ConfigError:
            continue
        found[name] = _doer(made, types_of(name, templates))
        offers[name] = [tuple(made.capabilities)]
    for spec in living:
        if spec.type not in found or spec.class_path != _path(templates, spec.type):
            found[spec.type] = _doer(_class_at(spec.class_path), None)
        offers.setdefault(spec.type, []).append(spec.capabilities)
    for name, each in classes.items():
        found[name] = _doer(load_agent_class(each) if isinstance(each, str) else each, None)
        # Named by its path only, it is spawned with none.
        own = () if isinstance(each, str) else getattr(each, "capabilities", ())
        offers.setdefault(name, []).append(tuple(own))
    known = {name: replace(each, offers=tuple(offers[name])) for name, each in found.items()}
    return Doers(known, role_types())


def _path(templates: AgentSettings, kind: str) -> str | None:
    template = templates.templates.get(kind)
    return None if template is None else template.class_path


def _doer(made: object, tasks: tuple[str, ...] | None) -> Doer:
    own = tuple(str(each) for each in cast("Sequence[object]", getattr(made, "measures", ())))
    of_role: tuple[str, ...] = ()
    if isinstance(made, type) and issubclass(made, BaseAgent):
        ours = (each for each in made.__mro__ if each.__module__.startswith("visionflow.agents."))
        of_role = role_measures(cast("type[BaseAgent]", next(ours)).type)
    return Doer(tasks, tuple(dict.fromkeys((*of_role, *own))))


def _class_at(path: str) -> object:
    """The class of an agent that lives, as this program has it."""
    place, _, name = path.rpartition(":")
    main = sys.modules["__main__"]
    own = os.path.realpath(getattr(main, "__file__", None) or "") == os.path.realpath(place)
    module = main if own else sys.modules.get(place)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return load_agent_class(path) if found is None else found
