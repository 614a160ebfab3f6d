"""Plans of work that is split over agents: waves by the files they touch, and a merge queue."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.agents.candidates.overlap import meet, overlap
from visionflow.agents.candidates.planning import code_plan
from visionflow.agents.candidates.splitting import expected_by, waves, with_queue
from visionflow.agents.plans import Plan, PlanPhase, PlanTask
from visionflow.compose.job.planfile import plan_text, read_plan


def work(name: str, *files: str, command: str = "agent {goal}") -> PlanTask:
    return PlanTask(name, "coder", "implement", goal=f"do {name}", command=command, files=files)


def plan(*phases: PlanPhase, accept: tuple[str, ...] = ()) -> Plan:
    return Plan("a goal", "code", "Written by hand.", (), (), phases, accept)


def names(phase: PlanPhase) -> list[list[str]]:
    return [[task.id for task in wave] for wave in waves(phase)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("shop/limits.py", "shop/limits.py"),
        ("shop/*.py", "shop/limits.py"),
        ("shop/l*.py", "shop/*s.py"),
        ("shop", "shop/limits.py"),
        ("shop/", "shop/deep/er.py"),
        ("**/limits.py", "shop/limits.py"),
        ("shop/**/a.py", "shop/a.py"),
        ("shop/**/a.py", "shop/x/y/a.py"),
        ("shop/**", "*.py"),
        ("*.py", "shop/limits.py"),
        ("**/limits.py", "shop/deep/limits.py"),
        ("./shop/limits.py", "shop/limits.py"),
        ("Shop/Limits.py", "shop/limits.py"),
        ("shop/[lm]imits.py", "shop/limits.py"),
        ("shop/?imits.py", "shop/l*"),
        (".", "anything/at/all"),
        ("a/**/b/**/c", "a/c*/b/c"),
        ("/README.md", "README.md"),
    ],
)
def test_patterns_that_may_mean_one_file_overlap(one: str, other: str) -> None:
    assert meet(one, other)
    assert meet(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("shop/limits.py", "shop/prices.py"),
        ("shop/limits.py", "shop/limits.pyi"),
        ("shop/limits", "shop/limits_test"),
        ("shop/*.py", "shop/deep/limits.py"),
        ("shop/*.py", "tests/*.py"),
        ("shop", "shopping/a.py"),
        ("*.py", "docs/*.md"),
        ("limits.py", "shop/limits.py"),
        ("**/limits.py", "shop/xlimits.py"),
        ("README.md", "docs/**"),
        ("shop/**/a.py", "shop/xa.py"),
        ("shop/?.py", "shop/ab.py"),
        ("/README.md", "docs/README.md"),
        ("shop/a?b", "shop/a/b"),
    ],
)
def test_patterns_that_can_mean_no_common_file_do_not_overlap(one: str, other: str) -> None:
    assert not meet(one, other)
    assert not meet(other, one)


SEGMENT = st.text("ab.", min_size=1, max_size=4).filter(lambda text: text.strip(".") != "")


@st.composite
def patterns_of(draw: st.DrawFn, path: list[str]) -> str:
    """A pattern that means the path, by how it is made."""
    made: list[str] = []
    for segment in path:
        kind = draw(st.integers(0, 4))
        if kind == 0:
            made.append("*")
        elif kind == 1:
            made.append("**")
        elif kind == 2:
            at = draw(st.integers(0, len(segment) - 1))
            made.append(
                segment[:at] + draw(st.sampled_from(["?", "*", "[ab.]"])) + segment[at + 1 :]
            )
        else:
            made.append(segment)
    if draw(st.booleans()):
        made.insert(draw(st.integers(0, len(made))), "**")
    below = draw(st.integers(1, len(made)))  # a folder means everything below it
    end = "/" if below < len(made) else ""
    return draw(st.sampled_from(["", "./"])) + "/".join(made[:below]) + end


@given(st.data())
def test_patterns_of_one_path_always_overlap(data: st.DataObject) -> None:
    path = data.draw(st.lists(SEGMENT, min_size=1, max_size=4))
    one, other = data.draw(patterns_of(path)), data.draw(patterns_of(path))
    assert meet(one, other), (path, one, other)


@given(st.lists(st.sampled_from(["a", "b", "/", "*", "?"]), min_size=1, max_size=7).map("".join),
       st.lists(st.sampled_from(["a", "b", "/"]), min_size=1, max_size=7).map("".join))  # fmt: skip
def test_a_pattern_and_a_plain_path_overlap_as_a_regular_expression_says(
    pattern: str, path: str
) -> None:
    if "//" in pattern or "**" in pattern or not re.fullmatch(r"\w+(/\w+)*", path):
        return
    body = pattern.removeprefix("/").rstrip("/")
    if not body:
        return
    top = "/" in body or pattern.startswith("/") or not {"*", "?"} & {*body}
    anywhere = "" if top else r"(?:.*/)?"
    body = "".join({"*": "[^/]*", "?": "[^/]"}.get(each, re.escape(each)) for each in body)
    # The path stands for everything below it too, which the pattern may reach into.
    inside = any(
        re.fullmatch(anywhere + body, path + below)
        for below in ("", "/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", *(
            "/" + "/".join(tail)
            for tail in (("aa",), ("ab",), ("a", "a", "a"))
        ))
    )  # fmt: skip
    above = any(
        re.fullmatch(anywhere + body, "/".join(path.split("/")[:count]))
        for count in range(1, path.count("/") + 2)
    )
    if inside or above:
        assert meet(pattern, "/" + path)


def test_tasks_whose_files_overlap_come_one_after_the_other_in_their_order() -> None:
    phase = PlanPhase("build", (
        work("api", "shop/api/**"), work("cli", "shop/cli.py", "shop/api/client.py"),
        work("docs", "docs/*.md"), work("more", "shop/cli.py"), work("free"),
    ))  # fmt: skip
    assert names(phase) == [["api", "docs", "free"], ["cli"], ["more"]]


def test_tasks_that_say_nothing_of_their_files_are_side_by_side() -> None:
    assert names(PlanPhase("build", (work("a"), work("b"), work("c", "x")))) == [["a", "b", "c"]]
    assert not overlap((), ("**",))


def test_the_tasks_of_a_sequential_phase_each_see_what_came_before() -> None:
    phase = PlanPhase("build", (work("a"), work("b")), sequential=True)
    assert names(phase) == [["a"], ["b"]]
    whole = with_queue(plan(phase))
    assert [p.name for p in whole.phases][:2] == ["build-1", "merge-build-1"]


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "*"]), max_size=2), min_size=1, max_size=7)
)
def test_no_two_of_a_wave_overlap_and_the_earlier_is_never_after_the_later(
    files: list[list[str]],
) -> None:
    tasks = tuple(work(f"t{number}", *each) for number, each in enumerate(files))
    found = waves(PlanPhase("build", tasks))
    at = {task.id: number for number, wave in enumerate(found) for task in wave}
    assert sorted(at) == sorted(task.id for task in tasks)
    for number, task in enumerate(tasks):
        for later in tasks[number + 1 :]:
            if overlap(task.files, later.files):
                assert at[task.id] < at[later.id]


def test_a_plan_of_what_is_to_be_done_becomes_the_whole_one() -> None:
    whole = with_queue(plan(
        PlanPhase("build", (work("api", "shop/a.py"), work("cli", "shop/a.py"), work("docs"))),
        PlanPhase("polish", (work("lint"),)), accept=("pytest -q",),
    ))  # fmt: skip
    assert whole.faults() == []
    assert [(p.name, [t.id for t in p.tasks], p.uses) for p in whole.phases] == [
        ("build-1", ["api", "docs"], ()),
        ("merge-build-1", ["integrate-build-1"], ()),
        ("again-build-1", ["again-api", "again-docs"], ("build-1",)),
        ("merge-again-build-1", ["integrate-again-build-1"], ("merge-build-1",)),
        ("build-2", ["cli"], ()),
        ("merge-build-2", ["integrate-build-2"], ("merge-again-build-1",)),
        ("again-build-2", ["again-cli"], ("build-2",)),
        ("merge-again-build-2", ["integrate-again-build-2"], ("merge-build-2",)),
        ("polish", ["lint"], ()),
        ("merge-polish", ["integrate-polish"], ("merge-again-build-2",)),
        ("again-polish", ["again-lint"], ("polish",)),
        ("merge-again-polish", ["integrate-again-polish"], ("merge-polish",)),
        ("judge", ["judge"], (
            "merge-build-1", "merge-again-build-1", "merge-build-2", "merge-again-build-2",
            "merge-polish",
        )),
        ("decide", ["rank"], (
            "build-1", "again-build-1", "build-2", "again-build-2", "polish", "again-polish",
            "merge-build-1", "merge-again-build-1", "merge-build-2", "merge-again-build-2",
            "merge-polish", "merge-again-polish",
        )),
    ]  # fmt: skip
    assert whole.gates == ("winner", "accept", "tests", "findings", "landed")
    assert [part.name for part in whole.parts] == ["all"]
    again = {task.id: task for _, task in whole.tasks()}["again-api"]
    assert (again.of, again.goal, again.command, again.agent) == ("api", "do api", None, "api")


def test_each_merge_knows_whose_work_it_is_there_for() -> None:
    whole = with_queue(plan(PlanPhase("build", (work("api", "x"), work("cli", "x")))))
    assert expected_by(whole, "integrate-build-1") == ("api",)
    assert expected_by(whole, "integrate-again-build-1") == ("api",)
    assert expected_by(whole, "integrate-build-2") == ("cli",)


def test_a_whole_plan_is_left_as_it_is() -> None:
    side_by_side = code_plan("a goal", ["agent {goal}"], 3)
    assert with_queue(side_by_side) == side_by_side
    whole = with_queue(plan(PlanPhase("build", (work("api"),))))
    assert with_queue(whole) == whole
    other = Plan("g", "audit", "w", (), (), (PlanPhase("p", (
        PlanTask("survey", "coordinator", "survey"),)),))  # fmt: skip
    assert with_queue(other) == other


def test_names_that_are_taken_are_not_used_twice() -> None:
    whole = with_queue(plan(
        PlanPhase("judge", (work("judge"), work("integrate-judge"))),
        PlanPhase("merge-judge", (work("rank"),)),
    ))  # fmt: skip
    assert whole.faults() == []


def test_a_phase_of_others_between_keeps_the_state_of_the_branch_in_sight() -> None:
    look = PlanTask("look", "tester", "run_tests")
    whole = with_queue(plan(
        PlanPhase("build", (work("api"),)), PlanPhase("check", (look,)),
        PlanPhase("polish", (work("lint"),), uses=("build",)),
    ))  # fmt: skip
    found = {phase.name: phase for phase in whole.phases}
    assert found["polish"].uses == ("build", "merge-again-build")
    assert found["merge-polish"].uses == ("merge-again-build",)
    assert whole.faults() == []


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (PlanTask("x", "coder", "implement", of="api", command="a"), "is named 'again-api'"),
        (PlanTask("again-api", "coder", "implement", of="api", command="a"), "no `command`"),
        (PlanTask("again-x", "coder", "implement", command="a"), "begins with 'again-'"),
        (PlanTask("again-no", "coder", "implement", of="no"), "no earlier task"),
        (PlanTask("j", "tester", "judge", of="nobody"), "no earlier task"),
        (PlanTask("r", "coordinator", "rank", of="api"), "only a task of type implement or judge"),
        (PlanTask("r", "coordinator", "rank", goal="x"), "has `goal`"),
        (PlanTask("x", "coder", "implement", files=("../x",)), "without `..`"),
    ],
)
def test_a_plan_that_cannot_run_so_is_told_why(task: PlanTask, told: str) -> None:
    faults = plan(PlanPhase("build", (work("api"),)), PlanPhase("next", (task,))).faults()
    assert any(told in fault for fault in faults), faults


def test_work_of_coding_agents_belongs_to_their_playbook() -> None:
    faults = Plan("g", "fix", "w", (), (), (PlanPhase("p", (work("api"),)),)).faults()
    assert any("only the playbook code" in fault for fault in faults)


def test_the_plan_of_the_documentation_becomes_what_it_says(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "merge-queue.md"
    text = page.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    place = tmp_path / "plan.yaml"
    place.write_text(text, encoding="utf-8")
    whole = with_queue(read_plan(place).plan)
    assert whole.faults() == []
    assert [[task.id for task in phase.tasks] for phase in whole.phases[:5]] == [
        ["limits", "prices"], ["integrate-build-1"], ["again-limits", "again-prices"],
        ["integrate-again-build-1"], ["api"],
    ]  # fmt: skip
    place.write_text(plan_text(whole, str(tmp_path)), encoding="utf-8")
    assert read_plan(place).plan == whole


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"command": ""}, "`command` is no command line"),
        ({"command": "agent 'x"}, "`command` is no command line"),
        ({"goal": " "}, "a goal has 1 to"),
        ({"goal": "x" * 10_001}, "a goal has 1 to"),
        ({"files": ("",)}, "can match no file"),
        ({"files": ("[abc",)}, "can match no file"),
        ({"id": "a..b"}, "cannot be kept by this name"),
        ({"id": "x.lock"}, "cannot be kept by this name"),
        ({"id": "result"}, "cannot be kept by this name"),
    ],
)
def test_what_a_task_of_an_agent_cannot_be_is_a_fault_that_names_it(
    changed: dict[str, object], told: str
) -> None:
    task = msgspec.structs.replace(work("api"), **changed)
    faults = plan(PlanPhase("one", (task,))).faults()
    assert [each for each in faults if told in each and each.startswith(task.id)], faults


@pytest.mark.parametrize("predicate", ["", "pytest 'x"])
def test_a_predicate_that_is_no_command_line_is_a_fault(predicate: str) -> None:
    faults = plan(PlanPhase("one", (work("api"),)), accept=("true", predicate)).faults()
    assert faults == [f"accept: predicate 2 is no command line: {predicate!r}."]
