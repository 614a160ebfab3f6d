"""The plan of a run: who works on it, and the two phases with their tasks.

Ids are fixed, so that handing the same plan in again after a crash is the same command.
"""

from visionflow.compose.job.folder import Order, RunFolder
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Payload, Phase, TaskSpec
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import pack

PLAN = "plan"
TESTS, REVIEW, JUDGE = "run_tests", "review_code", "judge"
PARTS = {TESTS: "tester", REVIEW: "reviewer", JUDGE: "reviewer"}
"""Each task, and the role that does it."""
EXAMINE = (TESTS, REVIEW)
NAMES = {TESTS: "tests", REVIEW: "review", JUDGE: "verdict"}
"""What people call the parts."""
TESTS_MS = 1_200_000
REVIEW_MS = 1_200_000
JUDGE_MS = 120_000
WORKERS = 2


def swarm_of(order: Order) -> SwarmSpec:
    """The swarm of this run."""
    limits = Limits(agents_max=len(order.agents), workers_max=WORKERS)
    return SwarmSpec(id=order.run, goal=order.goal, limits=limits)


def spawns(order: Order, now_ms: int, blobs: Blobs) -> list[c.SpawnAgent]:
    """The commands that bring the agents in; an agent has its role's name as its id."""
    return [
        c.SpawnAgent(
            now_ms=now_ms,
            command=f"spawn-{role}",
            spec=AgentSpec(
                id=role,
                type=role,
                name=role,
                class_path=agent.class_path,
                capabilities=agent.capabilities,
                config=pack(agent.config or None, f"the configuration of {role}", blobs),
                limits=ResourceLimits(memory_bytes=agent.memory_bytes),
            ),
        )
        for role, agent in order.agents.items()
    ]


def submission(folder: RunFolder, order: Order, now_ms: int, blobs: Blobs) -> c.SubmitPlan:
    """The command that hands the plan in. A part that fails does not take the others with it."""

    def work(task: str, timeout_ms: int) -> TaskSpec:
        given = {
            "workspace": order.workspace,
            "repository": str(folder.state / "repository"),
            "scratch": str(folder.state / "scratch" / task),
            "junit": str(folder.junit),
            "coverage": str(folder.coverage),
            "exclude": list(order.exclude),
            "trusted": order.trusted,
            "virtual_env": order.virtual_env,
        }
        return _part(task, "examine", pack(given, f"the input of {task}", blobs), timeout_ms)

    examine = (work(TESTS, TESTS_MS), work(REVIEW, REVIEW_MS))
    judge = (_part(JUDGE, "judge", Payload(), JUDGE_MS),)
    return c.SubmitPlan(
        now_ms=now_ms,
        command="submit-plan",
        spec=TaskSpec(id=PLAN, type="plan", description=order.goal),
        phases=(Phase("examine", examine), Phase("judge", judge)),
        failure_threshold_bp=10_000,
    )


def _part(task: str, phase: str, given: Payload, timeout_ms: int) -> TaskSpec:
    return TaskSpec(
        id=task,
        type=task,
        description=NAMES[task],
        input=given,
        agent_type=PARTS[task],
        timeout_ms=timeout_ms,
        parent=PLAN,
        phase=phase,
    )
