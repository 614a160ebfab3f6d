"""From the order of a run to the engine's commands: who works on it, and the plan.

Ids are fixed, so that handing the same plan in again after a crash is the same command.
"""

from visionflow.agents.evidence import Part
from visionflow.agents.plans import Plan, PlanTask
from visionflow.agents.roles.job import storable
from visionflow.compose.job.folder import Order, RunFolder
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Phase, Priority, TaskSpec
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import pack

PLAN = "plan"
USUAL_S = 1_200
_FIRST = ("survey", "review_code")
"""What is short and shows first findings goes before what takes its time."""


def swarm_of(order: Order) -> SwarmSpec:
    """The swarm of this run."""
    limits = Limits(agents_max=max(1, len(order.agents)), workers_max=order.workers)
    return SwarmSpec(id=order.run, goal=order.goal, limits=limits)


def spawns(order: Order, now_ms: int, blobs: Blobs) -> list[c.SpawnAgent]:
    """The commands that bring the agents in."""
    return [
        c.SpawnAgent(
            now_ms=now_ms,
            command=f"spawn-{name}",
            spec=AgentSpec(
                id=name,
                type=agent.role,
                name=name,
                class_path=agent.class_path,
                capabilities=agent.capabilities,
                config=pack(agent.config or None, f"the configuration of {name}", blobs),
                limits=ResourceLimits(memory_bytes=agent.memory_bytes),
            ),
        )
        for name, agent in order.agents.items()
    ]


def submission(
    folder: RunFolder, order: Order, plan: Plan, now_ms: int, blobs: Blobs
) -> c.SubmitPlan:
    """The command that hands the plan in. A part that fails does not take the others with it."""
    parts = {part.name: part for part in plan.parts}

    def work(task: PlanTask, phase: str) -> TaskSpec:
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
            given["part"] = storable(parts[task.part])
        if task.role == "coordinator":
            given |= {
                "parts": storable(plan.parts),
                "reviewed": storable(_reviewed(plan)),
                "veil": not _looks_for_secrets(plan),
                "gates": list(plan.gates),
            }
        if task.type == "vote":
            given["change"] = next((t.id for _, t in plan.tasks() if t.type == "fix"), None)
        return TaskSpec(
            id=task.id,
            type=task.type,
            description=task.title or task.id,
            input=pack(given, f"the input of {task.id}", blobs),
            agent=task.agent,
            agent_type=task.role,
            priority=Priority.HIGH if task.type in _FIRST else Priority.MEDIUM,
            timeout_ms=1_000 * (task.timeout_s or USUAL_S),
            parent=PLAN,
            phase=phase,
        )

    return c.SubmitPlan(
        now_ms=now_ms,
        command="submit-plan",
        spec=TaskSpec(id=PLAN, type="plan", description=order.goal),
        phases=tuple(
            Phase(
                phase.name,
                tuple(work(task, phase.name) for task in phase.tasks),
                sequential=phase.sequential,
                uses=phase.uses,
            )
            for phase in plan.phases
        ),
        failure_threshold_bp=10_000,
    )


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
