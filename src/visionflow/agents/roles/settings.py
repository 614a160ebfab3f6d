"""A role's settings: typed, with a stated effect each, and warnings for what has none.

A role declares a Struct whose fields are the keys that take effect, and `UNUSED`, the guide's keys
that it cannot honour with the reason. Any other key is context for the agent: it is kept in
`agent.config` and warned about when it looks like a slip of a known one.
"""

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.domain.wording import said_of


class RoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the roles' settings. A field is a key of `default_config`; its default holds when
    the key is left out."""

    EFFECTS: ClassVar[Mapping[str, str]] = {}
    """Of each key, what it changes, one sentence; the table in docs/agents-yaml.md."""
    UNUSED: ClassVar[Mapping[str, str]] = {}
    """Keys of the guide without an effect here, and why."""


S = TypeVar("S", bound=RoleSettings)


class Read(msgspec.Struct, Generic[S], frozen=True):
    """Settings as they hold, and what of the given ones has no effect."""

    values: S
    warnings: tuple[str, ...]


def read_settings(agent: BaseAgent, kind: type[S]) -> Read[S]:
    """The settings of this agent.

    Raises:
        PermanentFailure: a value is not of its key's type; the message names key and agent.
    """
    given = agent.config
    known = set(kind.__struct_fields__)
    try:
        values = msgspec.convert({k: v for k, v in given.items() if k in known}, kind)
    except msgspec.ValidationError as error:
        fault = said_of(str(error), given, get_type_hints(kind))
        raise PermanentFailure(
            f"A setting of the {agent.type} {agent.name} cannot be used: {fault}.",
            hint=f"Its settings are {', '.join(sorted(known))}.",
        ) from error
    return Read(values, tuple(_warnings(agent, given, known, kind)))


def settings_of(role: type[BaseAgent]) -> type[RoleSettings] | None:
    """The settings of a role's class or of what it derives from; `None` for any other agent.

    By convention they stand beside the role, named after it: TesterAgent and TesterSettings.
    """
    for base in role.__mro__:
        home = sys.modules.get(base.__module__)
        found = getattr(home, base.__name__.removesuffix("Agent") + "Settings", None)
        if isinstance(found, type) and issubclass(found, RoleSettings):
            return found
    return None


def fault_in(given: Mapping[str, Any], kind: type[RoleSettings]) -> str | None:
    """What is wrong with the values of known keys; `None` when nothing is."""
    known = kind.__struct_fields__
    try:
        msgspec.convert({k: v for k, v in given.items() if k in known}, kind)
    except msgspec.ValidationError as error:
        return said_of(str(error), given, get_type_hints(kind))
    return None


def _warnings(
    agent: BaseAgent, given: Mapping[str, Any], known: set[str], kind: type[RoleSettings]
) -> list[str]:
    return warnings_of(agent.type, given, known, kind.UNUSED)


def warnings_of(
    agent_type: str, given: Iterable[str], known: set[str], unused: Mapping[str, str]
) -> list[str]:
    """What to say of each given key that is none of the `known` ones, sorted by key."""
    told: list[str] = []
    for key in sorted(set(given) - known):
        if key in unused:
            told.append(f"{agent_type}: {key} has no effect: {unused[key]}")
            continue
        near = get_close_matches(key[:100], [*known, *unused], 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        told.append(f"{agent_type}: {key} is no setting and is only context{meant}")
    return told
