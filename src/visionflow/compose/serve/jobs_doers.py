"""Which agents do tasks of a type, where nothing but the class of an agent tells.

The roles know their types and fail at all others; any other class may do whatever it is given.
Where agents of roles could take a task that none of them does, it is kept for the others.
"""

from collections.abc import Iterable
from functools import cache

from visionflow.agents import ROLES
from visionflow.domain.errors import UsageError
from visionflow.interfaces.jobs import Work
from visionflow.interfaces.tools.coders import CAPABILITY, COMMAND_AGENT, OF_RUNS
from visionflow.settings.agents import AgentSettings

_HOME = "visionflow.agents"
UNSAID = "task"
"""The type of a task that says none."""


@cache
def roles() -> dict[str, tuple[str, tuple[str, ...], frozenset[str]]]:
    """By the name of its class, of each role: its name, the types of tasks that it does, and its
    capabilities. It imports them."""
    from visionflow.agents.roles import (
        analyst,
        architect,
        coder,
        coordinator,
        researcher,
        reviewer,
        tester,
    )

    homes = (researcher, architect, coder, reviewer, tester, coordinator, analyst)
    found: dict[str, tuple[str, tuple[str, ...], frozenset[str]]] = {}
    for home in homes:
        (name,) = (each for each in ROLES if each in vars(home))
        role = home.__name__.rpartition(".")[2]
        kinds = tuple(kind for kind in home.TASK_TYPES if kind not in OF_RUNS)
        found[name] = (role, kinds, frozenset(vars(home)[name].capabilities))
    return found


@cache
def role_types() -> dict[str, str]:
    """Types of tasks that the roles do, and the role of each."""
    return {kind: role for role, kinds, _ in roles().values() for kind in kinds}


def types_of(agent_type: str, templates: AgentSettings) -> tuple[str, ...] | None:
    """The types of tasks that agents of this type do; `None` where that is not known."""
    template = templates.templates.get(agent_type)
    if template is not None and template.class_path == COMMAND_AGENT:
        return (CAPABILITY,)
    place, _, name = ("", "", "") if template is None else template.class_path.rpartition(":")
    if place != _HOME or name not in ROLES:
        return None
    if name == "PeerAgent":
        from visionflow.agents.roles.peer_agent import TASK_TYPES

        return tuple(kind for kind in TASK_TYPES if kind not in OF_RUNS)
    return roles()[name][1]


def check_type(work: Work, templates: AgentSettings) -> None:
    """See that agents of the type that is asked for do such work.

    Raises:
        UsageError: they do not.
    """
    kind = work.agent_type
    known = None if kind is None else types_of(kind, templates)
    if known is not None and work.type not in known:
        raise UsageError(
            f"Agents of type {kind} do no tasks of type {work.type[:100]!r}.",
            hint=f"They do {', '.join(known)}." + _other(work.type),
        )


def check_coding(work: Work, own: bool) -> None:
    """See that nobody hands a coding agent, or whoever judges its work, an input of their own: it
    says where is written, what runs and whom to trust. `own`: it is for agents of another class.

    Raises:
        UsageError: it would be handed to them.
    """
    if own or work.type not in (CAPABILITY, *OF_RUNS):
        return
    raise UsageError(
        f"A task of type {work.type} is a part of a goal that coding agents do.",
        hint="Say the goal in words, with candidates: 1 or more. Agents of a class of your own are "
        "meant where agentType names theirs.",
    )


def doer_of(
    work: Work, offers: Iterable[tuple[str, tuple[str, ...]]], templates: AgentSettings
) -> str | None:
    """The type of agents that is to do work which is of no role; `None`: whoever can.

    `offers`: what there is of types and capabilities among the agents that live.

    Raises:
        UsageError: nobody does such work, or it has to be said who.
    """
    if work.agent_type is not None:
        return work.agent_type
    asked = set(work.capabilities)
    others: list[str] = []
    astray = False
    for each, able in offers:
        if asked.issubset(able):
            if types_of(each, templates) is None:
                others.append(each)
            else:
                astray = True
    if others:
        return others[0] if astray else None
    customs = [each for each in templates.templates if types_of(each, templates) is None]
    if not astray and (customs or not _could_go_astray(asked)):
        return None  # It waits for somebody who can.
    if len(customs) == 1:
        return customs[0]
    raise _unknown(work.type, customs)


def _could_go_astray(asked: set[str]) -> bool:
    """Whether a role has all of these capabilities."""
    return any(asked <= able for _, _, able in roles().values())


def _other(kind: str) -> str:
    role = role_types().get(kind)
    return "" if role is None else f" Leave agentType out, or write {role}."


def _unknown(kind: str, customs: list[str]) -> UsageError:
    what = (
        "A task has to say its type."
        if kind == UNSAID
        else f"No agent here does tasks of type {kind[:100]!r}."
    )
    named = f" Or say with agentType who does it: {', '.join(customs)}." if customs else ""
    return UsageError(what, hint=f"Types: {', '.join(role_types())}.{named}")
