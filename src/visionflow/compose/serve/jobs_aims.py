"""What an order comes to: a playbook's plan, work of a kind that agents know, or what is missing.

A goal in words is read by the playbooks; whatever names a type of task is handed to agents as it
is. Everything here reads the disk and belongs off the loop.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.agents.evidence import FOCUSES
from visionflow.agents.plans import PLAYBOOKS, Gate, Plan, PlanPhase, PlanTask, Playbook
from visionflow.agents.roles.playbooks import Choice, choose, plan_of, split
from visionflow.agents.tools.project import look
from visionflow.compose.job.creating import named, own_folders, readable
from visionflow.compose.job.team import coordination_of
from visionflow.compose.job.trust import trusted
from visionflow.domain.errors import ConfigError, UsageError, WorkspaceError
from visionflow.interfaces.jobs import Order, Work
from visionflow.interfaces.templates import class_of
from visionflow.settings.agents import AgentSettings
from visionflow.settings.server import ServerSettings

STAGES: dict[str, str] = {
    "research": "researcher", "plan": "coordinator", "architect": "architect",
    "architecture": "architect", "code": "coder", "implementation": "coder",
    "review": "reviewer", "test": "tester", "testing": "tester",
}  # fmt: skip
"""Words for stages, and the role of each. Any other word is a type of agents."""
_TYPE_OF = {
    "researcher": "research", "coordinator": "survey", "architect": "analyse_architecture",
    "coder": "fix", "reviewer": "review_code", "tester": "run_tests",
}  # fmt: skip
_TIMEOUT_S = {"run_tests": 1_800, "fix": 2_700, "research": 900, "analyse_architecture": 900}
_GATES: dict[str, tuple[Gate, ...]] = {
    "tester": ("tests",), "reviewer": ("syntax", "findings"), "coder": ("patch",),
}  # fmt: skip
OPEN_INPUT = ("workspace", "goal", "focus", "part", "change")
"""What a client may say in the input of a role's task; the rest is the server's to say."""


class Group(msgspec.Struct, frozen=True):
    """Pieces of work that may go on at once."""

    name: str
    works: tuple[Work, ...]
    sequential: bool = False


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What an order comes to. One of `plan`, `work`, `groups` and `missing` says something."""

    workspace: str
    why: str = ""
    plan: Plan | None = None
    work: Work | None = None
    """The root task itself."""
    groups: tuple[Group, ...] = ()
    """Phases of work that agents know."""
    missing: str | None = None
    """What no present backend can do."""


class Ground(msgspec.Struct, frozen=True):
    """What a server has for the work of roles."""

    settings: ServerSettings
    templates: AgentSettings
    types: tuple[str, ...]
    """Types of agents that live in the swarm."""

    def trusts(self, workspace: str) -> bool:
        """Whether the code in this workspace may run also where nothing confines it."""
        return self.settings.trust or trusted(workspace, Path(self.settings.home))


def place_of(given: str | None, settings: ServerSettings) -> str:
    """The real path of a workspace, which lies under one of the server's.

    Raises:
        WorkspaceError: it does not, or cannot be read.
    """
    roots = [os.path.realpath(root) for root in settings.workspaces]
    listed = f"Workspaces of this server: {', '.join(roots) or 'none'}."
    if not roots:
        raise WorkspaceError(
            "This server has no workspace.", hint="Start it with visionflow serve --workspace PATH."
        )
    if given is None:
        return readable(roots[0])
    if "\0" in given:
        raise WorkspaceError("A path has no NUL.", hint=listed)
    # A relative one is meant within the first root, and `..` is followed before it is compared.
    found = os.path.realpath(os.path.join(roots[0], given))
    if not any(found == root or found.startswith(root.rstrip("/") + "/") for root in roots):
        raise WorkspaceError(f"{given[:200]} lies in no workspace of this server.", hint=listed)
    return readable(found)


def aim_of(order: Order, ground: Ground) -> Aim:
    """What the order comes to.

    Raises:
        UsageError: it cannot be understood.
        WorkspaceError: its workspace cannot be used.
    """
    place = place_of(order.workspace, ground.settings)
    playbook = order.playbook
    if order.task_type in PLAYBOOKS:
        if playbook not in (None, order.task_type):
            raise UsageError(f"type is {order.task_type} and playbook is {playbook}.")
        playbook = order.task_type
    plain = playbook is None and (
        order.task_type is not None or order.agent is not None or order.agent_type is not None
    )
    if order.subtasks or plain:
        _refuse(order, "playbook", "stages")
        if order.subtasks:
            return Aim(workspace=place, groups=(_parts(order, place, ground),))
        return Aim(workspace=place, work=_alone(order, place, ground))
    if order.input is not None or order.config:
        raise UsageError(
            "input and config are for a task with a type; a goal in words takes none.",
            hint="Give a type, or leave them out.",
        )
    _refuse(order, "agent", "agent_type")
    return _goal(order, playbook, place, ground)


_NAMES = {"agent": "agentId", "agent_type": "agentType"}


def _refuse(order: Order, *fields: str) -> None:
    for field in fields:
        if getattr(order, field):
            name = _NAMES.get(field, field)
            raise UsageError(
                f"{name} has no meaning here: "
                + (
                    "a goal in words is for the roles of its playbook."
                    if field in _NAMES
                    else "a task with a type, an agent or subtasks follows no playbook."
                ),
                hint=f"Leave {name} out, or say what is to be done in words alone.",
            )


# Goals in words ------------------------------------------------------------------------------


def _goal(order: Order, playbook: str | None, place: str, ground: Ground) -> Aim:
    goal = order.description
    choice = choose(goal) if playbook is None else named(playbook)
    if choice.missing is not None:
        return Aim(workspace=place, why=choice.why, missing=choice.missing)
    if order.stages:
        if playbook is not None:
            raise UsageError(
                "stages and playbook both say what is done, and in which order.",
                hint="Leave one of them out.",
            )
        return _staged(order, choice, place, ground)
    if choice.playbook is None:
        raise UsageError(choice.why, hint=f"Say which with playbook: {', '.join(choice.among)}.")
    usual = coordination_of(ground.templates).strategy == "sequential"
    sequential = usual if order.sequential is None else order.sequential
    parts = split(look(place))
    plan = plan_of(goal, choice.playbook, choice.why, parts, sequential=sequential)
    return Aim(workspace=place, why=choice.why, plan=plan)


def _staged(order: Order, choice: Choice, place: str, ground: Ground) -> Aim:
    """Phases in the order of the stages that were asked for."""
    stages, why = order.stages, f"The stages {', '.join(order.stages)} were asked for."
    if len(set(stages)) < len(stages):
        raise UsageError(f"A stage is named twice: {', '.join(stages)}.")
    for stage in stages:
        _check_stage(stage, ground)
    tasks = {stage: _stage_tasks(stage, place) for stage in stages if stage in STAGES}
    if len({each.id for found in tasks.values() for each in found}) < sum(map(len, tasks.values())):
        raise UsageError(f"Two of the stages are the same: {', '.join(stages)}.")
    sequential = order.sequential is True
    if len(tasks) < len(stages):
        groups = tuple(
            Group(stage, _stage_works(stage, tasks.get(stage), order, place, ground), sequential)
            for stage in stages
        )
        return Aim(workspace=place, why=why, groups=groups)
    roles = {STAGES[stage] for stage in stages}
    phases = tuple(
        PlanPhase(
            stage, tasks[stage], sequential and len(tasks[stage]) > 1,
            uses=stages[: max(0, place_ - 1)],
        )
        for place_, stage in enumerate(stages)
    )  # fmt: skip
    plan = Plan(
        order.description,
        choice.playbook or _nearest(roles),
        why,
        tuple(gate for role in sorted(roles) for gate in _GATES.get(role, ())),
        split(look(place)),
        phases,
    )
    return Aim(workspace=place, why=why, plan=plan)


def _nearest(roles: set[str]) -> Playbook:
    """The playbook that these roles come closest to, for whoever asks by that word."""
    if "coder" in roles:
        return "fix"
    examining = {"reviewer", "tester"} & roles
    asking = {"researcher", "architect"} & roles
    if examining and asking:
        return "audit"
    return "test" if examining else "explain"


def _check_stage(stage: str, ground: Ground) -> None:
    known = (*ground.types, *ground.templates.templates)
    if stage not in STAGES and stage not in known:
        raise UsageError(
            f"{stage[:100]!r} is no stage, and there is no type of agents of that name.",
            hint=f"Stages: {', '.join(STAGES)}; types: {', '.join(sorted(set(known)))}.",
        )


def _stage_tasks(stage: str, place: str) -> tuple[PlanTask, ...]:
    role = STAGES[stage]
    kind = _TYPE_OF[role]
    if role == "reviewer":
        plan = plan_of("", "test", "", split(look(place)))
        return tuple(each for _, each in plan.tasks() if each.type == kind)
    made = PlanTask(kind, cast(Any, role), kind, stage, timeout_s=_TIMEOUT_S.get(kind))
    return (made,)


def _stage_works(
    stage: str, tasks: tuple[PlanTask, ...] | None, order: Order, place: str, ground: Ground
) -> tuple[Work, ...]:
    """The same as work, where a stage beside it is of agents that no playbook knows."""
    if tasks is None:
        return (Work(type=stage, description=order.description, agent_type=stage),)
    focuses = FOCUSES if STAGES[stage] == "reviewer" else (None,)
    works = [
        Work(
            type=_TYPE_OF[STAGES[stage]],
            description=order.description,
            input={} if focus is None else {"focus": focus},
            agent_type=STAGES[stage],
        )
        for focus in focuses
    ]
    return tuple(_given(work, order, place, ground) for work in works)


# Work of a type ------------------------------------------------------------------------------


def _alone(order: Order, place: str, ground: Ground) -> Work:
    work = Work(
        type=order.task_type or "task",
        description=order.description,
        input=order.input,
        config=order.config,
        capabilities=order.capabilities,
        agent=order.agent,
        agent_type=order.agent_type,
    )
    return _given(work, order, place, ground)


def _parts(order: Order, place: str, ground: Ground) -> Group:
    if order.input is not None:
        raise UsageError("input is for one task.", hint="Give each of the subtasks its own.")
    works = tuple(
        _given(
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
            place,
            ground,
        )
        for work in order.subtasks
    )
    return Group("work", works, order.sequential is True)


def _given(work: Work, order: Order, place: str, ground: Ground) -> Work:
    """The work with what the server has to say of it: where a role works, and how."""
    kind = work.agent_type
    known = (*ground.types, *ground.templates.templates)
    if kind is not None and kind not in known:
        raise UsageError(
            f"There is no type of agents {kind[:100]!r}.",
            hint=f"Types: {', '.join(sorted(set(known)))}.",
        )
    if work.type == "task" and kind in _TYPE_OF and _is_role(kind, ground):
        raise UsageError(
            f"A {kind} has to be told which type of task it is to do.",
            hint=f"type: {', '.join(name for name, role in role_types().items() if role == kind)}.",
        )
    if work.type in role_types() and (kind is None or _is_role(kind, ground)):
        return msgspec.structs.replace(work, input=_role_input(work, place, ground))
    if order.workspace is None:
        return work
    written = cast(object, work.input)
    if written is None or isinstance(written, dict):
        given = cast("dict[str, Any]", written or {})
        return msgspec.structs.replace(work, input={"workspace": place} | given)
    raise UsageError(
        "workspace is handed on within the input, and that is no object.",
        hint="Give input as an object, or leave workspace out.",
    )


@cache
def role_types() -> dict[str, str]:
    """Types of tasks that the roles do, and the role of each."""
    from visionflow.agents.roles import architect, coder, coordinator, researcher, reviewer, tester

    homes = {
        "researcher": researcher, "architect": architect, "coder": coder, "reviewer": reviewer,
        "tester": tester, "coordinator": coordinator,
    }  # fmt: skip
    return {kind: role for role, home in homes.items() for kind in home.TASK_TYPES}


def _is_role(kind: str, ground: Ground) -> bool:
    """Whether agents of this type may be one of the roles, or be made from one."""
    template = ground.templates.templates.get(kind)
    if template is None:
        return True
    import visionflow.agents as agents

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
        **said,
    }
