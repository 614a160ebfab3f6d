"""Work of a type, as a client asks for it, with what the server has to say of it: where a role
works, whom it may trust, and where nothing may be written. Reads the disk: off the loop.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec.msgpack import decode

from visionflow.agents.plans import Plan
from visionflow.compose.job.creating import own_folders, readable
from visionflow.compose.job.trust import trusted
from visionflow.compose.serve.jobs_doers import (
    check_coding,
    check_type,
    doer_of,
    role_types,
    types_of,
)
from visionflow.compose.serve.jobs_team import apart_from_coding
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import ConfigError, UsageError, WorkspaceError
from visionflow.interfaces.jobs import Order, Work
from visionflow.interfaces.templates import class_of
from visionflow.interfaces.tools.coders import COMMAND_AGENT
from visionflow.interfaces.tools.workspaces import under
from visionflow.settings.agents import AgentSettings
from visionflow.settings.server import ServerSettings

PEER, VOTE = "peer_agent", "vote"
TYPE_OF = {
    "researcher": "research", "coordinator": "survey", "architect": "analyse_architecture",
    "coder": "fix", "reviewer": "review_code", "tester": "run_tests", "analyst": "analyse",
}  # fmt: skip
"""What each role does where nobody says."""
OPEN_INPUT = ("workspace", "goal", "focus", "part", "change")
"""What a client may say in the input of a role's task; the rest is the server's to say."""


class Group(msgspec.Struct, frozen=True):
    """Pieces of work that may go on at once."""

    name: str
    works: tuple[Work, ...]
    sequential: bool = False


class Ground(msgspec.Struct, frozen=True):
    """What a server has for the work of roles."""

    settings: ServerSettings
    templates: AgentSettings
    types: tuple[str, ...]
    """Types of agents that live in the swarm."""
    offers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What there is of types and capabilities among those agents."""
    peers: bool = False
    """Whether among them are peers, each of which takes on whatever a role does."""

    def place(self, order: Order) -> str:
        """The workspace of an order; see `place_of`."""
        return place_of(order.workspace, self.settings)

    def trusts(self, workspace: str) -> bool:
        """Whether the code in this workspace may run also where nothing confines it."""
        return self.settings.trust or trusted(workspace, Path(self.settings.home))


def copies_of(work: Work, order: Order) -> Group:
    """A piece of work, so often side by side as its results are to be made into one."""
    copies = 1 if order.aggregation is None else order.parallelism or 1
    return Group("work", (work,) * copies)


def place_of(given: str | None, settings: ServerSettings) -> str:
    """The real path of a workspace, which lies under one of the server's.

    Raises:
        WorkspaceError: it does not, or cannot be read.
    """
    roots = settings.workspaces
    listed = f"Workspaces of this server: {', '.join(roots) or 'none'}."
    if not roots:
        raise WorkspaceError(
            "This server has no workspace.", hint="Start it with visionflow serve --workspace PATH."
        )
    if given is None:
        return readable(roots[0])
    found = under(roots, given)
    if found is None:
        raise WorkspaceError(f"{given[:200]!r} lies in no workspace of this server.", hint=listed)
    return readable(found)


def is_plain(order: Order) -> bool:
    """Whether nothing of the disk matters for it: agents get what the client said."""
    kinds = {order.task_type, *(work.type for work in order.subtasks)}
    return order.workspace is None and kinds.isdisjoint(role_types())


def alone(order: Order, ground: Ground) -> Work:
    """The work of an order that is one task.

    Raises:
        UsageError: it cannot be understood.
        WorkspaceError: its workspace cannot be used.
    """
    work = Work(
        type=order.task_type or "task",
        description=order.description,
        input=order.input,
        config=order.config,
        capabilities=order.capabilities,
        agent=order.agent,
        agent_type=order.agent_type,
    )
    return given_to(work, order, ground)


def parts_of(order: Order, ground: Ground) -> Group:
    """The work of an order that has subtasks.

    Raises:
        UsageError: it cannot be understood.
        WorkspaceError: its workspace cannot be used.
    """
    if order.input is not None:
        raise UsageError("input is for one task.", hint="Give each of the subtasks its own.")
    works = tuple(
        given_to(
            msgspec.structs.replace(
                work,
                type=order.task_type
                if work.type == "task" and order.task_type is not None
                else work.type,
                config={**order.config, **work.config},
                capabilities=tuple(dict.fromkeys((*order.capabilities, *work.capabilities))),
                agent=work.agent or order.agent,
                agent_type=work.agent_type or order.agent_type,
            ),
            order,
            ground,
        )
        for work in order.subtasks
    )
    return Group("work", works, order.sequential is True)


def given_to(work: Work, order: Order, ground: Ground) -> Work:
    """The work with what the server has to say of it: where a role works, and how.

    Raises:
        UsageError: it cannot be understood.
        WorkspaceError: its workspace cannot be used.
    """
    kind = work.agent_type
    known = (*ground.types, *ground.templates.templates)
    if kind is not None and kind not in known:
        raise UsageError(
            f"There is no type of agents {kind[:100]!r}.",
            hint=f"Types: {', '.join(sorted(set(known)))}.",
        )
    if work.type == "task" and kind in TYPE_OF and _is_role(kind, ground):
        raise UsageError(
            f"Agents of type {kind} have to be told which type of task they are to do.",
            hint=f"type: {', '.join(name for name, role in role_types().items() if role == kind)}.",
        )
    check_type(work, ground.templates)
    check_coding(work, kind is not None and not _is_role(kind, ground))
    if work.type in role_types() and (kind is None or _is_role(kind, ground)):
        # Agents of other roles would take it and fail: nothing in its capabilities tells them.
        role = role_for(work.type, role_types()[work.type], ground)
        meant = kind if work.agent is not None else kind or role
        written = _role_input(work, ground.place(order), ground)
        apart = () if work.agent is not None else apart_from_coding(
            meant or "", ground.offers, ground.templates
        )  # fmt: skip
        capabilities = tuple(dict.fromkeys((*work.capabilities, *apart)))
        return msgspec.structs.replace(
            work, input=written, agent_type=meant, capabilities=capabilities
        )
    if work.agent is None:
        work = msgspec.structs.replace(
            work, agent_type=doer_of(work, ground.offers, ground.templates)
        )
    if order.workspace is None:
        return work
    place = ground.place(order)
    written = cast(object, work.input)
    if written is None or isinstance(written, dict):
        given = cast("dict[str, Any]", written or {})
        return msgspec.structs.replace(work, input={"workspace": place} | given)
    raise UsageError(
        "workspace is handed on within the input, and that is no object.",
        hint="Give input as an object, or leave workspace out.",
    )


def has_peers(living: Iterable[AgentSpec]) -> bool:
    """Whether there are peers among these, and none that was told which roles it takes on."""
    peers = [spec.config for spec in living if spec.type == PEER]
    return bool(peers) and all(
        config.blob is None and "roles" not in (decode(config.inline) if config.inline else {})
        for config in peers
    )


def doers_of_plan(plan: Plan, ground: Ground) -> dict[str, str]:
    """By type of task, the type of agents that does it in the place of the plan's role: peers,
    where they are the team and nobody of that role is. None votes, for it may be its own change
    that is voted on."""
    if not ground.peers:
        return {}
    return {
        task.type: PEER
        for _, task in plan.tasks()
        if task.type != VOTE and role_for(task.type, task.role, ground) == PEER
    }


def role_for(kind: str, role: str, ground: Ground) -> str:
    """The type of agents that does tasks of a type which a role does: where peers are the team,
    and nobody of that role is, it is theirs to bid for."""
    if not ground.peers or role in ground.types:
        return role
    return PEER if kind in (types_of(PEER, ground.templates) or ()) else role


def _is_role(kind: str, ground: Ground) -> bool:
    """Whether agents of this type may be one of the roles, or be made from one."""
    template = ground.templates.templates.get(kind)
    if template is None:
        return True
    import visionflow.agents as agents

    if template.class_path == COMMAND_AGENT:
        return True
    roles = tuple(getattr(agents, name) for name in agents.ROLES)
    try:
        return issubclass(class_of(template), roles)
    except ConfigError:
        return True


def _role_input(work: Work, place: str, ground: Ground) -> dict[str, Any]:
    """The input of a role's task. What it may not say: where files are written, and whom to trust.

    Raises:
        UsageError: it says that, or is no object.
        WorkspaceError: its workspace is none of this server.
    """
    given = cast(object, {} if work.input is None else work.input)
    if not isinstance(given, Mapping):
        raise UsageError(
            f"The input of a task of type {work.type!r} is an object.",
            hint=f"Its keys are {', '.join(OPEN_INPUT)}.",
        )
    said = dict(cast("Mapping[str, Any]", given))
    unknown = [key for key in said if key not in OPEN_INPUT]
    if unknown:
        raise UsageError(
            f"The input of a task of type {work.type!r} has no {unknown[0]!r}.",
            hint=f"Its keys are {', '.join(OPEN_INPUT)}.",
        )
    where = place if said.get("workspace") is None else said["workspace"]
    said["workspace"] = where = place_of(str(where), ground.settings)
    return {
        "exclude": list(own_folders((Path(ground.settings.home),), where)),
        "trusted": ground.trusts(where),
        "virtual_env": os.environ.get("VIRTUAL_ENV"),
        "cache": str(Path(ground.settings.home) / "cache"),
        "alone": True,
        **said,
    }
