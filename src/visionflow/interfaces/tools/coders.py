"""Coding agents of a server: those that its owner allowed, within what a client may say."""

from collections.abc import Mapping
from typing import Any

import msgspec

from visionflow.domain.errors import Refused, UsageError
from visionflow.domain.wording import shown
from visionflow.settings.agents import AgentTemplate
from visionflow.settings.server import ServerSettings

COMMAND_AGENT = "visionflow.agents.command.agent:CommandAgent"
CODER, COMMAND, PROFILE = "coder", "command", "profile"
RESERVED = ("network", "env", "read")
"""Settings of a coding agent that no client may give: they reach beyond its workspace."""
CAPABILITY = "implement"
"""What coding agents have and no agent that works with tools alone."""
OF_RUNS = ("judge", "integrate", "rank")
"""Types of tasks that are parts of a run with coding agents, and nothing by themselves."""


def coding_template(
    template: AgentTemplate, given: Mapping[str, Any], settings: ServerSettings
) -> AgentTemplate:
    """The template that is meant: a coder with a command or a profile is a coding agent.

    Raises:
        Refused: `not_allowed`: the owner did not allow it.
        UsageError: the settings contradict each other, or are not for clients.
    """
    asked = COMMAND in given or PROFILE in given
    if template.name == CODER and template.source == "built in" and asked:
        # Alone: what the built-in coder is set to is for its own tools.
        template = AgentTemplate(CODER, COMMAND_AGENT)
    elif template.class_path != COMMAND_AGENT:
        return template
    elif not given:
        return template  # As its owner wrote it.
    _check(template, given, settings)
    return msgspec.structs.replace(template, config=besides(template.config, given))


def besides(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What stays of a coding agent's settings where it becomes another: one has a command or a
    profile, never both."""
    other = COMMAND in given or PROFILE in given
    return {key: v for key, v in config.items() if not other or key not in (COMMAND, PROFILE)}


def _check(template: AgentTemplate, given: Mapping[str, Any], settings: ServerSettings) -> None:
    if COMMAND in given and PROFILE in given:
        raise UsageError(
            "config.command and config.profile both say which agent it is.",
            hint="Leave one of them out.",
        )
    reserved = [key for key in RESERVED if key in given]
    if reserved:
        raise UsageError(
            f"config.{reserved[0]} of a coding agent is its owner's to say.",
            hint="Put it into a template of the server's agents.yaml.",
        )
    key = COMMAND if COMMAND in given else PROFILE
    if key not in given or given[key] == template.config.get(key):
        return
    if any(each in template.config for each in RESERVED) and (
        COMMAND in template.config or PROFILE in template.config
    ):
        raise Refused(
            f"What the owner lets {shown(template.name)} reach is for the coding agent that they "
            "named, and no other.",
            code="not_allowed",
            hint=f"Leave config.{key} out, or spawn a coder with it.",
        )
    word, allowed = given[key], settings.coding_agents
    if word not in allowed:
        raise Refused(
            f"This server's owner allowed no coding agent {shown(word)}.",
            code="not_allowed",
            hint=f"Allowed: {', '.join(allowed) or 'none'}. `visionflow serve --coding-agent "
            "NAME` allows one.",
        )
