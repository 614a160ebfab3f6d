"""What an order comes to: a playbook's plan, work of a kind that agents know, or what is missing.

A goal in words is read by the playbooks; whatever names a type of task is handed to agents as it
is. Everything here reads the disk and belongs off the loop.
"""

from typing import Any, cast

import msgspec

from visionflow.agents.candidates.planning import CANDIDATES_MAX, code_plan
from visionflow.agents.evidence import FOCUSES
from visionflow.agents.plans import PLAYBOOKS, Gate, Plan, PlanPhase, PlanTask, Playbook
from visionflow.agents.roles.job import CodingBounds
from visionflow.agents.roles.playbooks import Choice, choose, plan_of, split
from visionflow.agents.tools.project import look
from visionflow.compose.job.creating import named
from visionflow.compose.job.team import coordination_of
from visionflow.compose.serve.jobs_works import (
    TYPE_OF,
    Ground,
    Group,
    alone,
    given_to,
    parts_of,
    role_for,
)
from visionflow.domain.errors import UsageError
from visionflow.interfaces.jobs import Order, Work
from visionflow.interfaces.stages import STAGE_ROLES as STAGES
from visionflow.interfaces.stages import Stage
from visionflow.interfaces.tools.coders import CAPABILITY

CODE = "code"
_TIMEOUT_S = {"run_tests": 1_800, "fix": 2_700, "research": 900, "analyse_architecture": 900}
_GATES: dict[str, tuple[Gate, ...]] = {
    "tester": ("tests",), "reviewer": ("syntax", "findings"), "coder": ("patch",),
}  # fmt: skip


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What an order comes to. One of `plan`, `work`, `groups` and `missing` says something."""

    workspace: str = ""
    """Of a goal in words: the real path."""
    why: str = ""
    plan: Plan | None = None
    work: Work | None = None
    """The root task itself."""
    groups: tuple[Group, ...] = ()
    """Phases of work that agents know."""
    pipeline: tuple[Stage, ...] = ()
    """Stages that are validated; `groups` has the work of each."""
    missing: str | None = None
    """What no present backend can do."""


def aim_of(order: Order, ground: Ground) -> Aim:
    """What the order comes to.

    Raises:
        UsageError: it cannot be understood.
        WorkspaceError: its workspace cannot be used.
    """
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
            return Aim(groups=(parts_of(order, ground),))
        return Aim(work=alone(order, ground))
    if order.input is not None or order.config:
        raise UsageError(
            "input and config are for a task with a type; a goal in words takes none.",
            hint="Give a type, or leave them out.",
        )
    _refuse(order, "agent", "agent_type")
    return _goal(order, playbook, ground.place(order), ground)


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
    if playbook == CODE or order.candidates is not None:
        return _coding(order, playbook, place, ground)
    if order.accept or order.bounds != CodingBounds():
        raise UsageError(
            "accept and limits are for coding agents, and nothing says that any shall do it.",
            hint='Say how many with candidates, or write playbook "code".',
        )
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


def _coding(order: Order, playbook: str | None, place: str, ground: Ground) -> Aim:
    """Several coding agents at the same goal."""
    if playbook not in (None, CODE):
        raise UsageError(
            f"candidates are of the playbook {CODE}, not {playbook}.", hint="Leave one out."
        )
    _refuse(order, "stages")
    count = 1 if order.candidates is None else order.candidates
    if not 1 <= count <= CANDIDATES_MAX:
        raise UsageError(f"candidates is {count}; it is 1 to {CANDIDATES_MAX}.")
    allowed = ground.settings.coding_agents
    there = any(CAPABILITY in able for _, able in ground.offers)
    if not there and (not allowed or order.form_team is False):
        raise UsageError(
            "No coding agent is in this swarm"
            + ("." if allowed else ", and this server's owner allowed none."),
            hint="agent_spawn with agentType coder and config.profile spawns one that was allowed; "
            "`visionflow serve --coding-agent claude` allows one.",
        )
    why = f"{count} candidate{' was' if count == 1 else 's were'} asked for."
    plan = code_plan(order.description, allowed, count, accept=order.accept, why=why)
    return Aim(workspace=place, why=why, plan=plan)


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
            Group(stage, _stage_works(stage, tasks.get(stage), order, ground), sequential)
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
    kind = TYPE_OF[role]
    if role == "reviewer":
        plan = plan_of("", "test", "", split(look(place)))
        return tuple(each for _, each in plan.tasks() if each.type == kind)
    made = PlanTask(kind, cast(Any, role), kind, stage, timeout_s=_TIMEOUT_S.get(kind))
    return (made,)


def _stage_works(
    stage: str, tasks: tuple[PlanTask, ...] | None, order: Order, ground: Ground
) -> tuple[Work, ...]:
    """The same as work, where a stage beside it is of agents that no playbook knows."""
    if tasks is None:
        return (Work(type=stage, description=order.description, agent_type=stage),)
    focuses = FOCUSES if STAGES[stage] == "reviewer" else (None,)
    works = [
        Work(
            type=TYPE_OF[STAGES[stage]],
            description=order.description,
            input={} if focus is None else {"focus": focus},
            agent_type=role_for(TYPE_OF[STAGES[stage]], STAGES[stage], ground),
        )
        for focus in focuses
    ]
    return tuple(given_to(work, order, ground) for work in works)
