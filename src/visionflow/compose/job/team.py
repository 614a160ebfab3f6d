"""Who works on a run: from templates to the agents of a plan, checked before anything starts."""

from collections.abc import Mapping

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.candidates.planning import commands_of
from visionflow.agents.loading import load_agent_class
from visionflow.agents.plans import Plan
from visionflow.agents.roles.coordinator import CoordinatorAgent, CoordinatorSettings
from visionflow.agents.roles.settings import fault_in, settings_of
from visionflow.compose.job.folder import AgentOrder
from visionflow.domain.errors import ConfigError
from visionflow.interfaces.templates import class_of
from visionflow.settings.agents import AgentSettings, AgentTemplate, load_agents

COMMAND_AGENT = "visionflow.agents.command.agent:CommandAgent"
"""The class of coding agents."""
MEMORY_BYTES_MIN = 64 * 1024 * 1024
"""A worker's process alone takes about half of this."""


def agents_of(roles: Mapping[str, str], settings: AgentSettings) -> dict[str, AgentOrder]:
    """Agents of a plan by their ids, from the role of each.

    Raises:
        ConfigError: a class cannot be imported, a setting is not of its kind, or a ceiling is too
            low for any process.
    """
    found: dict[str, AgentOrder] = {}
    for agent, role in roles.items():
        template = settings.template(role)
        made = class_of(template)
        _check(template, made)
        found[agent] = AgentOrder(
            role=role,
            class_path=template.class_path,
            capabilities=tuple(made.capabilities),
            config=template.config,
            memory_bytes=template.ceiling_bytes,
            upkeep=template.upkeep,
        )
    return found


def team_of(plan: Plan, settings: AgentSettings) -> dict[str, AgentOrder]:
    """All agents of a plan by their ids.

    Raises:
        ConfigError: see `agents_of`.
    """
    commands = commands_of(plan)
    roles = {agent: role for agent, role in plan.agents.items() if agent not in commands}
    return {**coders_of(commands), **agents_of(roles, settings)}


def coders_of(commands: Mapping[str, str]) -> dict[str, AgentOrder]:
    """Coding agents by their ids, from the command line of each."""
    capabilities = load_agent_class(COMMAND_AGENT).capabilities
    return {
        agent: AgentOrder("coder", COMMAND_AGENT, tuple(capabilities), {"command": command})
        for agent, command in commands.items()
    }


def _check(template: AgentTemplate, made: type[BaseAgent]) -> None:
    kind = settings_of(made)
    told = None if kind is None else fault_in(template.config, kind)
    if told is not None:
        raise ConfigError(
            f"{template.source}: A setting of the template {template.name!r} cannot be used: "
            f"{told}.",
            hint="docs/agents-yaml.md has them all.",
        )
    if template.ceiling_bytes is not None and template.ceiling_bytes < MEMORY_BYTES_MIN:
        raise ConfigError(
            f"{template.source}: The template {template.name!r} has a memory of "
            f"{template.ceiling_bytes} bytes; no agent can work within less than 64Mi."
        )


def own_roles(settings: AgentSettings) -> tuple[str, ...]:
    """Roles whose template is of the user's own file."""
    return tuple(
        sorted(name for name, each in settings.templates.items() if each.source != "built in")
    )


def not_held(plan: Plan, settings: AgentSettings) -> tuple[str, ...]:
    """Shares of a processor that a template asks for, other than the built-in one does."""
    built_in = load_agents(None).templates
    asked = ((role, settings.template(role).cpu_millis) for role in sorted({*plan.agents.values()}))
    return tuple(
        f"{role}: resources.cpu has no effect: nothing here holds an agent to its share"
        for role, cpu in asked
        if cpu is not None and cpu != built_in[role].cpu_millis
    )


def coordination_of(settings: AgentSettings) -> CoordinatorSettings:
    """The coordinator's settings, which hold for the run as a whole.

    Raises:
        ConfigError: one cannot be used.
    """
    template = settings.template("coordinator")
    _check(template, CoordinatorAgent)
    known = CoordinatorSettings.__struct_fields__
    given = {key: value for key, value in template.config.items() if key in known}
    return msgspec.convert(given, CoordinatorSettings)
