"""Goals become playbooks or are refused by name; playbooks become plans whose faults are told."""

import msgspec
import pytest

from visionflow.agents.evidence import Part
from visionflow.agents.plans import GATES, PLAYBOOKS, Plan, PlanPhase, PlanTask, drawing
from visionflow.agents.roles.playbooks import PART_FILES_MIN, choose, plan_of, split
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.tree import Tree

UNDERSTOOD = {
    "Audit this repository: security, quality, tests": "audit",
    "Test and review this repository": "test",
    "Review this repository": "test",
    "Run the tests": "test",
    "Please check the build scripts": "test",
    "Full security audit": "audit",
    "Analyse security vulnerabilities in auth module": "audit",
    "Find bugs": "audit",
    "find sql injections": "audit",
    "Audit and fix this repository": "audit",
    "Fix what can be fixed safely": "fix",
    "Fix lint findings": "fix",
    "Test and fix this repository": "fix",
    "How does the parser handle comments?": "explain",
    "Explain how payments work": "explain",
    "Where is the configuration loaded?": "explain",
}
BEYOND = {
    "Add rate limiting to the login endpoint": "'add'",
    "Build authentication service": "'build'",
    "Design scalable authentication architecture": "'design'",
    "Implement authentication service": "'implement'",
    "Review and refactor the code": "'refactor'",
    "Fix the login bug": "'login'",
    "Explain the code and write documentation": "'write'",
    "Research authentication best practices": "needs_web",
}


@pytest.mark.parametrize("goal", UNDERSTOOD)
def test_a_goal_that_names_a_playbook_gets_it_and_is_told_why(goal: str) -> None:
    choice = choose(goal)
    assert (choice.playbook, choice.missing, choice.among) == (UNDERSTOOD[goal], None, ())
    assert UNDERSTOOD[goal] in choice.why


@pytest.mark.parametrize("goal", BEYOND)
def test_a_goal_that_no_tool_can_meet_says_what_is_missing(goal: str) -> None:
    choice = choose(goal)
    assert choice.playbook is None
    assert choice.missing is not None and BEYOND[goal] in choice.missing


@pytest.mark.parametrize(
    "goal",
    [
        "do something nice", "hello", "?!", "Test and explain this", "Don't audit",
        "Audit this repository but do not run any tests", "Review everything except the tests",
        "is this code secure?",
    ],
)  # fmt: skip
def test_a_goal_that_does_not_tell_names_what_to_choose_from(goal: str) -> None:
    choice = choose(goal)
    assert (choice.playbook, choice.missing) == (None, None)
    assert len(choice.among) > 1 and set(choice.among) <= set(PLAYBOOKS)


@pytest.mark.parametrize("playbook", [each for each in PLAYBOOKS if each != "code"])
def test_the_plan_of_a_playbook_is_sound_and_survives_being_written_down(playbook: str) -> None:
    plan = plan_of("goal", playbook, "why", (Part("a", ("a",)), Part("rest", besides=("a",))))
    assert plan.faults() == []
    again = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    assert again == plan
    assert again.digest == plan.digest
    assert set(plan.gates) <= set(GATES)
    assert len(drawing(plan)) > len(plan.phases)


def test_an_audit_has_all_six_roles_and_a_reviewer_for_each_focus() -> None:
    plan = plan_of("goal", "audit", "why", (Part("all"),))
    assert set(plan.agents.values()) == {
        "coordinator", "researcher", "architect", "coder", "reviewer", "tester",
    }  # fmt: skip
    assert sum(role == "reviewer" for role in plan.agents.values()) == 3


def test_one_after_the_other_is_what_a_sequential_strategy_means() -> None:
    plan = plan_of("goal", "audit", "why", (Part("all"),), sequential=True)
    assert [phase.sequential for phase in plan.phases] == [
        len(phase.tasks) > 1 for phase in plan.phases
    ]


SOUND = plan_of("goal", "test", "why", (Part("all"),))
FAULTS = {
    "there twice": msgspec.structs.replace(SOUND, phases=(SOUND.phases[0], SOUND.phases[0])),
    "at least one phase": msgspec.structs.replace(SOUND, phases=()),
    "cannot do": msgspec.structs.replace(
        SOUND, phases=(PlanPhase("p", (PlanTask("t", "tester", "fix"),)),)
    ),
    "has a focus": msgspec.structs.replace(
        SOUND, phases=(PlanPhase("p", (PlanTask("t", "reviewer", "review_code"),)),)
    ),
    "no part": msgspec.structs.replace(
        SOUND, phases=(PlanPhase("p", (PlanTask("t", "tester", "run_tests", part="x"),)),)
    ),
    "no earlier phase": msgspec.structs.replace(
        SOUND, phases=(PlanPhase("p", (PlanTask("t", "tester", "run_tests"),), uses=("p",)),)
    ),
    "above zero": msgspec.structs.replace(
        SOUND, phases=(PlanPhase("p", (PlanTask("t", "tester", "run_tests", timeout_s=0),)),)
    ),
}


@pytest.mark.parametrize("told", FAULTS)
def test_a_plan_that_cannot_run_says_why(told: str) -> None:
    assert any(told in fault for fault in FAULTS[told].faults())


def project(**packages: int) -> Project:
    files = [f"{name}/m{number}.py" for name, count in packages.items() for number in range(count)]
    tree = Tree(tuple(sorted([*files, "top.py"])), (), len(files) + 1, complete=True)
    return Project(tree, "none", (), None, ("",), tuple(packages), ("top",))


def test_large_packages_are_parts_of_their_own_and_the_rest_is_one() -> None:
    parts = split(project(big=PART_FILES_MIN, small=3, huge=PART_FILES_MIN + 1))
    assert [part.name for part in parts] == ["big", "huge", "rest"]
    for path in ("big/m0.py", "huge/m0.py", "small/m0.py", "top.py", "bigger/x.py"):
        assert sum(part.holds(path) for part in parts) == 1, path


def test_a_small_workspace_is_one_part() -> None:
    assert split(project(small=3)) == (Part("all"),)
