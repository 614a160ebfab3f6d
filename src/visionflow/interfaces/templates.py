"""From an agent template to the class that it names, with errors that lead back to the file."""

from difflib import get_close_matches

from visionflow.agents import ROLES
from visionflow.agents.base import BaseAgent
from visionflow.agents.loading import load_agent_class
from visionflow.domain.errors import ConfigError
from visionflow.settings.agents import AgentTemplate, fault_of

_HOME = "visionflow.agents"


def class_of(template: AgentTemplate) -> type[BaseAgent]:
    """The class of a template, imported.

    Raises:
        ConfigError: it cannot be imported, or is no agent; the message names file and line.
    """
    place, _, name = template.class_path.rpartition(":")
    try:
        if place == _HOME and name not in ROLES:
            near = get_close_matches(name, ROLES, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{_HOME} has no {name}.{meant}", hint=f"There are {', '.join(ROLES)}."
            )
        return load_agent_class(template.class_path)
    except ConfigError as error:
        raise fault_of(template, error) from error
