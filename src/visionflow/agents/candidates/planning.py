"""The plan of the playbook `code`: the same goal to several agents, a judgement each, a ranking."""

from collections.abc import Sequence

import msgspec

from visionflow.agents.evidence import Part
from visionflow.agents.plans import Gate, Plan, PlanPhase, PlanTask

ATTEMPT, JUDGE, DECIDE = "attempt", "judge", "decide"
JUDGE_S, RANK_S = 3_600, 900
CANDIDATES_MAX = 50


def code_plan(
    goal: str,
    commands: Sequence[str],
    candidates: int,
    *,
    accept: Sequence[str] = (),
    width: int = 0,
    why: str = "Coding agents were named for it.",
) -> Plan:
    """The plan. Candidate k is done by `commands[(k - 1) % len(commands)]`; with `width` at most so
    many are at work at once."""
    numbers = range(1, candidates + 1)
    attempts = tuple(
        PlanTask(
            f"candidate-{number}", "coder", "implement", f"candidate {number}",
            command=commands[(number - 1) % len(commands)] if commands else None,
        )
        for number in numbers
    )  # fmt: skip
    judges = tuple(
        PlanTask(
            f"judge-{number}", "tester", "judge", f"judge candidate {number}",
            timeout_s=JUDGE_S, of=f"candidate-{number}",
        )
        for number in numbers
    )  # fmt: skip
    rank = PlanTask("rank", "coordinator", "rank", "rank", timeout_s=RANK_S)
    asked: tuple[Gate, ...] = ("accept",) if accept else ()
    return Plan(
        goal,
        "code",
        why,
        ("winner", *asked, "tests", "findings"),
        (Part("all"),),
        (
            PlanPhase(ATTEMPT, attempts, width=0 if width >= candidates else width),
            PlanPhase(JUDGE, judges),
            PlanPhase(DECIDE, (rank,), uses=(ATTEMPT,)),
        ),
        tuple(accept),
    )


def with_commands(plan: Plan, commands: Sequence[str], width: int = 0) -> Plan:
    """The plan with a command for each task of a coding agent that names none, in turn, and with
    the width for the phases that have such tasks and no width of their own."""
    turn = 0
    phases: list[PlanPhase] = []
    for phase in plan.phases:
        tasks: list[PlanTask] = []
        for task in phase.tasks:
            if task.type == "implement" and task.command is None and task.of is None and commands:
                task = msgspec.structs.replace(task, command=commands[turn % len(commands)])
                turn += 1
            tasks.append(task)
        phase = msgspec.structs.replace(phase, tasks=tuple(tasks))
        works = any(task.type == "implement" for task in tasks)
        if works and 0 < width < len(tasks) and not phase.width and not phase.sequential:
            phase = msgspec.structs.replace(phase, width=width)
        phases.append(phase)
    return msgspec.structs.replace(plan, phases=tuple(phases))


def commands_of(plan: Plan) -> dict[str, str]:
    """The command of each coding agent of the plan, by the agent's name."""
    return {
        task.agent: task.command
        for _, task in plan.tasks()
        if task.type == "implement" and task.command is not None
    }
