"""From the order of a run to the engine's commands: who works on it, and the plan.

Ids are fixed, so that handing the same plan in again after a crash is the same command.
"""

import msgspec

from visionflow.agents.candidates.splitting import expected_by
from visionflow.agents.evidence import Part
from visionflow.agents.plans import Plan, PlanTask
from visionflow.agents.roles.job import CodingBounds, storable
from visionflow.compose.job.folder import AgentOrder, Order, RunFolder, Served
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Phase, Priority, TaskSpec
from visionflow.interfaces.aggregation_rules import config_of
from visionflow.interfaces.tools.agreeing import vote_on_result
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import pack

USUAL_S = 1_200
_NEEDED = {"implement": ("implement",)}
"""Capabilities without which an agent of the role cannot do such a task."""
CODING_SLACK_MS = 3_600_000
"""What an attempt of a coding agent may take beside its own time: for its turn with the tool."""
_FIRST = ("survey", "review_code")
"""What is short and shows first findings goes before what takes its time."""


def swarm_of(order: Order) -> SwarmSpec:
    """The swarm of this run."""
    limits = Limits(agents_max=max(1, len(order.agents)), workers_max=order.workers)
    return SwarmSpec(id=order.run, goal=order.goal, limits=limits)


def spawns(order: Order, now_ms: int, blobs: Blobs) -> list[c.SpawnAgent]:
    """The commands that bring the agents in."""
    served = order.served
    if served is None:
        return [
            spawn_of(name, agent, name, f"spawn-{name}", now_ms, blobs)
            for name, agent in order.agents.items()
        ]
    ids = served.forming
    return [
        as_formed(spawn_of(name, agent, ids[name], spawn_command(served, name), now_ms, blobs))
        for name, agent in order.agents.items()
    ]


def as_formed(spawn: c.SpawnAgent) -> c.SpawnAgent:
    """The same for an agent that is there for a goal and goes with it."""
    return msgspec.structs.replace(spawn, spec=msgspec.structs.replace(spawn.spec, formed=True))


def spawn_command(served: Served, name: str) -> str:
    """The id of the command that brings an agent of a run in a server's swarm in."""
    return f"{served.command}/spawn-{name}"


def spawn_of(
    name: str, agent: AgentOrder, identity: str, command: str, now_ms: int, blobs: Blobs
) -> c.SpawnAgent:
    """The command that brings one agent in.

    Raises:
        NotPersistable: its configuration cannot be written down.
    """
    return c.SpawnAgent(
        now_ms=now_ms,
        command=command,
        spec=AgentSpec(
            id=identity,
            type=agent.role,
            name=name,
            class_path=agent.class_path,
            capabilities=agent.capabilities,
            config=pack(agent.config or None, f"the configuration of {name}", blobs),
            limits=ResourceLimits(memory_bytes=agent.memory_bytes),
            recovery=agent.upkeep.recovery,
            recycling=agent.upkeep.recycling,
        ),
    )


def submission(
    folder: RunFolder, order: Order, plan: Plan, now_ms: int, blobs: Blobs
) -> c.SubmitPlan:
    """The command that hands the plan in. A part that fails does not take the others with it."""
    names, served = order.names, order.served

    def work(task: PlanTask, phase: str) -> TaskSpec:
        given = _input_of(folder, order, plan, task)
        first = Priority.MEDIUM - Priority.HIGH if task.type in _FIRST else 0
        spec = TaskSpec(
            id=names.task(task.id),
            type=task.type,
            description=task.title or task.id,
            input=pack(given, f"the input of {task.id}", blobs),
            agent=task.agent,
            agent_type=task.role,
            priority=max(0, Priority.MEDIUM - first),
            timeout_ms=_timeout_ms(order, task),
            parent=names.root,
            phase=phase,
        )
        if served is None:
            return spec
        # Whoever of the swarm has the role does it: a name of the plan is nobody's there.
        kind = served.doers.get(task.type, task.role)
        return msgspec.structs.replace(
            spec,
            agent=None,
            # Coding agents may be of any type: one of the owner's templates has its name.
            agent_type=None if task.type in _NEEDED else kind,
            capabilities=(*served.needs.get(kind, ()), *_NEEDED.get(task.type, ())),
            priority=max(0, served.priority - first),
            timeout_ms=served.timeout_ms or spec.timeout_ms,
            retry=served.retry,
        )

    root = TaskSpec(id=names.root, type="plan", description=order.goal)
    command, threshold = "submit-plan", None
    if served is not None:
        command, threshold = served.command, served.failure_threshold
        root = msgspec.structs.replace(
            root,
            priority=served.priority,
            deadline_ms=served.deadline_ms,
            config=config_of(served.aggregation, blobs),
        )
    return c.SubmitPlan(
        now_ms=now_ms,
        command=command,
        spec=root,
        phases=tuple(
            Phase(
                phase.name,
                tuple(work(task, phase.name) for task in phase.tasks),
                sequential=phase.sequential,
                uses=phase.uses,
                width=phase.width if served is None else served.width or phase.width,
            )
            for phase in plan.phases
        ),
        failure_threshold_bp=10_000 if threshold is None else round(10_000 * threshold),
        consensus=None if served is None else vote_on_result(names.root, served.agreement),
    )


def _input_of(folder: RunFolder, order: Order, plan: Plan, task: PlanTask) -> dict[str, object]:
    """What a task of the plan is told, as `JobInput` has it."""
    given: dict[str, object] = {
        "workspace": order.workspace,
        "repository": str(folder.state / "repository"),
        "scratch": str(folder.state / "scratch" / task.id),
        "junit": str(folder.junit),
        "coverage": str(folder.coverage),
        "patch": str(folder.patch),
        "exclude": list(order.exclude),
        "trusted": order.trusted,
        "virtual_env": order.virtual_env,
        "cache": order.cache,
        "goal": order.goal,
        "run": order.run,
    }
    if task.focus is not None:
        given["focus"] = task.focus
    if task.part is not None:
        given["part"] = storable(next(each for each in plan.parts if each.name == task.part))
    if task.role == "coordinator":
        given |= {
            "parts": storable(plan.parts),
            "reviewed": storable(_reviewed(plan)),
            "veil": not _looks_for_secrets(plan),
            "gates": list(plan.gates),
        }
    if order.coding is not None:
        given |= {
            "plan_task": task.id,
            "of": task.of,
            "goal": task.goal or order.goal,
            "folder": str(folder.coding),
            "accept": list(plan.accept),
            "bounds": storable(_bounds(order.coding.bounds, task)),
            "governor": order.coding.governor,
            "pool": storable(order.coding.pool),
        }
    if task.type == "integrate":
        given["expected"] = list(expected_by(plan, task.id))
    if task.type == "vote":
        change = next((t.id for _, t in plan.tasks() if t.type == "fix"), None)
        given |= {"change": change and order.names.task(change), "member": task.agent}
    return given


def _bounds(bounds: CodingBounds, task: PlanTask) -> CodingBounds:
    """What the agent of a task may use: the time that the plan gives it is that of one go."""
    if task.type != "implement" or task.timeout_s is None:
        return bounds
    return msgspec.structs.replace(bounds, wall_ms=1_000 * task.timeout_s)


def _timeout_ms(order: Order, task: PlanTask) -> int:
    """Of one attempt."""
    if order.coding is not None and task.type == "implement":
        return _bounds(order.coding.bounds, task).wall_ms + CODING_SLACK_MS
    return 1_000 * (task.timeout_s or USUAL_S)


def _looks_for_secrets(plan: Plan) -> bool:
    """Whether reviews of the plan look for secrets in all of the workspace."""
    reviews = [
        task
        for _, task in plan.tasks()
        if task.type == "review_code" and task.focus in (None, "security")
    ]
    parts = {task.part for task in reviews}
    return None in parts or (bool(parts) and parts >= {part.name for part in plan.parts})


def _reviewed(plan: Plan) -> tuple[Part, ...] | None:
    """The parts that a review of the plan is about; `None` for all of the workspace.

    A plan without reviews looks at nothing in that way, which its missing tools tell.
    """
    reviews = [task for _, task in plan.tasks() if task.type == "review_code"]
    if not reviews or any(task.part is None for task in reviews):
        return None
    named = {task.part for task in reviews}
    return tuple(part for part in plan.parts if part.name in named)
