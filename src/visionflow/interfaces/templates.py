"""From an agent template to the class that it names, with errors that lead back to the file.

Of its settings only one is for us: the rest is the agent's own.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from visionflow.agents import ROLES
from visionflow.agents.base import BaseAgent
from visionflow.agents.loading import load_agent_class
from visionflow.agents.trying import try_function, try_import
from visionflow.domain.errors import ConfigError, UsageError
from visionflow.domain.wording import shown
from visionflow.settings.agents import AgentTemplate, fault_of

TASKS_AT_ONCE_MAX = 1_000
_HOME = "visionflow.agents"


def class_of(template: AgentTemplate) -> type[BaseAgent]:
    """The class of a template, imported.

    Raises:
        ConfigError: it cannot be imported, or is no agent; the message names file and line. Also
            when importing it would end this process: it is tried in another first. And when the
            function of its recovery strategy is none.
    """
    place, _, name = template.class_path.rpartition(":")
    try:
        if place == _HOME and name not in ROLES:
            near = get_close_matches(name, ROLES, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{_HOME} has no {name}.{meant}", hint=f"There are {', '.join(ROLES)}."
            )
        try_import(template.class_path)
        found = load_agent_class(template.class_path)
    except ConfigError as error:
        raise fault_of(template, error) from error
    strategy = template.upkeep.recovery
    if strategy.call is not None:
        try:
            try_function(strategy.call)
        except ConfigError as error:
            raise ConfigError(
                f"{template.source}: The recovery strategy {strategy.name!r} of the template "
                f"{template.name!r} cannot be used. Tried {strategy.call}: {error.message}",
                hint=error.hint,
            ) from error
    return found


def tasks_at_once(config: Mapping[str, Any]) -> int:
    """How many tasks an agent with these settings works on at once: `max_concurrent_tasks`, or 1.

    Raises:
        UsageError: it is no integer from 1 to `TASKS_AT_ONCE_MAX`.
    """
    found = config.get("max_concurrent_tasks", 1)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= TASKS_AT_ONCE_MAX:
        raise UsageError(
            f"The setting max_concurrent_tasks is {shown(found)}; it is an integer from 1 to "
            f"{TASKS_AT_ONCE_MAX}."
        )
    return found
